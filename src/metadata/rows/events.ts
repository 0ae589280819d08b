/**
 * @module A line of the history. Times are milliseconds since the epoch.
 */
import type { Digest } from '../../registry/digest.ts'
import type { SyncAction } from './upstream.ts'

export type EventAction =
  | 'push'
  | 'push-blob'
  | 'mount'
  | `delete-${'tag' | 'manifest' | 'repository'}`
  | `undelete-${'tag' | 'manifest'}`
  | 'copy'
  | 'rename-repository'
  | 'pin'
  | 'unpin'
  | 'plan-applied'
  | 'signature-missing'
  | `signature-${'added' | 'removed'}`
  | 'verdict-changed'
  | 'pull-denied'
  | 'revoke'
  | 'unrevoke'
  | SyncAction

/** One line of the history, written with the change itself. */
export interface EventRow {
  readonly at: number
  readonly action: EventAction
  readonly repository: string
  readonly by: string
  readonly tag?: string
  readonly digest?: Digest
  /** What the tag pointed at before; the repository's other name. */
  readonly from?: string
  readonly why?: string
  /** By which it can be taken back while the window lasts. */
  readonly operation?: string
  /**
   * The latest time of all events up to this one, where its own is earlier: clocks are set back. So
   * a time can be looked for by halves (`event-log.ts`).
   */
  readonly clock?: number
}

/** Who deleted something, when and why: `client`, or the rule of a collection. */
export interface Removal {
  readonly at: number
  readonly by: string
  readonly why: string
  /** Of what people did as one, and can take back as one (`repositories/operations.ts`). */
  readonly operation?: string
}
