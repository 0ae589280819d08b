/**
 * @module Rows of clean-up: what was deleted and can come back, what was pulled when, what is pinned,
 * what happened, which jobs ran. Keys and databases are listed in `schema.ts`.
 */
import type { Digest } from '../registry/digest.ts'
import type { ManifestRow, ReferrerRow, TagRow, Timestamp } from './schema.ts'

/** Who deleted something, when and why: `client`, or the rule of a collection. */
export interface Removal {
  readonly at: Timestamp
  readonly by: string
  readonly why: string
}

/** A manifest that was taken out of a repository; its bytes and edges stay until it is purged. */
export interface DeletedManifestRow extends Removal {
  readonly row: ManifestRow
  readonly referrer?: ReferrerRow
  /** Tags that went with it; bounded by `deletedTagsMax`. */
  readonly tags: readonly string[]
  /** Children that the repository did not have: an undelete must not link them. */
  readonly absent?: readonly string[]
}

export const deletedTagsMax = 1_000

/** A tag that was removed, with what it was. */
export interface DeletedTagRow extends Removal {
  readonly row: TagRow
}

/** A blob without its row: inline bytes stay in `blobBytes`, a file lies in `trash/`. */
export interface TrashRow {
  readonly sizeBytes: number
  readonly place: 'inline' | 'file'
  readonly createdAt: Timestamp
  readonly trashedAt: Timestamp
}

/** Protects a digest from every rule and from deletion. */
export interface PinRow {
  /** Undefined: in every repository. */
  readonly repository?: string
  /** Undefined: until it is removed. */
  readonly expiresAt?: Timestamp
  readonly note: string
  readonly createdAt: Timestamp
  readonly by: string
}

export type EventAction =
  | 'push'
  | 'push-blob'
  | 'mount'
  | 'delete-tag'
  | 'delete-manifest'
  | 'undelete-tag'
  | 'undelete-manifest'
  | 'copy'
  | 'delete-repository'
  | 'rename-repository'
  | 'pin'
  | 'unpin'
  | 'plan-applied'

/** One line of the history, written with the change itself. */
export interface EventRow {
  readonly at: Timestamp
  readonly action: EventAction
  readonly repository: string
  readonly by: string
  readonly tag?: string
  readonly digest?: Digest
  /** What the tag pointed at before; the repository's other name. */
  readonly from?: string
  readonly why?: string
  /**
   * The latest time of all events up to this one, where its own is earlier: clocks are set back. So
   * a time can be looked for by halves (`event-log.ts`).
   */
  readonly clock?: Timestamp
}

export type JobState = 'running' | 'done' | 'failed' | 'cancelled' | 'stopped'

export interface JobRow {
  readonly kind: string
  readonly state: JobState
  readonly by: string
  readonly createdAt: Timestamp
  readonly endedAt?: Timestamp
  readonly plan?: string
  /** Free counters: candidates, items, bytes. */
  readonly counts: Readonly<Record<string, number>>
  readonly message?: string
}

/** A plan's summary; its items are lines of a file below `plans/`. */
export interface PlanRow {
  readonly createdAt: Timestamp
  readonly by: string
  readonly kind: 'collection' | 'bulk-delete'
  readonly state: 'ready' | 'applying' | 'applied' | 'stopped'
  readonly appliedAt?: Timestamp
  /** Items by kind, and bytes that applying wins. */
  readonly counts: Readonly<Record<string, number>>
  readonly bytes: number
  /** Rules that delete tags here and were never applied before. */
  readonly unapproved: readonly string[]
  /** Rules whose items the plan holds. */
  readonly rules: readonly string[]
  /** Why a run that made it did not apply it. */
  readonly message?: string
}
