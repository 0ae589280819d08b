/**
 * @module Syncs that do what a test tells them, and remember what they were asked for: for what stands on the
 * interface alone (admin API, commands, metrics).
 */
import type { SyncRunRow } from '../../src/metadata/rows/upstream.ts'
import type {
  SyncExplanation,
  SyncPlan,
  SyncRequest,
  SyncRunState,
  SyncStatus,
  Syncs,
  SyncTrigger,
} from '../../src/sync/syncs.ts'

export const noneCounted: SyncStatus['counts'] = {
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

export const startedAt = Date.parse('2026-03-01T10:00:00Z')

export function idleStatus(name: string, more: Partial<SyncStatus> = {}): SyncStatus {
  return {
    name,
    type: 'quay',
    url: `https://${name}.example`,
    mode: 'continuous',
    schedule: '*/15 * * * *',
    state: 'idle',
    message: undefined,
    phase: undefined,
    progress: undefined,
    isListingComplete: false,
    counts: noneCounted,
    failures: [],
    current: [],
    rate: 0,
    etaSeconds: undefined,
    lastRunAt: undefined,
    lastResult: undefined,
    lastOkAt: undefined,
    nextRunAt: undefined,
    runningJob: undefined,
    budget: undefined,
    source: { name, type: 'quay' },
    ...more,
  }
}

export const someProgress: NonNullable<SyncStatus['progress']> = {
  totalRepositories: 3,
  syncedRepositories: 2,
  failedRepositories: 1,
  totalTags: 40,
  syncedTags: 30,
  failedTags: 4,
  bytesTotal: 2_000_000,
  bytesSynced: 500_000,
  downloadedBytes: 400_000,
  linkedBytes: 70_000,
  joinedBytes: 30_000,
  startedAt,
}

/** The id of the run that `trigger` starts. */
export const runId = '000001772359200-0123456789abcdef'

export class FakeSyncs implements Syncs {
  readonly statuses: Map<string, SyncStatus>
  readonly rows = new Map<string, SyncRunRow[]>()
  readonly secrets = new Map<string, string>()
  readonly asked: (readonly unknown[])[] = []
  plan: SyncPlan | Error = { plan: 'dry', bytes: 0, requests: 0, items: [] }
  explanation: SyncExplanation | Error | undefined
  /** What becomes of a run that was started. */
  onStarted: (name: string) => void = () => undefined

  constructor(...statuses: readonly SyncStatus[]) {
    this.statuses = new Map(statuses.map((status) => [status.name, status]))
  }

  get names(): readonly string[] {
    return [...this.statuses.keys()]
  }

  set(name: string, more: Partial<SyncStatus>): void {
    this.statuses.set(name, { ...this.statuses.get(name)!, ...more })
  }

  status(name: string): SyncStatus | undefined {
    return this.statuses.get(name)
  }

  async trigger(name: string, request: SyncRequest): Promise<SyncTrigger> {
    this.asked.push(['trigger', name, request])
    const status = this.statuses.get(name)
    if (status === undefined) return { kind: 'unknown' }
    if (status.state === 'paused') return { kind: 'remembered' }
    if (status.runningJob !== undefined) return { kind: 'running' }
    this.set(name, { state: 'running', runningJob: runId, lastRunAt: startedAt })
    this.onStarted(name)
    return { kind: 'started', id: runId, ended: Promise.resolve() }
  }

  async dryRun(name: string, request: SyncRequest): Promise<SyncPlan> {
    this.asked.push(['dryRun', name, request])
    if (this.plan instanceof Error) throw this.plan
    return this.plan
  }

  cancel(name: string): boolean {
    this.asked.push(['cancel', name])
    return this.statuses.get(name)?.runningJob !== undefined
  }

  async pause(name: string): Promise<boolean> {
    return this.#become('pause', name, 'paused')
  }

  async resume(name: string): Promise<boolean> {
    return this.#become('resume', name, 'idle')
  }

  runs(name: string): readonly SyncRunRow[] {
    return this.rows.get(name) ?? []
  }

  async explain(
    ...[name, repository, tag]: Parameters<Syncs['explain']>
  ): Promise<SyncExplanation | undefined> {
    this.asked.push(['explain', name, repository, tag])
    if (this.explanation instanceof Error) throw this.explanation
    return this.explanation
  }

  hint(...[name, changed]: Parameters<Syncs['hint']>): void {
    this.asked.push(['hint', name, changed])
  }

  async isHookSecret(name: string, secret: string): Promise<boolean | undefined> {
    const own = this.secrets.get(name)
    return own === undefined ? undefined : own === secret
  }

  #become(what: string, name: string, state: SyncRunState): boolean {
    this.asked.push([what, name])
    if (!this.statuses.has(name)) return false
    this.set(name, { state })
    return true
  }
}
