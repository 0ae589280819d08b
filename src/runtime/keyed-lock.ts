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
    const earlier = this.#tails.get(key)
    let release!: () => void
    const mine = new Promise<void>((resolve) => {
      release = resolve
    })
    const tail = earlier === undefined ? mine : earlier.then(() => mine)
    this.#tails.set(key, tail)
    if (earlier !== undefined) await earlier
    try {
      return await work()
    } finally {
      release()
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
  }

  /**
   * The same for several keys, held together. All places are taken in this turn, so of two that
   * want the same keys one is first everywhere: they never wait for each other.
   */
  async runAll<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> {
    let release!: () => void
    const mine = new Promise<void>((resolve) => {
      release = resolve
    })
    const before: Promise<void>[] = []
    const tails = new Map<string, Promise<void>>()
    for (const key of new Set(keys)) {
      const earlier = this.#tails.get(key)
      if (earlier !== undefined) before.push(earlier)
      const tail = earlier === undefined ? mine : earlier.then(() => mine)
      tails.set(key, tail)
      this.#tails.set(key, tail)
    }
    if (before.length > 0) await Promise.all(before)
    try {
      return await work()
    } finally {
      release()
      for (const [key, tail] of tails) if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
  }
}
