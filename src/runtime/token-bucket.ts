/**
 * @module The one bucket of tokens: a rate that is not exceeded in the long run, with a burst. What is
 * taken beyond the level is a debt, which time pays: a large piece is taken immediately, and the next waits
 * the longer.
 */
import type { Clock } from './clock.ts'

export interface BucketOptions {
  /** Tokens that can be saved up; more than 0. */
  readonly burst: number
  /** Tokens that come back in a second; more than 0. */
  readonly perSecond: number
  readonly clock: Pick<Clock, 'monotonic'>
  /** Tokens at the beginning; undefined: the bucket begins full. */
  readonly level?: number
}

export class TokenBucket {
  readonly #burst: number
  readonly #clock: Pick<Clock, 'monotonic'>
  #perSecond: number
  #level: number
  #at: number

  constructor({ burst, perSecond, clock, level = burst }: BucketOptions) {
    this.#burst = burst
    this.#perSecond = perSecond
    this.#clock = clock
    this.#level = Math.min(level, burst)
    this.#at = clock.monotonic()
  }

  /** When tokens were last taken or given back, ms on the monotonic clock. */
  get usedAt(): number {
    return this.#at
  }

  /** Tokens that are there now; below 0: a debt. */
  get level(): number {
    const seconds = (this.#clock.monotonic() - this.#at) / 1_000
    return Math.min(this.#burst, this.#level + seconds * this.#perSecond)
  }

  /** Milliseconds until `wanted` tokens are there; 0: they are. Takes none. */
  waitMs(wanted: number): number {
    return Math.max(0, ((wanted - this.level) / this.#perSecond) * 1_000)
  }

  /**
   * Takes `count` tokens (negative: gives them back), into debt where there are fewer. From now on
   * `perSecond` come back.
   */
  take(count: number, perSecond = this.#perSecond): void {
    this.#level = Math.min(this.#burst, this.level - count)
    this.#at = this.#clock.monotonic()
    this.#perSecond = perSecond
  }
}

const alone = () => 1

/** A rate of the configuration, where 0 means no limit. */
export class Rate {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #burstSeconds: number
  readonly #sharers: () => number
  #perSecond: number
  #bucket: TokenBucket | undefined

  /**
   * `saved`: what is there at the beginning. `burstSeconds`: what can be saved up, in seconds' worth. `sharers`: how
   * many programs have the rate together at the moment, this one among them.
   */
  constructor(
    perSecond: number,
    clock: Pick<Clock, 'monotonic'>,
    saved: 'all' | 'nothing',
    burstSeconds = 1,
    sharers: () => number = alone,
  ) {
    this.#clock = clock
    this.#burstSeconds = burstSeconds
    this.#sharers = sharers
    this.#perSecond = perSecond
    this.#bucket = this.#bucketWith(saved === 'all' ? perSecond * burstSeconds : 0)
  }

  /** At most so much a second from now on; 0 changes nothing. */
  lower(perSecond: number): void {
    if (perSecond === 0 || (this.#perSecond > 0 && perSecond >= this.#perSecond)) return
    const level = this.#bucket?.level ?? perSecond * this.#burstSeconds
    this.#perSecond = perSecond
    this.#bucket = this.#bucketWith(level)
  }

  /** Takes `amount` (negative: gives it back); returns how long to wait before more is taken, ms. */
  take(amount: number): number {
    if (this.#bucket === undefined) return 0
    // The others take as much meanwhile.
    this.#bucket.take(amount * this.#sharers())
    return Math.ceil(this.#bucket.waitMs(0))
  }

  #bucketWith(level: number): TokenBucket | undefined {
    const perSecond = this.#perSecond
    if (perSecond === 0) return undefined
    const burst = perSecond * this.#burstSeconds
    return new TokenBucket({ burst, perSecond, clock: this.#clock, level })
  }
}
