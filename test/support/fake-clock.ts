/** @module Time that stands still until a test moves it. */
import { type Clock, systemClock } from '../../src/runtime/clock.ts'

export class FakeClock implements Clock {
  #ms = 1_700_000_000_000

  now(): number {
    return this.#ms
  }

  monotonic(): number {
    return this.#ms
  }

  advance(milliseconds: number): void {
    this.#ms += milliseconds
  }
}

/** Time that runs, and that a test can move on beside that. */
export class ShiftedClock implements Clock {
  #ms = 0

  now(): number {
    return systemClock.now() + this.#ms
  }

  monotonic(): number {
    return systemClock.monotonic() + this.#ms
  }

  advance(milliseconds: number): void {
    this.#ms += milliseconds
  }
}
