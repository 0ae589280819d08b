/**
 * @module How often somebody may fail: a bucket a key that empties with failures and fills again
 * with time. Bounded in number; keys that were not seen for longest are forgotten first.
 */
import type { Clock } from '../runtime/clock.ts'

export interface ThrottleOptions {
  readonly burst: number
  readonly perSecond: number
  readonly keysMax: number
  readonly clock: Pick<Clock, 'monotonic'>
}

interface Bucket {
  level: number
  at: number
}

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
    return level >= 1 ? 0 : (1 - level) / this.#options.perSecond
  }

  /** Takes `count` from the key's bucket (it may become negative). */
  spend(key: string, count = 1): void {
    const { burst, keysMax, clock } = this.#options
    const bucket = this.#buckets.get(key)
    const level = bucket === undefined ? burst : this.#levelOf(bucket)
    this.#buckets.delete(key)
    if (this.#buckets.size >= keysMax) this.#buckets.delete(this.#buckets.keys().next().value!)
    this.#buckets.set(key, { level: level - count, at: clock.monotonic() })
  }

  /** Gives back what was taken. */
  refund(key: string, count = 1): void {
    const bucket = this.#buckets.get(key)
    if (bucket !== undefined) bucket.level = Math.min(this.#options.burst, bucket.level + count)
  }

  #levelOf({ level, at }: Bucket): number {
    const { burst, perSecond, clock } = this.#options
    return Math.min(burst, level + ((clock.monotonic() - at) / 1000) * perSecond)
  }
}
