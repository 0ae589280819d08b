/**
 * @module Credentials that were judged lately, so that bcrypt and signatures are paid once and not
 * with every request. Remembered under an HMAC with a key of this run: neither a password nor a
 * token can be read out of the memory of the process through this table.
 */
import { createHmac, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../runtime/clock.ts'
import type { Caller } from './caller.ts'

/** Undefined caller: the credentials were wrong. */
export interface Verdict {
  readonly caller: Caller | undefined
  /** On the monotonic clock. */
  readonly expiresAt: number
}

const verdictsMax = 20_000

export class Verdicts {
  readonly #key = randomBytes(32)
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #byHash = new LRUCache<string, Verdict>({ max: verdictsMax })

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  /** What the text is remembered under. */
  hash(credentials: string): string {
    return createHmac('sha256', this.#key).update(credentials).digest('binary')
  }

  get(hash: string): Verdict | undefined {
    const verdict = this.#byHash.get(hash)
    return verdict !== undefined && verdict.expiresAt > this.#clock.monotonic()
      ? verdict
      : undefined
  }

  put(hash: string, caller: Caller | undefined, lifeMs: number): void {
    this.#byHash.set(hash, { caller, expiresAt: this.#clock.monotonic() + lifeMs })
  }

  clear(): void {
    this.#byHash.clear()
  }
}
