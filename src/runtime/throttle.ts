/**
 * @module How often somebody may fail: a bucket a key that empties with failures and fills again
 * with time. Bounded in number; keys that were not seen for longest are forgotten first.
 *
 * A bucket that `slows` fills the slower the more was taken from it: whoever goes on for ever waits
 * twice as long after every so many failures, up to a bound, until a day has passed without one.
 */
import { BoundedMap } from './bounded-map.ts'
import type { Clock } from './clock.ts'
import { TokenBucket } from './token-bucket.ts'

export interface ThrottleOptions {
  readonly burst: number
  readonly perSecond: number
  readonly keysMax: number
  readonly clock: Pick<Clock, 'monotonic'>
  /** After so many beyond the burst the wait for the next doubles, up to so many seconds. */
  readonly slows?: { readonly every: number; readonly secondsMax: number }
}

interface Bucket {
  readonly tokens: TokenBucket
  /** Taken and not given back, since it was last forgotten. */
  spent: number
}

/** A key that has taken nothing for so long starts anew, ms. */
const forgottenMs = 24 * 60 * 60 * 1000

export class Throttle {
  readonly #options: ThrottleOptions
  readonly #buckets: BoundedMap<string, Bucket>

  constructor(options: ThrottleOptions) {
    this.#options = options
    this.#buckets = new BoundedMap(options.keysMax)
  }

  /** Seconds until the key may try again; 0: now. */
  waitSeconds(key: string): number {
    return (this.#buckets.get(key)?.tokens.waitMs(1) ?? 0) / 1_000
  }

  /** Takes `count` from the key's bucket (it may become negative). */
  spend(key: string, count = 1): void {
    const old = this.#buckets.get(key)
    const now = this.#options.clock.monotonic()
    const isForgotten = old === undefined || now - old.tokens.usedAt > forgottenMs
    const bucket = isForgotten ? { tokens: new TokenBucket(this.#options), spent: 0 } : old
    this.#take(bucket, count)
    this.#buckets.set(key, bucket)
  }

  /** Gives back what was taken. */
  refund(key: string, count = 1): void {
    const bucket = this.#buckets.get(key)
    if (bucket !== undefined) this.#take(bucket, -count)
  }

  /** The key starts anew. */
  forgive(key: string): void {
    this.#buckets.delete(key)
  }

  #take(bucket: Bucket, count: number): void {
    bucket.spent += count
    bucket.tokens.take(count, this.#perSecond(bucket.spent))
  }

  #perSecond(spent: number): number {
    const { burst, perSecond, slows } = this.#options
    if (slows === undefined || spent <= burst) return perSecond
    const doublings = Math.floor((spent - burst) / slows.every)
    return Math.max(1 / slows.secondsMax, perSecond / 2 ** Math.min(doublings, 30))
  }
}
