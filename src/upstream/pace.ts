/**
 * @module The rate to which one asker holds its own requests, beside what hosts limit: retries and tokens count, what
 * a redirect leads to does not. The time of its waits is not upstream's, so the deadline moves on with them.
 */
import type { Rate } from '../runtime/token-bucket.ts'
import type { Ask } from './ask.ts'
import { sleep } from './sleep.ts'

/** How soon a request that waits notices that a client wants it now, ms. */
const hurryMs = 250

export type PacedAsk = Pick<Ask, 'by' | 'deadline' | 'isHurried' | 'signal' | 'waitSignal'>

/** When something has to be done, and whose turn it is. */
export interface Paced {
  /** ms on the monotonic clock. */
  readonly deadline: number
  turn(isContent?: boolean): Promise<void> | undefined
}

export interface PaceRates {
  /** Of every request; undefined: as fast as it goes. */
  readonly requestRate?: Pick<Rate, 'take'>
  /** Beside that of what fetches content; undefined: as fast as it goes. */
  readonly contentRate?: Pick<Rate, 'take'>
}

export class Pace implements Paced {
  readonly #rates: PaceRates
  readonly #ask: PacedAsk
  #waitedMs = 0

  constructor(rates: PaceRates, ask: PacedAsk) {
    this.#rates = rates
    this.#ask = ask
  }

  /** ms on the monotonic clock. */
  get deadline(): number {
    return this.#ask.deadline + this.#waitedMs
  }

  /** Waits for the turn of one request. Throws what the waiting was aborted with. `isContent`: it fetches some. */
  async turn(isContent = false): Promise<void> {
    const { by, isHurried, signal, waitSignal = signal } = this.#ask
    const waitMs = this.#take(1, isContent)
    // A pull counts, and waits for nothing.
    if (by !== 'sync') return
    const stepMs = isHurried === undefined ? waitMs : hurryMs
    for (let leftMs = waitMs; leftMs > 0 && isHurried?.() !== true; leftMs -= stepMs) {
      const ms = Math.min(leftMs, stepMs)
      await sleep(ms, waitSignal)
      this.#waitedMs += ms
      if (waitSignal?.aborted !== true || isHurried?.() === true) continue
      // It is not sent: a debt for it would keep others waiting for nothing.
      this.#take(-1, isContent)
      throw waitSignal.reason
    }
  }

  /** How long to wait for it, ms. */
  #take(count: number, isContent: boolean): number {
    const { requestRate, contentRate } = this.#rates
    const ofAll = requestRate?.take(count) ?? 0
    return Math.max(ofAll, (isContent && contentRate?.take(count)) || 0)
  }
}
