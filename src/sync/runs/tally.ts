/**
 * @module How far a run is: what was looked at, copied and refused, in numbers and in names.
 */
import type { SyncMetrics } from '../../observability/metrics/sync.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { CopyResult, CopyWatch, TagOutcome } from '../copy/outcome.ts'
import type { SyncCounts, SyncFailure, SyncPhase, SyncProgress, SyncStatus } from '../syncs.ts'

/** Failures and tags in work that are shown. */
const shownMax = 100

/** Tags that are not copied of which the time is kept. */
const lateMax = 10_000

/** Time over which the rate is told, ms. */
const rateMs = 30_000

/** Pieces of that time. */
const rateParts = 30

const NO_COUNTS: SyncCounts = {
  copied: 0,
  unchanged: 0,
  referrers_updated: 0,
  kept: 0,
  conflict: 0,
  skipped: 0,
  rejected: 0,
  gone: 0,
  failed: 0,
  pruned: 0,
}

/** Outcomes of tags that have what they need here, or want nothing. */
const WITHOUT_FAULT: ReadonlySet<TagOutcome> = new Set([
  'copied',
  'unchanged',
  'referrers_updated',
  'kept',
  'conflict',
  'skipped',
])

export class Tally {
  readonly startedAt: number
  readonly #clock: Clock
  readonly #metrics: SyncMetrics
  readonly #source: string
  readonly #counts: Record<keyof SyncCounts, number> = { ...NO_COUNTS }
  readonly #failures = new Map<string, SyncFailure>()
  readonly #current = new Map<string, Current>()
  /** When upstream set the tags that are not copied, by its clock. */
  readonly #late = new Map<string, number>()
  /** Bytes by piece of time. */
  readonly #pieces = new Map<number, number>()
  #expiring: SyncStatus['expiring']
  #phase: SyncPhase = 'probing'
  /** Why it waits. */
  waiting: string | undefined
  isListingComplete = false
  repositories = 0
  synced = 0
  failed = 0
  #tags = 0
  #syncedTags = 0
  #failedTags = 0
  #leftOut = 0
  #downloaded = 0
  #linked = 0
  #joined = 0

  /** `source`: whose metrics count it. */
  constructor(clock: Clock, metrics: SyncMetrics, source: string) {
    this.#clock = clock
    this.#metrics = metrics
    this.#source = source
    this.startedAt = clock.now()
  }

  get phase(): SyncPhase {
    const isCopying = this.#phase === 'copying' && this.#current.size > 0
    if (!isCopying) return this.#phase
    // As long as one image is on its way, that is what the run waits for.
    for (const { isAttaching } of this.#current.values()) if (!isAttaching) return this.#phase
    return 'referrers'
  }

  set phase(phase: SyncPhase) {
    this.#phase = phase
  }

  get counts(): SyncCounts {
    return { ...this.#counts }
  }

  get failures(): readonly SyncFailure[] {
    return [...this.#failures.values()].slice(0, shownMax)
  }

  get current(): readonly { readonly repository: string; readonly tag: string }[] {
    const some = [...this.#current.values()].slice(0, shownMax)
    return some.map(({ repository, tag }) => ({ repository, tag }))
  }

  /** Whether all that is selected is here, with what is attached to it. */
  get isWhole(): boolean {
    return this.failed === 0 && this.#failedTags === 0 && this.#leftOut === 0
  }

  get progress(): SyncProgress {
    const bytes = this.#downloaded + this.#linked + this.#joined
    let planned = 0
    for (const one of this.#current.values()) planned += one.plannedBytes
    return {
      totalRepositories: this.repositories,
      syncedRepositories: this.synced,
      failedRepositories: this.failed,
      totalTags: this.#tags,
      syncedTags: this.#syncedTags,
      failedTags: this.#failedTags,
      bytesTotal: bytes + planned,
      bytesSynced: bytes,
      downloadedBytes: this.#downloaded,
      linkedBytes: this.#linked,
      joinedBytes: this.#joined,
      startedAt: this.startedAt,
    }
  }

  /** Numbers of a job and of the row of a run. */
  get numbers(): Readonly<Record<string, number>> {
    return {
      repositories: this.repositories,
      failedRepositories: this.failed,
      tags: this.#tags,
      ...this.#counts,
      downloadedBytes: this.#downloaded,
      linkedBytes: this.#linked,
      joinedBytes: this.#joined,
    }
  }

  /** Bytes a second over the last 30 s. */
  get rate(): number {
    const now = this.#clock.monotonic()
    let bytes = 0
    for (const [at, some] of this.#pieces) if (at > now - rateMs) bytes += some
    return Math.round((bytes * 1_000) / rateMs)
  }

  /** By the repositories that are left; undefined until the listing is complete. */
  get etaSeconds(): number | undefined {
    const done = this.synced + this.failed
    if (!this.isListingComplete || done === 0) return undefined
    const seconds = Math.max(0, this.#clock.now() - this.startedAt) / 1_000
    return Math.round((seconds / done) * (this.repositories - done))
  }

  begin(repository: string, tag: string): void {
    const current = { repository, tag, plannedBytes: 0, isAttaching: false }
    this.#current.set(keyOf(repository, tag), current)
  }

  /** What a copy of a tag in work tells, from its begin. */
  watch(repository: string, tag: string): CopyWatch {
    const current = this.#current.get(keyOf(repository, tag))
    if (current !== undefined) Object.assign(current, { plannedBytes: 0, isAttaching: false })
    return {
      planned: (bytes) => {
        if (current !== undefined) current.plannedBytes += bytes
      },
      attaching: () => {
        if (current !== undefined) current.isAttaching = true
      },
    }
  }

  /** A selected tag. `endsAt`: when upstream itself lets it end. */
  wanted(endsAt?: number): void {
    this.#tags += 1
    if (endsAt === undefined) return
    const { tags = 0, firstAt = endsAt } = this.#expiring ?? {}
    this.#expiring = { tags: tags + 1, firstAt: Math.min(firstAt, endsAt) }
  }

  /** Of the selected tags those that upstream lets end; undefined: none. */
  get expiring(): SyncStatus['expiring'] {
    return this.#expiring
  }

  /** Counts what is no copy of a selected tag. */
  add(outcome: keyof SyncCounts, count = 1): void {
    this.#counts[outcome] += count
    if (count > 0) this.#metrics.tag(this.#source, outcome, count)
  }

  /** A selected tag has come to this. */
  ended(repository: string, tag: string, { outcome, counts }: CopyResult): void {
    const key = keyOf(repository, tag)
    this.#current.delete(key)
    this.#failures.delete(key)
    this.#late.delete(key)
    this.#counts[outcome] += 1
    this.#metrics.tag(this.#source, outcome, 1)
    this.#counts.referrers_updated += attachedOf(outcome, counts.attached)
    if (WITHOUT_FAULT.has(outcome)) this.#syncedTags += 1
    else if (outcome !== 'gone') this.#failedTags += 1
    this.bytes(counts)
  }

  bytes(counts: CopyResult['counts']): void {
    const { downloadedBytes, linkedBytes, joinedBytes } = counts
    this.#metrics.bytes(this.#source, 'downloaded', downloadedBytes)
    this.#metrics.bytes(this.#source, 'linked', linkedBytes)
    this.#metrics.bytes(this.#source, 'joined', joinedBytes)
    this.#downloaded += downloadedBytes
    this.#linked += linkedBytes
    this.#joined += joinedBytes
    const piece = rateMs / rateParts
    const at = Math.floor(this.#clock.monotonic() / piece) * piece
    this.#pieces.set(at, (this.#pieces.get(at) ?? 0) + downloadedBytes + joinedBytes)
    for (const old of this.#pieces.keys()) if (old <= at - rateMs) this.#pieces.delete(old)
  }

  /** A tag that failed is tried once more: it does not count until it ends. */
  again(): void {
    this.#counts.failed -= 1
    this.#failedTags -= 1
  }

  /** The tag is not copied since upstream set it, ms by its clock. */
  late(repository: string, tag: string, pushedAt: number): void {
    if (this.#late.size < lateMax) this.#late.set(keyOf(repository, tag), pushedAt)
  }

  /** The oldest of them; undefined: there is none whose time is known. */
  get oldestLate(): number | undefined {
    let oldest: number | undefined
    for (const at of this.#late.values()) oldest = Math.min(oldest ?? at, at)
    return oldest
  }

  /** What is attached to an image could not be brought, which is no tag of its own. */
  leftOut(): void {
    this.#leftOut += 1
  }

  fault(failure: SyncFailure): void {
    const { repository, tag = '', reason } = failure
    this.#metrics.failure(this.#source, reason)
    this.#current.delete(keyOf(repository, tag))
    if (this.#failures.size < shownMax) this.#failures.set(keyOf(repository, tag), failure)
  }

  stopped(repository: string, tag: string): void {
    this.#current.delete(keyOf(repository, tag))
  }
}

/** A tag in work. */
interface Current {
  readonly repository: string
  readonly tag: string
  /** Of the blobs that it has and that were not here, as far as its manifests are read. */
  plannedBytes: number
  isAttaching: boolean
}

export function noSyncCounts(): SyncCounts {
  return { ...NO_COUNTS }
}

function attachedOf(outcome: TagOutcome, attached: number): number {
  // Its own count is the first of them.
  return outcome === 'referrers_updated' ? Math.max(0, attached - 1) : attached
}

function keyOf(repository: string, tag: string): string {
  return `${repository}\n${tag}`
}
