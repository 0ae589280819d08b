/**
 * @module What the metadata store and its writer say to each other: plain data only.
 */
import type { MessagePort } from 'node:worker_threads'
import type { WorkerFailure } from '../../../runtime/worker-failure.ts'
import type { Effect } from '../../effects.ts'
import type { Control, SeenEntry } from '../../entry.ts'
import type { CopyNews } from '../../log/copy-news.ts'
import type { EtcdLogOptions } from '../../log/etcd/log.ts'
import type { LogEntry, LogPlace } from '../../log/port.ts'
import type { SessionRow } from '../../rows/mesh.ts'
import type { CommitOutcome, Transaction } from '../../transaction.ts'

/** The one writer of the metadata: `workers/metadata-writer.ts`. */
export interface MetadataWriterSetup {
  readonly port: MessagePort
  readonly path: string
  readonly isRelaxed: boolean
}

export interface MetadataWriterRequest {
  readonly id: number
  readonly transactions: readonly Transaction[]
}

export type MetadataWriterReply =
  | { readonly kind: 'ready' }
  /** One outcome each, in order; all of it is on disk. */
  | { readonly kind: 'committed'; readonly id: number; readonly outcomes: readonly CommitOutcome[] }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: WorkerFailure }

/** Which log it is. */
export interface LogSettings
  extends Pick<EtcdLogOptions, 'endpoints' | 'cluster' | 'identity' | 'tls' | 'compact'> {
  /** The newest rules of the log that are known (`level.ts`). Default: those of the program. */
  readonly level?: number
}

/** The writer of a node of a mesh: what it commits goes through the log. */
export interface LogWriterSetup {
  readonly port: MessagePort
  readonly path: string
  readonly log: LogSettings
  readonly member: number
  /** Where the number of the last run is kept. */
  readonly bootFile: string
  /** Folder of what was applied last, for peers that the log leaves behind. */
  readonly tail: string
  /** Default: 64 MiB and 4 GiB. */
  readonly kept?: LogKept
}

/** How much the log keeps of what all have, and how much the tail of this node, bytes. */
export interface LogKept {
  readonly keepBytes: number
  readonly tailBytes: number
}

export type LogWriterRequest =
  | { readonly kind: 'commit'; readonly id: number; readonly transactions: readonly Transaction[] }
  /** The caller has waited long enough. */
  | { readonly kind: 'withdraw'; readonly id: number }
  /** `id`: the writer is to say when it is over. */
  | { readonly kind: 'say'; readonly controls: readonly Control[]; readonly id?: number }
  /** Asks for the last entry of the log. */
  | { readonly kind: 'head'; readonly id: number }
  /** Where the log is reached too. */
  | { readonly kind: 'endpoints'; readonly endpoints: readonly string[] }
  /** The log may forget what all have; `durable`: the last entry that is on all disks. */
  | { readonly kind: 'truncate'; readonly durable: number }
  /** Whether nothing more is applied for now. */
  | { readonly kind: 'hold'; readonly isHeld: boolean }
  /** What a peer has kept of the log, behind the last that was taken. */
  | { readonly kind: 'tail'; readonly entries: readonly LogEntry[] }
  /** Peers have no more. `hasSome`: some of it was taken. */
  | { readonly kind: 'tail-end'; readonly hasSome: boolean }

export type LogWriterReply =
  /** Follows the log from `applied` on. `sessions` by member, as they are stored. */
  | {
      readonly kind: 'ready'
      readonly boot: number
      readonly applied: number
      readonly sessions: readonly (readonly [number, SessionRow])[]
    }
  /** Entries were applied, in order; `effects` of all of them. */
  | {
      readonly kind: 'seen'
      readonly entries: readonly SeenEntry[]
      readonly effects: readonly Effect[]
      /** Transactions of other nodes among them. */
      readonly others: number
      /** What they mean to the files of blobs here: of those that mean something, in order. */
      readonly copies: readonly CopyNews[]
      /** The last entry that a loss of power cannot take. */
      readonly durable: number
    }
  /** One outcome each, in order. `index`: the last entry that any of them rests on. */
  | {
      readonly kind: 'settled'
      readonly id: number
      readonly index: number
      readonly outcomes: readonly CommitOutcome[]
      /** What changes of this node's own tables alone came to; all else was told with its entry. */
      readonly effects: readonly Effect[]
    }
  /** Nothing of it was done, nor will be. */
  | { readonly kind: 'not-done'; readonly id: number }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: WorkerFailure }
  /** What was said under that id was applied, or is void. */
  | { readonly kind: 'said'; readonly id: number }
  /** Undefined: the log cannot be asked. */
  | { readonly kind: 'head'; readonly id: number; readonly index: number | undefined }
  /** The log has forgotten what stands behind `place`: a peer may have it, up to the entry of index `upTo`. */
  | { readonly kind: 'cut'; readonly place: LogPlace; readonly upTo: number }
  /** The last entry that was applied; undefined: what the peer has sent is of no use. */
  | { readonly kind: 'tail-taken'; readonly index: number | undefined }
  /** Whether the log leaves an own entry unanswered for longer than usual. */
  | { readonly kind: 'silent'; readonly isSilent: boolean }
  | { readonly kind: 'fault'; readonly fault: LogFault }

/** What the person on call has to know of the log. */
export type LogFault =
  | { readonly is: 'cut' | 'refused' }
  /** The log ends before what was applied here: it was set back, and nothing is written any more. */
  | { readonly is: 'went-back'; readonly head: number; readonly applied: number }
  | { readonly is: 'tail'; readonly message: string }
  | { readonly is: 'gap'; readonly index: number }
  /** A member has other rows behind that entry. */
  | { readonly is: 'conflict'; readonly member: number; readonly index: number }
  /** So many have that nothing here can be believed: nothing is written or answered any more. */
  | { readonly is: 'fenced'; readonly index: number }
  /** The log has rules that this program does not know: nothing is written any more. */
  | { readonly is: 'outdated'; readonly level: number }
  | { readonly is: 'stuck'; readonly message: string }
  | { readonly is: 'poison'; readonly index: number; readonly message: string }
