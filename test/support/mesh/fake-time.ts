/** @module Timers that fire when a test moves the time, in their order. */
import type { Time } from '../../../src/metadata/log/etcd/time.ts'

interface Timer {
  readonly at: number
  readonly action: () => void
}

export class FakeTime implements Time {
  #ms = 1000
  readonly #timers = new Set<Timer>()

  monotonic(): number {
    return this.#ms
  }

  after(ms: number, action: () => void): () => void {
    const timer = { at: this.#ms + ms, action }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Timers that wait. */
  get waiting(): number {
    return this.#timers.size
  }

  /** Moves on, and lets what a timer began come to rest before the next one fires. */
  async advance(ms: number): Promise<void> {
    const end = this.#ms + ms
    await settled()
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
      if (next === undefined) break
      this.#timers.delete(next)
      this.#ms = Math.max(this.#ms, next.at)
      next.action()
      await settled()
    }
    this.#ms = end
  }
}

/** Resolves when promises and turns that hang together have run. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate)
}
