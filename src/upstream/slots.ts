/**
 * @module What holds requests back before they are sent: a line for a number of slots.
 */

interface Origin {
  taken: number
  takenByBulk: number
  readonly small: (() => void)[]
  readonly bulk: (() => void)[]
  readonly laterSmall: (() => void)[]
  readonly laterBulk: (() => void)[]
  laterBulkTaken: number
}

type Line = 'small' | 'bulk' | 'laterSmall' | 'laterBulk'

/** Whose turn is first. */
const LINES: readonly Line[] = ['small', 'bulk', 'laterSmall', 'laterBulk']

/**
 * How many requests to one origin are under way; the rest wait in line. Large bodies leave an eighth of the
 * slots to others: a manifest must not wait until a layer has come. Those of a sync go behind all others, and
 * its large bodies leave a quarter of theirs: a pull must not wait until they have come.
 */
export class Slots {
  #perOrigin!: number
  #bulkPerOrigin!: number
  #laterBulkPerOrigin!: number
  readonly #origins = new Map<string, Origin>()

  constructor(perOrigin: number) {
    this.#set(perOrigin)
  }

  get perOrigin(): number {
    return this.#perOrigin
  }

  /** At most so many from now on; what has a slot keeps it. */
  lower(perOrigin: number): void {
    this.#set(Math.min(perOrigin, this.#perOrigin))
  }

  #set(perOrigin: number): void {
    this.#perOrigin = perOrigin
    this.#bulkPerOrigin = perOrigin === 1 ? 1 : perOrigin - Math.ceil(perOrigin / 8)
    this.#laterBulkPerOrigin = Math.max(1, Math.floor((this.#bulkPerOrigin * 3) / 4))
  }

  /** Calls back when there is a slot, now or later; `give` returns it. `isLater`: a sync's. */
  take(origin: string, isBulk: boolean, onTaken: () => void, isLater = false): void {
    let slots = this.#origins.get(origin)
    if (slots === undefined) {
      const lines = { small: [], bulk: [], laterSmall: [], laterBulk: [] }
      slots = { taken: 0, takenByBulk: 0, laterBulkTaken: 0, ...lines }
      this.#origins.set(origin, slots)
    }
    const line = lineOf(isBulk, isLater)
    if (!this.#hasRoom(slots, line)) {
      slots[line].push(onTaken)
      return
    }
    count(slots, line, 1)
    onTaken()
  }

  give(origin: string, isBulk: boolean, isLater = false): void {
    const slots = this.#origins.get(origin)!
    count(slots, lineOf(isBulk, isLater), -1)
    for (const line of LINES) {
      if (slots[line].length === 0 || !this.#hasRoom(slots, line)) continue
      count(slots, line, 1)
      // Not from within whatever ends the one before.
      queueMicrotask(slots[line].shift()!)
      return
    }
    if (slots.taken === 0) this.#origins.delete(origin)
  }

  #hasRoom({ taken, takenByBulk, laterBulkTaken }: Origin, line: Line): boolean {
    if (taken >= this.#perOrigin) return false
    if (line === 'small' || line === 'laterSmall') return true
    if (takenByBulk >= this.#bulkPerOrigin) return false
    return line === 'bulk' || laterBulkTaken < this.#laterBulkPerOrigin
  }
}

function lineOf(isBulk: boolean, isLater: boolean): Line {
  if (isLater) return isBulk ? 'laterBulk' : 'laterSmall'
  return isBulk ? 'bulk' : 'small'
}

function count(slots: Origin, line: Line, by: 1 | -1): void {
  slots.taken += by
  if (line === 'bulk' || line === 'laterBulk') slots.takenByBulk += by
  if (line === 'laterBulk') slots.laterBulkTaken += by
}
