/**
 * @module What the collector is given, what it can be asked for, and the row that says where it stands.
 */
import * as v from 'valibot'
import type { CleanupConfig } from '../config/config.ts'
import type { HeadPromise } from '../distribution/head-promise.ts'
import type { PullTimes } from '../distribution/pull-times.ts'
import type { Jobs } from '../jobs/jobs.ts'
import type { MemberRun } from '../jobs/leads.ts'
import type { MetadataStore } from '../metadata/port.ts'
import type { JobState } from '../metadata/rows/jobs.ts'
import type { PinRow } from '../metadata/schema.ts'
import type { Digest } from '../registry/digest.ts'
import type { Clock } from '../runtime/clock.ts'
import type { KeyedLock } from '../runtime/keyed-lock.ts'
import type { StoreSetup } from '../storage/setup.ts'
import type { ClockGuard } from './clock-guard.ts'
import type { Plans } from './plan/plans.ts'
import { type OldestRows, PURGED } from './sweep/purge.ts'
import type { Freed } from './totals.ts'

/** What a collection has to know of the mesh that it runs in. */
export interface SharedCollection {
  /** This node's run; undefined while it has none. */
  readonly run: () => MemberRun | undefined
  /** How far the clocks of the nodes are apart, ms. */
  readonly spreadMs: () => number
  /** By how much a stored time of a pull may lag, ms. */
  readonly pullsLagMs: number
}

export interface CollectorOptions {
  readonly metadata: MetadataStore
  /** For the collection's worker. */
  readonly setup: StoreSetup
  readonly digestLock: KeyedLock
  readonly forget: (digest: Digest) => void
  /** Files of blobs follow their rows by themselves. */
  readonly filesFollow?: boolean | undefined
  readonly clock: Clock
  readonly config: CleanupConfig
  readonly jobs: Jobs
  readonly plans: Plans
  readonly clockGuard: ClockGuard
  readonly headPromise: HeadPromise
  readonly pulls: PullTimes
  readonly uploads: { sweep(): Promise<void> }
  /** Repositories that belong to a mirror: they have rules of their own. */
  readonly isMirrored: (repository: string) => boolean
  readonly pins: () => (readonly [string, PinRow])[]
  /** Policies that say `dry_run`: applied by hand only, by fingerprint. */
  readonly dryRules: ReadonlySet<string>
  /** Removes old history. */
  readonly prune: () => Promise<void>
  /** Reports what a sweep or purge removed. */
  readonly onFreed: (freed: Freed) => void
  /** Reports how each run ended. */
  readonly onEnded: (state: JobState, counts: Readonly<Record<string, number>>) => void
  readonly onStep: () => void
  readonly log: CollectorLog
  /** Undefined: this node is alone. */
  readonly shared?: SharedCollection | undefined
}

export interface CollectorLog {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

export type RunRequest = { readonly by: string; readonly acceptClock?: boolean } & (
  | { readonly kind: 'run'; readonly isScheduled?: boolean }
  | { readonly kind: 'plan' }
  | { readonly kind: 'apply'; readonly plan: string }
)

const rowSchema = v.object({
  job: v.string(),
  kind: v.picklist(['run', 'plan', 'apply']),
  isScheduled: v.boolean(),
  by: v.string(),
  plan: v.string(),
  phase: v.picklist(['mark', 'sweep']),
  cursor: v.object({
    stage: v.picklist(['repositories', 'blobs', 'done']),
    after: v.optional(v.string()),
  }),
  fileBytes: v.number(),
  offset: v.number(),
  now: v.number(),
})

const oldestSchema = v.record(v.picklist(PURGED), v.number())

export type RunStateRow = Omit<v.InferOutput<typeof rowSchema>, 'cursor'> & {
  readonly cursor: {
    readonly stage: 'repositories' | 'blobs' | 'done'
    readonly after: string | undefined
  }
}

/** Where the run stands, as a row of `cursors`. */
export class RunState {
  readonly #metadata: MetadataStore

  constructor(metadata: MetadataStore) {
    this.#metadata = metadata
  }

  /** Undefined when no run was interrupted, or its row is of another version. */
  read(): RunStateRow | undefined {
    const text = this.#metadata.get('progress', 'gc')
    if (text === undefined) return undefined
    const parsed = v.safeParse(rowSchema, JSON.parse(text))
    if (!parsed.success) return undefined
    const { stage, after } = parsed.output.cursor
    return { ...parsed.output, cursor: { stage, after } }
  }

  async write(row: RunStateRow): Promise<void> {
    await this.#put('gc', row)
  }

  /** What the last purge left; nothing when its row is of another version. */
  readOldest(): OldestRows {
    const text = this.#metadata.get('progress', 'purge')
    if (text === undefined) return {}
    const parsed = v.safeParse(oldestSchema, JSON.parse(text))
    return parsed.success ? (parsed.output as OldestRows) : {}
  }

  async writeOldest(oldest: OldestRows): Promise<void> {
    await this.#put('purge', oldest)
  }

  async #put(key: string, row: object): Promise<void> {
    await this.#metadata.commit({
      checks: [],
      changes: [{ change: 'put', in: 'progress', key, row: JSON.stringify(row) }],
    })
  }

  async clear(): Promise<void> {
    await this.#metadata.commit({
      checks: [],
      changes: [{ change: 'delete', in: 'progress', key: 'gc' }],
    })
  }
}
