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

/** Credentials in use right now: the HMAC is a fifth of a small pull (measured: 2.5 of 13 µs). */
const inUseMax = 256
const inUseMs = 1_000

export class Verdicts {
  readonly #key = randomBytes(32)
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #byHash = new LRUCache<string, Verdict>({ max: verdictsMax })
  #generation = 0
  /**
   * By the credentials themselves, for a second at most. Those are requests that follow each other:
   * their headers lie about in the heap anyway, for longer than that.
   */
  readonly #inUse = new Map<string, Caller>()
  #forgetting: NodeJS.Timeout | undefined

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  /** The caller of credentials that were right within the last second: their end may be as late. */
  inUse(credentials: string): Caller | undefined {
    return this.#inUse.get(credentials)
  }

  use(credentials: string, caller: Caller): void {
    if (this.#inUse.size >= inUseMax) this.#inUse.clear()
    this.#inUse.set(credentials, caller)
    this.#forgetting ??= setTimeout(() => {
      this.#forgetting = undefined
      this.#inUse.clear()
    }, inUseMs).unref()
  }

  /** What the text is remembered under. */
  hash(credentials: string): string {
    return createHmac('sha256', this.#key).update(credentials).digest('base64')
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

  /** Grows with every `clear`: a verdict that was reached before it must not be put after it. */
  get generation(): number {
    return this.#generation
  }

  clear(): void {
    this.#generation += 1
    this.#byHash.clear()
    this.#inUse.clear()
  }
}
