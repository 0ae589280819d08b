/**
 * @module What upstream said a moment ago that it does not have. Short, so that what is pushed there
 * is seen soon; bounded, so that guesses cost nothing.
 */
import type { Clock } from '../runtime/clock.ts'

const keptMs = 10_000
const entriesMax = 20_000

export class NegativeCache {
  readonly #clock: Clock
  readonly #until = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  has(key: string): boolean {
    const until = this.#until.get(key)
    if (until === undefined) return false
    if (this.#clock.monotonic() < until) return true
    this.#until.delete(key)
    return false
  }

  add(key: string): void {
    this.#until.delete(key)
    this.#until.set(key, this.#clock.monotonic() + keptMs)
    if (this.#until.size <= entriesMax) return
    const [oldest] = this.#until.keys()
    this.#until.delete(oldest!)
  }

  delete(key: string): void {
    this.#until.delete(key)
  }
}
