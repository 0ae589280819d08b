/**
 * @module Credentials that were judged lately, so that bcrypt and signatures are paid once and not
 * with every request. Remembered under an HMAC with a key of this run: neither a password nor a
 * token can be read out of the memory of the process through this table.
 */
import { hash as hashOnce, randomBytes } from 'node:crypto'
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
  readonly #hmac = new FastHmac(randomBytes(32).toString('hex'))
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
    return this.#hmac.digest(credentials)
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

/**
 * HMAC's construction (RFC 2104) from two calls of `crypto.hash`, without the objects that
 * `createHmac` makes (measured: 0.9 against 2.2 µs). The key is one block of SHA-256, 64 characters
 * of hex: its paddings are ASCII too, and are joined with the message as text. The inner hash goes in
 * as hex, so this is the construction, not the standard's bytes; nobody else ever sees them.
 */
export class FastHmac {
  readonly #inner: string
  readonly #outer: string

  constructor(keyHex: string) {
    if (!/^[0-9a-f]{64}$/.test(keyHex)) throw new TypeError('expected 64 characters of hex')
    const padded = (pad: number) =>
      String.fromCharCode(...[...keyHex].map((letter) => letter.charCodeAt(0) ^ pad))
    this.#inner = padded(0x36)
    this.#outer = padded(0x5c)
  }

  /** In Base64. */
  digest(text: string): string {
    const inner = hashOnce('sha256', this.#inner + text, 'hex')
    return hashOnce('sha256', this.#outer + inner, 'base64')
  }
}
