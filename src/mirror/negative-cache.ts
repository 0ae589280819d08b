/**
 * @module What upstream refused a moment ago: that it does not have it, or does not give it to us.
 * Short, so that what is pushed there is seen soon; bounded, so that guesses cost nothing.
 */
import { BoundedMap } from '../runtime/bounded-map.ts'
import type { Clock } from '../runtime/clock.ts'
import { UpstreamError } from '../upstream/error.ts'

const keptMs = 10_000
const entriesMax = 20_000

interface Entry {
  readonly until: number
  readonly error: UpstreamError
}

export class NegativeCache {
  readonly #clock: Clock
  readonly #entries = new BoundedMap<string, Entry>(entriesMax)

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The refusal that is still good. */
  get(key: string): UpstreamError | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    if (this.#clock.monotonic() < entry.until) return entry.error
    this.#entries.delete(key)
    return undefined
  }

  /** Remembers a refusal; anything else is none and not remembered. */
  note(key: string, error: unknown): void {
    if (!(error instanceof UpstreamError) || !error.isRefusal) return
    this.#entries.set(key, { until: this.#clock.monotonic() + keptMs, error })
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }
}
