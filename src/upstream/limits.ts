/**
 * @module What holds requests back before they are sent: a line for a number of slots, and a rate.
 */
import type { Clock } from '../runtime/clock.ts'

interface Origin {
  taken: number
  takenByBulk: number
  readonly small: (() => void)[]
  readonly bulk: (() => void)[]
}

/**
 * How many requests to one origin are under way; the rest wait in line. Large bodies leave an eighth of the
 * slots to others: a manifest must not wait until a layer has come.
 */
export class Slots {
  #perOrigin!: number
  #bulkPerOrigin!: number
  readonly #origins = new Map<string, Origin>()

  constructor(perOrigin: number) {
    this.#set(perOrigin)
  }

  /** At most so many from now on; what has a slot keeps it. */
  lower(perOrigin: number): void {
    this.#set(Math.min(perOrigin, this.#perOrigin))
  }

  #set(perOrigin: number): void {
    this.#perOrigin = perOrigin
    this.#bulkPerOrigin = perOrigin === 1 ? 1 : perOrigin - Math.ceil(perOrigin / 8)
  }

  /** Calls back when there is a slot, now or later; `give` returns it. */
  take(origin: string, isBulk: boolean, onTaken: () => void): void {
    let slots = this.#origins.get(origin)
    if (slots === undefined) {
      slots = { taken: 0, takenByBulk: 0, small: [], bulk: [] }
      this.#origins.set(origin, slots)
    }
    if (!this.#hasRoom(slots, isBulk)) {
      slots[isBulk ? 'bulk' : 'small'].push(onTaken)
      return
    }
    this.#count(slots, isBulk, 1)
    onTaken()
  }

  give(origin: string, isBulk: boolean): void {
    const slots = this.#origins.get(origin)!
    this.#count(slots, isBulk, -1)
    for (const isNextBulk of [false, true]) {
      const line = slots[isNextBulk ? 'bulk' : 'small']
      if (line.length === 0 || !this.#hasRoom(slots, isNextBulk)) continue
      this.#count(slots, isNextBulk, 1)
      // Not from within whatever ends the one before.
      queueMicrotask(line.shift()!)
      return
    }
    if (slots.taken === 0) this.#origins.delete(origin)
  }

  #hasRoom({ taken, takenByBulk }: Origin, isBulk: boolean): boolean {
    return taken < this.#perOrigin && (!isBulk || takenByBulk < this.#bulkPerOrigin)
  }

  #count(slots: Origin, isBulk: boolean, by: 1 | -1): void {
    slots.taken += by
    if (isBulk) slots.takenByBulk += by
  }
}

/** How much may be saved up, in seconds' worth. */
const burstSeconds = 1

/**
 * A rate that is not exceeded: requests or bytes a second. Debts are paid by waiting, so a large chunk is
 * taken at once and the next one waits the longer.
 */
export class RateGate {
  #perSecond: number
  readonly #clock: Clock
  #saved: number
  #at: number

  /** `perSecond` 0: no limit. */
  constructor(perSecond: number, clock: Clock) {
    this.#perSecond = perSecond
    this.#clock = clock
    this.#saved = perSecond * burstSeconds
    this.#at = clock.monotonic()
  }

  /** At most so much from now on; 0 changes nothing. */
  lower(perSecond: number): void {
    if (perSecond === 0 || (this.#perSecond > 0 && perSecond >= this.#perSecond)) return
    const most = perSecond * burstSeconds
    this.#saved = this.#perSecond === 0 ? most : Math.min(this.#saved, most)
    if (this.#perSecond === 0) this.#at = this.#clock.monotonic()
    this.#perSecond = perSecond
  }

  /** Takes `amount`; returns how long to wait before more is taken, ms (0: not at all). */
  take(amount: number): number {
    if (this.#perSecond === 0) return 0
    const now = this.#clock.monotonic()
    const earned = ((now - this.#at) / 1000) * this.#perSecond
    this.#saved = Math.min(this.#perSecond * burstSeconds, this.#saved + earned) - amount
    this.#at = now
    return this.#saved >= 0 ? 0 : Math.ceil((-this.#saved / this.#perSecond) * 1000)
  }
}
