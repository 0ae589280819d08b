/**
 * @module What holds requests back before they are sent: a line for a number of slots.
 */

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
