/**
 * @module A rate that is not exceeded: requests or bytes a second. Debts are paid by waiting, so a
 * large chunk is taken at once and the next one waits the longer.
 */
import type { Clock } from '../runtime/clock.ts'

/** How much may be saved up, in seconds' worth. */
const burstSeconds = 1

export class RateGate {
  #perSecond: number
  readonly #clock: Clock
  #saved: number
  #at: number

  /** `perSecond` 0: no limit. */
  constructor(perSecond: number, clock: Clock) {
    this.#perSecond = perSecond
    this.#clock = clock
    this.#saved = perSecond * burstSeconds
    this.#at = clock.monotonic()
  }

  /** At most so much from now on; 0 changes nothing. */
  lower(perSecond: number): void {
    if (perSecond === 0 || (this.#perSecond > 0 && perSecond >= this.#perSecond)) return
    const most = perSecond * burstSeconds
    this.#saved = this.#perSecond === 0 ? most : Math.min(this.#saved, most)
    if (this.#perSecond === 0) this.#at = this.#clock.monotonic()
    this.#perSecond = perSecond
  }

  /** Takes `amount`; returns how long to wait before more is taken, ms (0: not at all). */
  take(amount: number): number {
    if (this.#perSecond === 0) return 0
    const now = this.#clock.monotonic()
    const earned = ((now - this.#at) / 1000) * this.#perSecond
    this.#saved = Math.min(this.#perSecond * burstSeconds, this.#saved + earned) - amount
    this.#at = now
    return this.#saved >= 0 ? 0 : Math.ceil((-this.#saved / this.#perSecond) * 1000)
  }
}
