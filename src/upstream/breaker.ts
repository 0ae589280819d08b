/**
 * @module A circuit breaker a host: after some failures in a row nobody waits for it any more; one
 * request at a time finds out whether it is back. Never shut for longer than `openMsMax`, so that a
 * host that has healed is used again soon.
 *
 *   closed ──failures──► open ──time──► half open ──success──► closed
 *                          ▲               └─failure─┐
 *                          └─────────────────────────┘
 */
import type { Clock } from '../runtime/clock.ts'
import { UpstreamError } from './error.ts'

/** Failures in a row that open it. */
const failuresMax = 4

const openMsMin = 1_000
const openMsMax = 8_000

/** Longest that `Retry-After` is obeyed before one request asks again, ms. */
const coolMsMax = 15_000

export type BreakerState = 'closed' | 'open' | 'half-open'

export class Breaker {
  readonly #clock: Clock
  #failures = 0
  #openMs = openMsMin
  #shutUntil = 0
  #isTrying = false
  #last: UpstreamError | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get state(): BreakerState {
    if (this.#shutUntil === 0) return 'closed'
    return this.#clock.monotonic() < this.#shutUntil ? 'open' : 'half-open'
  }

  /** Whether a request would be refused now. */
  get isShut(): boolean {
    const { state } = this
    return state === 'open' || (state === 'half-open' && this.#isTrying)
  }

  /** Throws `circuit` when the host is not to be asked now; else the outcome must be told. */
  enter(host: string): void {
    if (!this.isShut) {
      this.#isTrying = this.state === 'half-open'
      return
    }
    const last = this.#last
    throw new UpstreamError('circuit', `${host}: ${last?.message ?? 'failed before'}`, {
      host,
      status: last?.status,
      words: last?.words,
      retryAfterMs: Math.max(0, this.#shutUntil - this.#clock.monotonic()),
      cause: last,
    })
  }

  succeeded(): void {
    this.#failures = 0
    this.#openMs = openMsMin
    this.#shutUntil = 0
    this.#isTrying = false
  }

  /** The host was not asked, or had no fair chance to answer: it stands as it stood. */
  unheard(): void {
    this.#isTrying = false
  }

  failed(error: UpstreamError): void {
    const now = this.#clock.monotonic()
    this.#last = error
    this.#isTrying = false
    if (error.kind === 'limited') {
      this.#shutUntil = now + Math.min(error.retryAfterMs ?? openMsMin, coolMsMax)
      return
    }
    this.#failures += 1
    if (this.#failures < failuresMax && this.#shutUntil === 0) return
    this.#shutUntil = now + this.#openMs
    this.#openMs = Math.min(openMsMax, this.#openMs * 2)
  }
}
