/**
 * @module The metrics of mirrors: names, and what each is of a mirror's state. Labels are bounded by
 * the configuration (mirrors, credentials) and by fixed lists (failures).
 */
import type { LabelledRow, Metrics } from './metrics.ts'

/** Upper bounds of the first-byte histogram, seconds. */
export const FIRST_BYTE_BOUNDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40] as const

/** What a mirror tells of itself. */
export interface MirrorReading {
  readonly name: string
  readonly upstreams: readonly string[]
  readonly maxBytes: number | undefined
  readonly hits: number
  readonly misses: number
  readonly joined: number
  readonly stale: number
  readonly negative: number
  readonly passed: number
  readonly evictedBlobs: number
  readonly evictedBytes: number
  readonly evictedManifests: number
  readonly headRequests: number
  readonly getRequests: number
  readonly upstreamBytes: number
  readonly savedBytes: number
  readonly storedBytes: number
  readonly storedBlobs: number
  readonly failures: Readonly<Record<string, number>>
  readonly firstByteSeconds: number
  readonly firstByteCount: number
  /** How many were at most each of `FIRST_BYTE_BOUNDS`, and in all. */
  readonly firstByteBuckets: readonly number[]
  readonly breakers: readonly { readonly host: string; readonly state: string }[]
  readonly budgets: readonly {
    readonly credential: string
    readonly limit: number | undefined
    readonly remaining: number | undefined
  }[]
}

const BREAKER_VALUES: Readonly<Record<string, number>> = { closed: 0, 'half-open': 1, open: 2 }

/** `read` is called at each scrape. */
export function declareMirrorMetrics(metrics: Metrics, read: () => readonly MirrorReading[]): void {
  const each = (rows: (reading: MirrorReading) => readonly LabelledRow[]) => () =>
    read().flatMap((reading) =>
      rows(reading).map(({ labels, value }) => ({
        labels: { mirror: reading.name, ...labels },
        value,
      })),
    )
  const one = (value: (reading: MirrorReading) => number) =>
    each((reading) => [{ labels: {}, value: value(reading) }])
  const counter = (
    name: string,
    help: string,
    labels: readonly string[],
    rows: () => readonly LabelledRow[],
  ) => metrics.table('counter', `fastregistry_mirror_${name}`, help, ['mirror', ...labels], rows)
  const gauge = (
    name: string,
    help: string,
    labels: readonly string[],
    rows: () => readonly LabelledRow[],
  ) => metrics.table('gauge', `fastregistry_mirror_${name}`, help, ['mirror', ...labels], rows)

  counter(
    'pulls_total',
    'Pulls by how they were answered.',
    ['outcome'],
    each((it) =>
      (['hits', 'misses', 'joined', 'stale', 'negative', 'passed'] as const).map((outcome) => ({
        labels: { outcome },
        value: it[outcome],
      })),
    ),
  )
  counter(
    'upstream_requests_total',
    'Requests sent upstream.',
    ['method'],
    each((it) => [
      { labels: { method: 'HEAD' }, value: it.headRequests },
      { labels: { method: 'GET' }, value: it.getRequests },
    ]),
  )
  counter(
    'upstream_errors_total',
    'Failures of upstream by class.',
    ['class'],
    each((it) =>
      Object.entries(it.failures).map(([kind, value]) => ({ labels: { class: kind }, value })),
    ),
  )
  counter(
    'upstream_received_bytes_total',
    'Body bytes from upstream.',
    [],
    one((it) => it.upstreamBytes),
  )
  counter(
    'saved_bytes_total',
    'Bytes answered from the cache.',
    [],
    one((it) => it.savedBytes),
  )
  metrics.histogram(
    'fastregistry_mirror_first_byte_seconds',
    "Time to upstream's first byte.",
    FIRST_BYTE_BOUNDS,
    () =>
      read().map((it) => ({
        labels: { mirror: it.name },
        buckets: it.firstByteBuckets,
        sum: it.firstByteSeconds,
      })),
  )
  counter(
    'evicted_blobs_total',
    'Blobs taken out to make room.',
    [],
    one((it) => it.evictedBlobs),
  )
  counter(
    'evicted_bytes_total',
    'Their bytes.',
    [],
    one((it) => it.evictedBytes),
  )
  counter(
    'evicted_manifests_total',
    'Manifests that were used less recently than those blobs.',
    [],
    one((it) => it.evictedManifests),
  )
  gauge(
    'stored_bytes',
    'Bytes of cached blobs.',
    [],
    one((it) => it.storedBytes),
  )
  gauge(
    'stored_blobs',
    'Cached blobs.',
    [],
    one((it) => it.storedBlobs),
  )
  gauge(
    'breaker_state',
    'Circuit breaker by host: 0 closed, 1 half open, 2 open.',
    ['host'],
    each((it) =>
      it.breakers.map(({ host, state }) => ({
        labels: { host },
        value: BREAKER_VALUES[state] ?? 0,
      })),
    ),
  )
  gauge(
    'budget_remaining',
    'Requests that upstream says are left (ratelimit-remaining), by credential.',
    ['credential'],
    each((it) =>
      it.budgets.flatMap(({ credential, remaining }) =>
        remaining === undefined ? [] : [{ labels: { credential }, value: remaining }],
      ),
    ),
  )
  gauge(
    'budget_limit',
    'Requests that upstream allows (ratelimit-limit), by credential.',
    ['credential'],
    each((it) =>
      it.budgets.flatMap(({ credential, limit }) =>
        limit === undefined ? [] : [{ labels: { credential }, value: limit }],
      ),
    ),
  )
}
