/**
 * @module A bounded memory of keys seen lately: two generations, the older dropped whole. Cheaper
 * than an LRU (one hash lookup, no list) and exact enough for "was read lately".
 */

export class RecentSet {
  readonly #entriesMax: number
  #young = new Set<string>()
  #old = new Set<string>()

  /** Remembers at least the last `entriesMax` different keys and at most twice as many. */
  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax
  }

  has(key: string): boolean {
    if (this.#young.has(key)) return true
    if (!this.#old.has(key)) return false
    this.add(key)
    return true
  }

  add(key: string): void {
    this.#young.add(key)
    if (this.#young.size < this.#entriesMax) return
    this.#old = this.#young
    this.#young = new Set()
  }
}
