/**
 * @module Rows of what is known of other registries: what mirrors have seen there, what syncs have copied
 * from there.
 */
import type { Digest } from '../../registry/digest.ts'

/** Milliseconds since the epoch, by our clock where nothing else is said. */
type Timestamp = number

/** What a mirror knows of a tag: which manifest upstream meant by it, and since when. */
export interface MirrorTagRow {
  /** Last digest that upstream named. The tag is ours as long as it points there. */
  readonly digest: string
  /** The digest that is being fetched: after a crash the tag may point to either. */
  readonly next?: string
  readonly checkedAt: Timestamp
  /** Upstream has said since then that it is not there any more. */
  readonly goneAt?: Timestamp
}

/** A blob that a mirror has fetched. Pull times lag behind and may be lost in a crash. */
export interface MirrorBlobRow {
  readonly sizeBytes: number
  readonly addedAt: Timestamp
  readonly pulledAt: Timestamp
}

export interface MirrorSeenRow {
  readonly firstSeenAt: Timestamp
}

/** What the history says of syncs, beside the moves of tags. */
export type SyncAction =
  | 'sync-started'
  | 'sync-finished'
  | 'sync-failed'
  | 'sync-conflict'
  | 'sync-shrunk'

/** One run of a source of a sync. Words of states, phases and reasons are those of `sync/`. */
export interface SyncRunRow {
  readonly startedAt: Timestamp
  readonly endedAt?: Timestamp
  /** Its job. */
  readonly job?: string
  /** What began it: a schedule, a start, a person, a hook. */
  readonly by: string
  readonly result?: string
  readonly message?: string
  readonly isListingComplete: boolean
  /** Repositories, tags by outcome, bytes by where they came from. */
  readonly counts: Readonly<Record<string, number>>
}

/** Since when, and in how many full passes in a row, upstream has not listed something. */
export interface SyncMissing {
  readonly since: Timestamp
  readonly passes: number
  /** Undefined: the tag is not listed. A count of another kind begins again. */
  readonly kind?: 'unselected' | 'repository'
  /** Upstream's history says that it was deleted, which could not be confirmed. */
  readonly isTold?: true
}

/** What a sync knows of a repository of its source. Times of pushes are by upstream's clock. */
export interface SyncRepositoryRow {
  /** Its name here. */
  readonly local: string
  /** The latest push that was seen, once everything before it has ended. */
  readonly watermark?: Timestamp
  readonly fullPassAt?: Timestamp
  /** Of what selects and maps: another one lets everything be looked at again. */
  readonly fingerprint: string
  readonly isListingComplete: boolean
  /** When upstream said that a tag of it was set last, as it was said: clocks of upstreams are set back. */
  readonly changedAt?: Timestamp
  /** Live tags of the last full pass. */
  readonly tags?: number
  /** Of a source that tells what changed: what it told is not all done. */
  readonly unfinished?: SyncUnfinished
}

export interface SyncUnfinished {
  /** `tags`: those whose rows say so. `list`: all of them have to be listed. */
  readonly kind: 'tags' | 'list'
  readonly attempts: number
  readonly retryAt: Timestamp
  readonly reason: string
}

/** What a sync knows of a tag of its source. */
export interface SyncTagRow {
  /** The repository here. */
  readonly local: string
  readonly outcome: string
  readonly at: Timestamp
  readonly attempts: number
  /** What upstream meant by it when it was looked at last. */
  readonly upstream?: Digest
  readonly pushedAt?: Timestamp
  /** What the sync has written here: the tag is its own as long as it points there. */
  readonly wrote?: Digest
  readonly reason?: string
  readonly message?: string
  readonly nextRetryAt?: Timestamp
  readonly referrersCheckedAt?: Timestamp
  /** Of what failed since: upstream said that it lacks some of the index itself. */
  readonly isSparse?: boolean
  readonly missing?: SyncMissing
}

const tagFields: readonly (keyof SyncTagRow)[] = [
  'local',
  'outcome',
  'at',
  'attempts',
  'upstream',
  'wrote',
]

/** As most of them are written: stored without the names of their fields. Append only. */
export const syncTagShapes: readonly (readonly string[])[] = [
  tagFields,
  [...tagFields, 'pushedAt'],
  [...tagFields, 'referrersCheckedAt'],
  [...tagFields, 'pushedAt', 'referrersCheckedAt'],
]

/** What a source of a sync remembers across restarts. */
export interface SyncStateRow {
  readonly isPaused: boolean
  /** A tick came during a run: one more follows. */
  readonly hasTick: boolean
  /** A run was begun and not ended. */
  readonly running?: string
  readonly lastRunAt?: Timestamp
  /** The last run that was whole, and what it selected. */
  readonly lastOkAt?: Timestamp
  readonly fingerprint?: string
  /** What the last run selected that has listed everything, whatever it came to. */
  readonly listedFingerprint?: string
  /** Names that the source had before: what it wrote then is its own. */
  readonly formerly?: readonly string[]
  /** The place in upstream's own history up to which all is done, and what was selected then. */
  readonly cursor?: string
  readonly cursorFingerprint?: string
  /** Start of the last run that has listed everything to its end, of a source that tells what changed. */
  readonly fullPassAt?: Timestamp
  /** Selected repositories of the last complete list. */
  readonly repositories?: number
  /** Failures of the credential in a row, and when it is tried again. */
  readonly refusals?: number
  readonly refusedUntil?: Timestamp
}

/** Tags of a source that it would delete, and what came of it. Words of reasons are those of `sync/`. */
export interface SyncPlanRow {
  readonly source: string
  readonly createdAt: Timestamp
  readonly by: string
  /** `superseded`: a later full pass has looked again. */
  readonly state: 'ready' | 'applying' | 'applied' | 'stopped' | 'superseded'
  /** Of what selected and mapped when it was made: with another one it is not applied. */
  readonly fingerprint: string
  /** Why it waits for an operator; none: it was applied when it was made. */
  readonly reasons: readonly string[]
  readonly counts: Readonly<Record<string, number>>
  readonly appliedAt?: Timestamp
  readonly appliedBy?: string
  /** Items by what became of them. */
  readonly outcome?: Readonly<Record<string, number>>
  readonly message?: string
}

export interface SyncPlanItemRow {
  /** Upstream's name. */
  readonly repository: string
  readonly local: string
  readonly tag: string
  /** What the sync has written here. */
  readonly digest: Digest
  readonly rule: 'gone' | 'unselected' | 'repository-gone'
}

/** Append only. */
export const syncPlanItemShapes: readonly (readonly string[])[] = [
  ['repository', 'local', 'tag', 'digest', 'rule'] satisfies (keyof SyncPlanItemRow)[],
]
