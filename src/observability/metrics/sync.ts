/**
 * @module The metrics of synchronisation: names, what the runs count as they go, and what is read of each source at
 * a scrape. Labels are bounded by the configuration (sources) and by fixed lists (results, outcomes, reasons).
 */
import { Counts } from './counts.ts'
import type { Metrics } from './metrics.ts'

export type SyncRequestClass = 'api' | 'list' | 'manifest' | 'blob' | 'token'

/** Where the bytes of a blob came from: upstream, what is held here, a fetch for somebody else. */
export type SyncByteSource = 'downloaded' | 'linked' | 'joined'

/** What runs report as it happens. Each call is one addition in memory. */
export interface SyncMetrics {
  /** `status` 0: there was no answer. */
  request(source: string, kind: SyncRequestClass, status: number): void
  bytes(source: string, from: SyncByteSource, count: number): void
  /** One of the fixed words of `sync/port.ts`. */
  failure(source: string, reason: string): void
  tag(source: string, outcome: string, count: number): void
  run(source: string, result: string): void
  /** Upstream's time of the oldest change that is not copied, ms since 1970; undefined: all is. */
  oldestPending(source: string, at: number | undefined): void
}

/** What is read of one source at a scrape. Times are ms since 1970. */
export interface SyncReading {
  readonly name: string
  readonly lastOkAt: number | undefined
  readonly lastRunMs: number | undefined
  readonly pendingTags: number
  /** The last run that ended was whole. */
  readonly isComplete: boolean
}

export class SyncCounters implements SyncMetrics {
  readonly requests = new Counts()
  readonly fetched = new Counts()
  readonly failures = new Counts()
  readonly tags = new Counts()
  readonly runs = new Counts()
  /** By source. */
  readonly pendingSince = new Map<string, number | undefined>()

  request(job: string, kind: SyncRequestClass, status: number): void {
    // What an upstream answers must not make series without an end.
    const isKnown = Number.isInteger(status) && status >= 100 && status < 600
    this.requests.add({ job, class: kind, code: isKnown ? String(status) : '0' })
  }

  bytes(job: string, source: SyncByteSource, count: number): void {
    if (count > 0) this.fetched.add({ job, source }, count)
  }

  failure(job: string, reason: string): void {
    this.failures.add({ job, reason })
  }

  tag(job: string, outcome: string, count: number): void {
    this.tags.add({ job, outcome }, count)
  }

  run(job: string, result: string): void {
    this.runs.add({ job, result })
  }

  oldestPending(job: string, at: number | undefined): void {
    this.pendingSince.set(job, at)
  }
}

/** `read` is called at each scrape; `now` is ms since 1970. */
export function declareSyncMetrics(
  metrics: Metrics,
  counters: SyncCounters,
  read: () => readonly SyncReading[],
  now: () => number,
): void {
  const counter = (name: string, help: string, label: readonly string[], counts: Counts) =>
    metrics.table('counter', `fastregistry_sync_${name}`, help, ['job', ...label], counts.rows)
  const gauge = (
    name: string,
    help: string,
    value: (reading: SyncReading) => number | undefined,
  ) => {
    const rows = () =>
      read().flatMap((reading) => {
        const found = value(reading)
        return found === undefined ? [] : [{ labels: { job: reading.name }, value: found }]
      })
    metrics.table('gauge', `fastregistry_sync_${name}`, help, ['job'], rows)
  }
  counter('runs_total', 'Runs by how they ended.', ['result'], counters.runs)
  counter('tags_total', 'Tags by what came of them.', ['outcome'], counters.tags)
  counter('failures_total', 'Failures by reason.', ['reason'], counters.failures)
  counter('bytes_total', 'Bytes of blobs by where they came from.', ['source'], counters.fetched)
  counter(
    'upstream_requests_total',
    'Requests sent upstream, by class and status (0: no answer).',
    ['class', 'code'],
    counters.requests,
  )
  gauge('last_success_timestamp_seconds', 'When the last whole run ended.', ({ lastOkAt }) =>
    lastOkAt === undefined ? undefined : lastOkAt / 1_000,
  )
  gauge('last_run_duration_seconds', 'How long the last run took.', ({ lastRunMs }) =>
    lastRunMs === undefined ? undefined : lastRunMs / 1_000,
  )
  gauge('pending_tags', 'Tags that wait to be copied or to be tried again.', (it) => it.pendingTags)
  metrics.table(
    'gauge',
    'fastregistry_sync_lag_seconds',
    'Age of the oldest change of upstream that is not copied; 0: all is.',
    ['job'],
    () =>
      [...counters.pendingSince].map(([job, at]) => ({
        labels: { job },
        value: at === undefined ? 0 : Math.max(0, now() - at) / 1_000,
      })),
  )
  gauge('complete', '1 when the last run left nothing out.', ({ isComplete }) => Number(isComplete))
}
