/**
 * @module Numbers about numbers: percentiles of what one run measured, medians over rounds.
 */

/** Metrics of one server in one row, by name: `rate`, `p99Ms`, `cpuSecondsPerGb`, … */
export type Metrics = Readonly<Record<string, number>>

/** Nearest-rank percentile, 0 to 100; NaN of nothing. Does not need the values in order. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return percentileOfSorted(sorted, percent)
}

export function percentileOfSorted(sorted: readonly number[], percent: number): number {
  const rank = Math.ceil((percent / 100) * sorted.length)
  return sorted[Math.max(0, rank - 1)] ?? Number.NaN
}

/** The middle value; of an even number the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  if (sorted.length % 2 === 1) return sorted[Math.floor(middle)]!
  return (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Metrics whose worst round counts, not the middle one. */
const WORST: ReadonlySet<string> = new Set(['errors', 'peakRssMiB', 'peakAnonMiB', 'loopMsMax'])

/** One set of metrics for all rounds of a server: medians, and the worst of what must not happen. */
export function overRounds(rounds: readonly Metrics[]): Metrics {
  const names = new Set(rounds.flatMap((round) => Object.keys(round)))
  const merged: Record<string, number> = {}
  for (const name of names) {
    const values = rounds.map((round) => round[name]).filter(isNumber)
    if (values.length === 0) continue
    merged[name] = WORST.has(name) ? Math.max(...values) : median(values)
  }
  return merged
}

function isNumber(value: number | undefined): value is number {
  return value !== undefined && !Number.isNaN(value)
}

/** Latencies in ms as the metrics of a row, with a prefix such as `ttfb`. */
export function latencyMetrics(milliseconds: readonly number[], prefix = ''): Metrics {
  const sorted = [...milliseconds].sort((a, b) => a - b)
  const name = (text: string) =>
    prefix === '' ? text : `${prefix}${text[0]!.toUpperCase()}${text.slice(1)}`
  return {
    [name('p50Ms')]: percentileOfSorted(sorted, 50),
    [name('p99Ms')]: percentileOfSorted(sorted, 99),
    [name('p999Ms')]: percentileOfSorted(sorted, 99.9),
  }
}
