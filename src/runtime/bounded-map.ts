/**
 * @module A map that holds at most so many entries: what was set longest ago goes first. For what may be
 * forgotten, and whose keys strangers choose.
 */

export class BoundedMap<K, V> extends Map<K, V> {
  readonly #entriesMax: number

  /** `entriesMax` is at least 1. */
  constructor(entriesMax: number) {
    super()
    this.#entriesMax = entriesMax
  }

  /** The entry is the newest from now on, also where the key was there. */
  override set(key: K, value: V): this {
    this.delete(key)
    if (this.size >= this.#entriesMax) this.delete(this.keys().next().value as K)
    return super.set(key, value)
  }
}
