/**
 * @module The names that a list has had: each once, and within bounds. A list without an end must not fill the memory,
 * whoever sends it.
 */
import { SyncError } from '../port.ts'

/** Names of one list, and their characters. */
const namesMax = 500_000
const lengthMax = 64 * 1024 * 1024

export class ListedNames {
  readonly #names = new Set<string>()
  #length = 0

  get size(): number {
    return this.#names.size
  }

  has(name: string): boolean {
    return this.#names.has(name)
  }

  /** False: it was there before. Throws `incomplete-listing` for more than a list can have. */
  add(name: string): boolean {
    if (this.#names.has(name)) return false
    this.#names.add(name)
    this.#length += name.length
    if (this.#names.size <= namesMax && this.#length <= lengthMax) return true
    throw endless(`there are more than ${this.#names.size - 1} names`)
  }
}

/** A list that has no end, or none that can be told. */
export function endless(why: string): SyncError {
  return new SyncError('incomplete-listing', `the list of upstream has no end: ${why}`)
}
