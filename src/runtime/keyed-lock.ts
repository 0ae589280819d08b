/**
 * @module One holder at a time per key, first come first served. Holds nothing for idle keys.
 */

export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>()

  /** Keys that are held or waited for now. */
  get size(): number {
    return this.#tails.size
  }

  isHeld(key: string): boolean {
    return this.#tails.has(key)
  }

  /** Runs `work` when every earlier holder of `key` is done; a failed one counts as done. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key)
    let release!: () => void
    const mine = new Promise<void>((resolve) => {
      release = resolve
    })
    const tail = before === undefined ? mine : before.then(() => mine)
    this.#tails.set(key, tail)
    if (before !== undefined) await before
    try {
      return await work()
    } finally {
      release()
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
  }
}
