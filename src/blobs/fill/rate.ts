/**
 * @module How fast a fill goes: bytes of the last moments, so that one that has stopped is seen to
 * have stopped.
 */
import type { Clock } from '../../runtime/clock.ts'

/** What is looked at: the window under way and the one before, ms each. */
const windowMs = 500

/** Less than this is no measure, ms. */
const measureMsMin = 100

export class FillRate {
  readonly #clock: Clock
  #windowAt: number | undefined
  #windowBytes = 0
  #before = { ms: 0, bytes: 0 }

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(bytes: number): void {
    const now = this.#clock.monotonic()
    this.#windowAt ??= now
    if (now - this.#windowAt >= windowMs) {
      this.#before = { ms: now - this.#windowAt, bytes: this.#windowBytes }
      this.#windowAt = now
      this.#windowBytes = 0
    }
    this.#windowBytes += bytes
  }

  /** When so many bytes more will have come, ms from now; undefined while nothing is measured. */
  etaMs(bytes: number): number | undefined {
    if (this.#windowAt === undefined) return undefined
    const ms = this.#before.ms + this.#clock.monotonic() - this.#windowAt
    if (ms < measureMsMin) return undefined
    return (bytes * ms) / (this.#before.bytes + this.#windowBytes)
  }
}
