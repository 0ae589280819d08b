/**
 * @module How many requests to one origin are under way; the rest wait in line.
 */
export class Slots {
  readonly #perOrigin: number
  readonly #origins = new Map<string, { taken: number; readonly waiting: (() => void)[] }>()

  constructor(perOrigin: number) {
    this.#perOrigin = perOrigin
  }

  /** Calls back when there is a slot, now or later; `give` returns it. */
  take(origin: string, onTaken: () => void): void {
    let slots = this.#origins.get(origin)
    if (slots === undefined) {
      slots = { taken: 0, waiting: [] }
      this.#origins.set(origin, slots)
    }
    if (slots.taken >= this.#perOrigin) {
      slots.waiting.push(onTaken)
      return
    }
    slots.taken += 1
    onTaken()
  }

  give(origin: string): void {
    const slots = this.#origins.get(origin)!
    const next = slots.waiting.shift()
    if (next !== undefined) {
      // Not from within whatever ends the one before.
      queueMicrotask(next)
      return
    }
    slots.taken -= 1
    if (slots.taken === 0) this.#origins.delete(origin)
  }
}
