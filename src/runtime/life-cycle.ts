/**
 * @module What was opened, in order, so that it is closed in the reverse order: at the end, and when
 * a later step fails. Whoever opens something registers its close at once, before anything that
 * could fail comes between.
 */

/** Told of each part when it was opened; a throw is a failure at that step. For tests and logs. */
export type OnOpened = (part: string) => void

export class LifeCycle {
  readonly #closes: (() => void | Promise<void>)[] = []
  readonly #onOpened: OnOpened | undefined
  #closing: Promise<void> | undefined

  constructor(onOpened?: OnOpened) {
    this.#onOpened = onOpened
  }

  /** Registers how a part is closed, and hands it back. */
  opened<T>(part: string, thing: T, close: (thing: T) => void | Promise<void>): T {
    this.#closes.push(() => close(thing))
    this.#onOpened?.(part)
    return thing
  }

  /** A life cycle of its own that ends within this one, if it has not ended before. */
  within(): LifeCycle {
    const inner = new LifeCycle(this.#onOpened)
    this.#closes.push(() => inner.close())
    return inner
  }

  /** What `open` resolves to; when it fails, everything that was opened is closed before. */
  async guard<T>(open: () => T | Promise<T>): Promise<T> {
    try {
      return await open()
    } catch (error) {
      // Why it failed is what has to be known, not what went wrong on the way back.
      await this.close().catch(() => undefined)
      throw error
    }
  }

  /**
   * Closes everything, the last one first, once however often it is called. A close that fails does
   * not keep the others from theirs; the first failure is thrown when all are through.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const failures: unknown[] = []
    for (let close = this.#closes.pop(); close !== undefined; close = this.#closes.pop()) {
      try {
        await close()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}
