/**
 * @module What an operator can see of the syncs and ask of them. The admin API, the command line and the metrics
 * know this and nothing else of `sync/`.
 */
import type { SyncRunRow } from '../metadata/rows/upstream.ts'
import type { TagOutcome } from './copy/outcome.ts'

export type SyncRunState = 'idle' | 'running' | 'waiting' | 'paused' | 'cancelled'

export type SyncPhase = 'probing' | 'listing' | 'copying' | 'referrers' | 'pruning' | 'waiting'

export type SyncResult = 'ok' | 'partial' | 'failed' | 'cancelled'

/** Sums of a run so far. Tags of an incremental run are those that it looked at. */
export interface SyncProgress {
  readonly totalRepositories: number
  readonly syncedRepositories: number
  readonly failedRepositories: number
  /** Selected tags; those that are attached to others do not count. */
  readonly totalTags: number
  readonly syncedTags: number
  readonly failedTags: number
  /** Blobs to fetch or to link, without manifests. */
  readonly bytesTotal: number
  readonly bytesSynced: number
  /** By where they came from. */
  readonly downloadedBytes: number
  readonly linkedBytes: number
  readonly joinedBytes: number
  readonly startedAt: number
}

export type SyncCounts = Readonly<Record<TagOutcome | 'pruned', number>>

export interface SyncFailure {
  readonly repository: string
  /** Undefined: the repository as a whole. */
  readonly tag?: string
  readonly digest?: string
  readonly reason: string
  readonly message: string
  readonly attempts: number
  readonly nextRetryAt?: number
}

export interface SyncStatus {
  readonly name: string
  readonly type: string
  readonly url: string
  readonly mode: string
  readonly schedule: string | undefined
  readonly state: SyncRunState
  /** Why it waits, or what a person has to know. */
  readonly message: string | undefined
  readonly phase: SyncPhase | undefined
  /** Of the running run, or of the last one. */
  readonly progress: SyncProgress | undefined
  readonly isListingComplete: boolean
  readonly counts: SyncCounts
  /** At most 100. */
  readonly failures: readonly SyncFailure[]
  /** Tags that are being copied now, at most 100. */
  readonly current: readonly { readonly repository: string; readonly tag: string }[]
  /** Bytes a second over the last 30 s. */
  readonly rate: number
  /** Undefined until the listing is complete. */
  readonly etaSeconds: number | undefined
  /** Tags that the run looked at and upstream lets end, and the first time, ms since 1970. */
  readonly expiring?: { readonly tags: number; readonly firstAt: number } | undefined
  readonly lastRunAt: number | undefined
  readonly lastResult: SyncResult | undefined
  readonly lastOkAt: number | undefined
  readonly nextRunAt: number | undefined
  readonly runningJob: string | undefined
  /** What upstream says is left of its limit. */
  readonly budget: { readonly limit?: number; readonly remaining?: number } | undefined
  /** The source as configured, without secrets. */
  readonly source: Readonly<Record<string, unknown>>
}

export interface SyncRequest {
  /** Who asked. */
  readonly by: string
  /** Patterns or names of upstream; undefined: all that is selected. */
  readonly repositories?: readonly string[]
  readonly tags?: readonly string[]
  /** Ignores watermarks. */
  readonly isFull?: boolean
  /** Ignores the waits after failures. */
  readonly isForced?: boolean
  /** Makes a prune plan and deletes nothing. */
  readonly plansPrune?: boolean
  /** Goes on with a run whose request is not known any more: nothing is deleted. */
  readonly isResumed?: boolean
}

/** What a run would do to one tag. */
export interface SyncPlanItem {
  readonly repository: string
  readonly tag: string
  /** What a copy would come to; `prune`: what a full pass would count as missed. */
  readonly action: string
  readonly reason: string
  /** When upstream itself lets the tag end, ms since 1970. */
  readonly upstreamExpiresAt?: number
}

/** A dry run: it can be looked at, not applied. */
export interface SyncPlan {
  readonly plan: string
  readonly bytes: number
  readonly requests: number
  readonly items: readonly SyncPlanItem[]
  /** Items beyond those that are listed. */
  readonly omitted?: number
  /** What may still be written here before the reserve of the disk. There are no quotas of repositories. */
  readonly freeBytes?: number
  /** What upstream says is left of its limit. */
  readonly budget?: { readonly limit?: number; readonly remaining?: number }
}

/** One upstream tag: which rule selected or dropped it, what came of it, when it is tried next. */
export interface SyncExplanation {
  readonly repository: string
  readonly tag: string
  readonly local: string | undefined
  readonly isSelected: boolean
  readonly rule: string
  readonly upstreamDigest: string | undefined
  readonly localDigest: string | undefined
  readonly isOwned: boolean
  readonly outcome: string | undefined
  readonly reason: string | undefined
  readonly message: string | undefined
  readonly attempts: number
  readonly nextRetryAt: number | undefined
  /** When upstream itself lets the tag end: it does not end here for that. */
  readonly upstreamExpiresAt: number | undefined
}

export type SyncTrigger =
  | { readonly kind: 'started'; readonly id: string; readonly ended: Promise<void> }
  | { readonly kind: 'running' }
  /** Paused: it runs when it is resumed. */
  | { readonly kind: 'remembered' }
  | { readonly kind: 'unknown' }

export interface Syncs {
  /** In the order of the configuration. */
  readonly names: readonly string[]
  /** Undefined: no such source. */
  status(name: string): SyncStatus | undefined
  /** Starts a run. Its row and its job are on disk when this resolves. */
  trigger(name: string, request: SyncRequest): Promise<SyncTrigger>
  /** What `trigger` would do; nothing is written. Throws an `UpstreamError` or a `SyncError` when upstream cannot be asked. */
  dryRun(name: string, request: SyncRequest, signal: AbortSignal): Promise<SyncPlan>
  /** False when it does not run, or there is no such source. */
  cancel(name: string): boolean
  /** On disk when it resolves; false when there is no such source. A running run ends after its current tags. */
  pause(name: string): Promise<boolean>
  resume(name: string): Promise<boolean>
  /** The newest first, at most 100. */
  runs(name: string): readonly SyncRunRow[]
  /** Asks upstream for the tag. */
  explain(
    name: string,
    repository: string,
    tag: string,
    signal: AbortSignal,
  ): Promise<SyncExplanation | undefined>
  /**
   * Notes that upstream may have changed there: looked at after 2, 30 and 150 s. Names outside of the selection
   * are ignored, bursts are joined. `tag` undefined: any tag of it.
   */
  hint(
    name: string,
    changed: readonly { readonly repository: string; readonly tag?: string }[],
  ): void
  /** Whether a secret is the source's hook secret, in constant time; undefined: the source takes no hooks. */
  isHookSecret(name: string, secret: string): Promise<boolean | undefined>
}
