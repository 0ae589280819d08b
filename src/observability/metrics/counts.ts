/**
 * @module Counters by their labels, from the start of the process.
 */
import type { LabelledRow } from './metrics.ts'

interface Series {
  readonly labels: Readonly<Record<string, string>>
  value: number
}

/** Values by their labels. Each series stays: labels have to be bounded where they come from. */
export class Counts {
  readonly #series = new Map<string, Series>()

  add(labels: Readonly<Record<string, string>>, count = 1): void {
    const key = Object.values(labels).join('\n')
    const series = this.#series.get(key)
    if (series === undefined) this.#series.set(key, { labels, value: count })
    else series.value += count
  }

  rows = (): readonly LabelledRow[] => [...this.#series.values()]
}
