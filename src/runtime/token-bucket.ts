/**
 * @module The one bucket of tokens: a rate that is not exceeded in the long run, with a burst. What is
 * taken beyond the level is a debt, which time pays: a large piece is taken at once, and the next waits
 * the longer.
 */
import type { Clock } from './clock.ts'

export interface BucketOptions {
  /** Tokens that can be saved up; more than 0. */
  readonly burst: number
  /** Tokens that come back in a second; more than 0. */
  readonly perSecond: number
  readonly clock: Pick<Clock, 'monotonic'>
}

export class TokenBucket {
  readonly #burst: number
  readonly #clock: Pick<Clock, 'monotonic'>
  #perSecond: number
  #level: number
  #at: number

  /** Begins full. */
  constructor({ burst, perSecond, clock }: BucketOptions) {
    this.#burst = burst
    this.#perSecond = perSecond
    this.#clock = clock
    this.#level = burst
    this.#at = clock.monotonic()
  }

  /** When tokens were last taken or given back, ms on the monotonic clock. */
  get usedAt(): number {
    return this.#at
  }

  /** Milliseconds until `wanted` tokens are there; 0: they are. Takes none. */
  waitMs(wanted: number): number {
    return Math.max(0, ((wanted - this.#levelNow()) / this.#perSecond) * 1_000)
  }

  /**
   * Takes `count` tokens (negative: gives them back), into debt where there are fewer. From now on
   * `perSecond` come back.
   */
  take(count: number, perSecond = this.#perSecond): void {
    this.#level = Math.min(this.#burst, this.#levelNow() - count)
    this.#at = this.#clock.monotonic()
    this.#perSecond = perSecond
  }

  #levelNow(): number {
    const seconds = (this.#clock.monotonic() - this.#at) / 1_000
    return Math.min(this.#burst, this.#level + seconds * this.#perSecond)
  }
}
