/**
 * @module Prometheus metrics: every name is declared here. The only user of prom-client. Values are
 * read when somebody scrapes; the request path only counts in arrays (`observability/metrics/requests.ts`).
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { type CleanupSources, declareCleanup } from './cleanup.ts'
import { LATENCY_BOUNDS, RequestMetrics } from './requests.ts'

/** What the server lets the metrics ask it. */
export interface MetricSources {
  /** Words of the route label. */
  readonly routes: readonly string[]
  readonly version: string
  readonly engine: string
  readonly openConnections: () => number
  readonly openRequests: () => number
  readonly openUploads: () => number
  readonly mappedBytes: () => number
  readonly freeBytes: () => number
  readonly quarantinedBlobs: () => number
  readonly scrubbedBytes: () => number
  readonly droppedLogLines: () => number
  readonly cleanup?: CleanupSources
}

/** One value of a metric with labels. */
export interface LabelledRow {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** One histogram of a metric: how many were at most each bound, and in all. */
export interface HistogramRow {
  readonly labels: Readonly<Record<string, string>>
  readonly buckets: readonly number[]
  readonly sum: number
}

/** Sampling interval of the event-loop delay, ms; it is taken off what is measured. */
const delayResolutionMs = 5

export class Metrics {
  readonly requests: RequestMetrics
  readonly #registry = new Registry()
  readonly #delay = monitorEventLoopDelay({ resolution: delayResolutionMs })

  constructor(sources: MetricSources) {
    this.requests = new RequestMetrics(sources.routes)
    this.#delay.enable()
    collectDefaultMetrics({ register: this.#registry })
    this.#declareRequests()
    this.#declareState(sources)
    this.#declareDelay()
    if (sources.cleanup === undefined) return
    declareCleanup(sources.cleanup, {
      gauge: (name, help, read) => this.#gauge(name, help, read),
      counter: (name, help, read) => this.#counter(name, help, read),
      labelled: (name, help, label, read) => this.#labelled(name, help, label, read),
    })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  render(): Promise<string> {
    return this.#registry.metrics()
  }

  /** A metric whose labelled values a feature reads at each scrape. */
  table(
    kind: 'counter' | 'gauge',
    name: string,
    help: string,
    labelNames: readonly string[],
    rows: () => readonly LabelledRow[],
  ): void {
    const options = { name, help, labelNames: [...labelNames], registers: [this.#registry] }
    const metric = kind === 'counter' ? new Counter(options) : new Gauge(options)
    Object.assign(metric, {
      collect() {
        metric.reset()
        // Without labels a value of 0 is there by itself: what is not known is no 0.
        if (labelNames.length === 0) metric.remove()
        for (const { labels, value } of rows()) metric.inc({ ...labels }, value)
      },
    })
  }

  /** A histogram whose buckets are counted elsewhere, in the form that prom-client renders. */
  histogram(
    name: string,
    help: string,
    bounds: readonly number[],
    rows: () => readonly HistogramRow[],
  ): void {
    const get = async () => ({
      name,
      help,
      type: 'histogram',
      values: rows().flatMap((row) => histogramValues(name, bounds, row)),
    })
    this.#registry.registerMetric({ name, help, get, reset: () => undefined } as never)
  }

  stop(): void {
    this.#delay.disable()
  }

  #declareRequests(): void {
    const { requests } = this
    new Counter({
      name: 'fastregistry_http_requests_total',
      help: 'Requests by route, method and status (0: the client left before an answer).',
      labelNames: ['route', 'method', 'status'],
      registers: [this.#registry],
      collect() {
        this.reset()
        for (const { count, ...labels } of requests.counts()) this.inc(labels, count)
      },
    })
    this.histogram(
      'fastregistry_http_request_duration_seconds',
      'From the head of the request to the last byte of the answer.',
      LATENCY_BOUNDS,
      () => {
        const latencies = [...requests.latencies()]
        return latencies.map(({ route, buckets, sumSeconds }) => ({
          labels: { route },
          buckets,
          sum: sumSeconds,
        }))
      },
    )
    this.#counter('fastregistry_http_received_bytes_total', 'Body bytes received.', () => {
      return requests.bytesReceived
    })
    this.#counter('fastregistry_http_sent_bytes_total', 'Body bytes sent.', () => {
      return requests.bytesSent
    })
  }

  #declareState(sources: MetricSources): void {
    const { version, engine } = sources
    new Gauge({
      name: 'fastregistry_info',
      help: 'Version and HTTP engine.',
      labelNames: ['version', 'engine', 'node'],
      registers: [this.#registry],
    }).set({ version, engine, node: process.version }, 1)
    this.#gauge('fastregistry_open_connections', 'Connections open.', sources.openConnections)
    this.#gauge('fastregistry_open_requests', 'Requests being answered.', sources.openRequests)
    this.#gauge('fastregistry_open_uploads', 'Upload sessions open.', sources.openUploads)
    this.#gauge('fastregistry_mapped_bytes', 'Bytes of blob files mapped.', sources.mappedBytes)
    this.#gauge(
      'fastregistry_scrub_read_bytes',
      'Bytes that the running or last scrub has read.',
      sources.scrubbedBytes,
    )
    this.#gauge('fastregistry_disk_free_bytes', 'Disk space left.', sources.freeBytes)
    this.#counter(
      'fastregistry_quarantined_blobs_total',
      'Blobs taken out of service because their bytes were not theirs.',
      sources.quarantinedBlobs,
    )
    this.#counter(
      'fastregistry_log_dropped_lines_total',
      'Lines of the log and the audit file that could not be written, or not fast enough.',
      sources.droppedLogLines,
    )
  }

  #declareDelay(): void {
    const delay = this.#delay
    const seconds = (nanoseconds: number) =>
      Math.max(0, nanoseconds / 1e9 - delayResolutionMs / 1e3) || 0
    new Gauge({
      name: 'fastregistry_event_loop_delay_seconds',
      help: 'How late the event loop ran since the last scrape.',
      labelNames: ['quantile'],
      registers: [this.#registry],
      collect() {
        this.set({ quantile: '0.5' }, seconds(delay.percentile(50)))
        this.set({ quantile: '0.99' }, seconds(delay.percentile(99)))
        this.set({ quantile: '1' }, seconds(delay.max))
        delay.reset()
      },
    })
  }

  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read())
      },
    })
  }

  #labelled(
    name: string,
    help: string,
    label: string,
    read: () => Iterable<readonly [string, number]>,
  ): void {
    new Counter({
      name,
      help,
      labelNames: [label],
      registers: [this.#registry],
      collect() {
        this.reset()
        for (const [value, count] of read()) this.inc({ [label]: value }, count)
      },
    })
  }

  #counter(name: string, help: string, read: () => number): void {
    new Counter({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  }
}

function histogramValues(
  name: string,
  bounds: readonly number[],
  { labels, buckets, sum }: HistogramRow,
) {
  const values: { labels: Record<string, string | number>; metricName: string; value: number }[] =
    []
  buckets.forEach((value, index) => {
    const le = bounds[index] ?? '+Inf'
    values.push({ labels: { ...labels, le }, metricName: `${name}_bucket`, value })
  })
  values.push({ labels: { ...labels }, metricName: `${name}_sum`, value: sum })
  values.push({ labels: { ...labels }, metricName: `${name}_count`, value: buckets.at(-1)! })
  return values
}
