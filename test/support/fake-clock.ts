/** @module Time that stands still until a test moves it. */
import type { Clock } from '../../src/runtime/clock.ts'

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
