/**
 * @module What the person on call reads about the log of the mesh, and what follows from each fault.
 */
import type { LogFault } from '../../metadata/lmdb/worker/messages.ts'

export interface FaultAccount {
  readonly level: 'warn' | 'error'
  readonly message: string
  /** `failed`: the node ends. `view`: it takes the view of a peer and starts again. Undefined: it goes on. */
  readonly end?: 'failed' | 'view'
}

export function accountOf(fault: LogFault): FaultAccount {
  switch (fault.is) {
    case 'cut':
      return {
        level: 'warn',
        message: 'this node was away for longer than the log is kept; it takes the view of a peer',
        end: 'view',
      }
    case 'refused':
      return {
        level: 'error',
        message:
          'this node takes no part in the mesh any more: it was removed, or its storage runs on another machine; ' +
          'empty the storage to join as a new member',
        end: 'failed',
      }
    case 'went-back':
      return {
        level: 'error',
        message:
          `the log of the mesh ends at ${fault.head}, this node has applied ${fault.applied}: ` +
          'etcd was set back or replaced; see "What if etcd is lost for good?" in docs/mesh.md',
        end: 'failed',
      }
    case 'outdated':
      return {
        level: 'error',
        message:
          `the mesh goes by rules of level ${fault.level}, which this program does not know: ` +
          'install the version that the other nodes run, and start this one again',
        end: 'failed',
      }
    case 'fenced':
      return {
        level: 'error',
        message: 'this node has other rows than most of the mesh; it takes the view of a peer',
        end: 'view',
      }
    case 'conflict':
      return {
        level: 'error',
        message: `member ${fault.member} has other rows than this node behind entry ${fault.index}`,
      }
    case 'poison':
      return {
        level: 'error',
        message: `entry ${fault.index} of the log cannot be applied; all nodes leave it out: ${fault.message}`,
      }
    case 'stuck':
      return {
        level: 'error',
        message: `this node cannot write its rows, and tries again: ${fault.message}`,
      }
    case 'tail':
      return {
        level: 'warn',
        message: `the tail of the log cannot be written; peers that fall behind need a view: ${fault.message}`,
      }
    case 'gap':
      return { level: 'warn', message: `etcd left out entries before ${fault.index}; asked again` }
    default:
      throw new TypeError(`no such fault: ${JSON.stringify(fault)}`)
  }
}
