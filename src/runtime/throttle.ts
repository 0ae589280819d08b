/**
 * @module How often somebody may fail: a bucket a key that empties with failures and fills again
 * with time. Bounded in number; keys that were not seen for longest are forgotten first.
 *
 * A bucket that `slows` fills the slower the more was taken from it: whoever goes on for ever waits
 * twice as long after every so many failures, up to a bound, until a day has passed without one.
 */
import type { Clock } from './clock.ts'

export interface ThrottleOptions {
  readonly burst: number
  readonly perSecond: number
  readonly keysMax: number
  readonly clock: Pick<Clock, 'monotonic'>
  /** After so many beyond the burst the wait for the next doubles, up to so many seconds. */
  readonly slows?: { readonly every: number; readonly secondsMax: number }
}

interface Bucket {
  level: number
  at: number
  /** Taken and not given back, since it was last forgotten. */
  spent: number
}

/** A key that has taken nothing for so long starts anew, ms. */
const forgottenMs = 24 * 60 * 60 * 1000

export class Throttle {
  readonly #options: ThrottleOptions
  readonly #buckets = new Map<string, Bucket>()

  constructor(options: ThrottleOptions) {
    this.#options = options
  }

  /** Seconds until the key may try again; 0: now. */
  waitSeconds(key: string): number {
    const bucket = this.#buckets.get(key)
    if (bucket === undefined) return 0
    const level = this.#levelOf(bucket)
    return level >= 1 ? 0 : (1 - level) * this.#secondsEach(bucket)
  }

  /** Takes `count` from the key's bucket (it may become negative). */
  spend(key: string, count = 1): void {
    const { burst, keysMax, clock } = this.#options
    const old = this.#buckets.get(key)
    const at = clock.monotonic()
    const bucket = old === undefined || at - old.at > forgottenMs ? undefined : old
    const level = bucket === undefined ? burst : this.#levelOf(bucket)
    this.#buckets.delete(key)
    if (this.#buckets.size >= keysMax) this.#buckets.delete(this.#buckets.keys().next().value!)
    this.#buckets.set(key, { level: level - count, at, spent: (bucket?.spent ?? 0) + count })
  }

  /** Gives back what was taken. */
  refund(key: string, count = 1): void {
    const bucket = this.#buckets.get(key)
    if (bucket === undefined) return
    bucket.level = Math.min(this.#options.burst, bucket.level + count)
    bucket.spent -= count
  }

  /** The key starts anew. */
  forgive(key: string): void {
    this.#buckets.delete(key)
  }

  #levelOf(bucket: Bucket): number {
    const seconds = (this.#options.clock.monotonic() - bucket.at) / 1000
    return Math.min(this.#options.burst, bucket.level + seconds / this.#secondsEach(bucket))
  }

  #secondsEach({ spent }: Bucket): number {
    const { burst, perSecond, slows } = this.#options
    if (slows === undefined || spent <= burst) return 1 / perSecond
    const doublings = Math.floor((spent - burst) / slows.every)
    return Math.min(slows.secondsMax, 2 ** Math.min(doublings, 30) / perSecond)
  }
}
