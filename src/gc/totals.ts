/**
 * @module What the collections of this process did together, for the metrics.
 */
import type { JobState } from '../metadata/rows/jobs.ts'
import type { Clock } from '../runtime/clock.ts'

/** What one sweep or purge removed. */
export interface Freed {
  readonly bytes: number
  /** Bytes that the disk or the metadata has again. */
  readonly freedBytes: number
  readonly counts: Readonly<Record<string, number>>
}

export class Totals {
  readonly #clock: Pick<Clock, 'now'>
  readonly #runs = new Map<string, number>()
  readonly #removed = new Map<string, number>()
  #steps = 0
  #removedBytes = 0
  #freedBytes = 0
  #lastSuccessAt = 0

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  /** Ended runs by state. */
  get runs(): ReadonlyMap<string, number> {
    return this.#runs
  }

  /** Removed things by kind. */
  get removed(): ReadonlyMap<string, number> {
    return this.#removed
  }

  /** Batches of sweeps. */
  get steps(): number {
    return this.#steps
  }

  get removedBytes(): number {
    return this.#removedBytes
  }

  get freedBytes(): number {
    return this.#freedBytes
  }

  /** Seconds since the epoch; 0 for none. */
  get lastSuccessSeconds(): number {
    return this.#lastSuccessAt / 1_000
  }

  freed({ bytes, freedBytes, counts }: Freed): void {
    this.#removedBytes += bytes
    this.#freedBytes += freedBytes
    for (const [kind, number] of Object.entries(counts)) add(this.#removed, kind, number)
  }

  ended(state: JobState): void {
    add(this.#runs, state, 1)
    if (state === 'done') this.#lastSuccessAt = this.#clock.now()
  }

  step(): void {
    this.#steps += 1
  }
}

function add(sums: Map<string, number>, key: string, by: number): void {
  sums.set(key, (sums.get(key) ?? 0) + by)
}

/** Counts of what a sweep did, beside those of its plan. */
export function prefixed(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(counts).map(([kind, count]) => [`removed-${kind}`, count]),
  )
}

/** What an operator has to do about tags that wait. */
export function heldMessage(tags: number): string {
  return (
    `${tags} tags wait for a first yes: rules that delete tags do nothing before a plan of theirs ` +
    'was applied once (POST /admin/gc with dryRun, look at the plan, apply it)'
  )
}
