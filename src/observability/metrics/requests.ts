/**
 * @module Counts per request without a lookup by text: arrays indexed by route, method and status.
 * Rendered only when somebody scrapes.
 */

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'other'] as const

/** Upper bounds of the latency histogram, seconds. */
export const LATENCY_BOUNDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const

/** Statuses 0 (aborted before an answer) to 599. */
const statusCount = 600

const METHOD_INDEX: ReadonlyMap<string, number> = new Map(
  METHODS.map((name, index) => [name, index]),
)

export interface RequestCount {
  readonly route: string
  readonly method: string
  readonly status: number
  readonly count: number
}

export class RequestMetrics {
  readonly #routes: readonly string[]
  readonly #indexes: ReadonlyMap<string, number>
  readonly #counts: Float64Array
  readonly #latency: Float64Array
  readonly #seconds: Float64Array
  bytesReceived = 0
  bytesSent = 0

  /** `routes`: the words of the route label, by the table of routes; others count as `none`. */
  constructor(routes: readonly string[]) {
    this.#routes = ['none', ...routes]
    this.#indexes = new Map(this.#routes.map((name, index) => [name, index]))
    this.#counts = new Float64Array(this.#routes.length * METHODS.length * statusCount)
    this.#latency = new Float64Array(this.#routes.length * (LATENCY_BOUNDS.length + 1))
    this.#seconds = new Float64Array(this.#routes.length)
  }

  observe(route: string, method: string, status: number, seconds: number): void {
    const routeIndex = this.#indexes.get(route) ?? 0
    const methodIndex = METHOD_INDEX.get(method) ?? METHODS.length - 1
    const statusIndex = status < statusCount ? status : 0
    const index = (routeIndex * METHODS.length + methodIndex) * statusCount + statusIndex
    this.#counts[index]! += 1
    let bucket = 0
    while (bucket < LATENCY_BOUNDS.length && seconds > LATENCY_BOUNDS[bucket]!) bucket += 1
    this.#latency[routeIndex * (LATENCY_BOUNDS.length + 1) + bucket]! += 1
    this.#seconds[routeIndex]! += seconds
  }

  /** Every combination that occurred. */
  *counts(): Iterable<RequestCount> {
    for (let index = 0; index < this.#counts.length; index += 1) {
      const count = this.#counts[index]!
      if (count === 0) continue
      const status = index % statusCount
      const rest = Math.floor(index / statusCount)
      const method = METHODS[rest % METHODS.length]!
      yield { route: this.#routes[Math.floor(rest / METHODS.length)]!, method, status, count }
    }
  }

  /** Per route that occurred: cumulative bucket counts (the last is all), and the sum of seconds. */
  *latencies(): Iterable<{ route: string; buckets: number[]; sumSeconds: number }> {
    const width = LATENCY_BOUNDS.length + 1
    for (const [routeIndex, route] of this.#routes.entries()) {
      const buckets: number[] = []
      let total = 0
      for (let bucket = 0; bucket < width; bucket += 1) {
        total += this.#latency[routeIndex * width + bucket]!
        buckets.push(total)
      }
      if (total > 0) yield { route, buckets, sumSeconds: this.#seconds[routeIndex]! }
    }
  }
}
