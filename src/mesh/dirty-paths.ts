/**
 * @module Paths whose newest change not all of the serving set show yet: an answer about them waits until all
 * do. Else one node would show the new tag, and another, asked later, the old one.
 */
export class DirtyPaths {
  readonly #indexes = new Map<string, number>()
  /** Changes in the order of the log; what is older than `#settled` is over. */
  #changes: { readonly index: number; readonly path: string }[] = []

  /** Whether there is none: all that the hot path asks. */
  get isClean(): boolean {
    return this.#indexes.size === 0
  }

  mark(path: string, index: number): void {
    this.#indexes.set(path, index)
    this.#changes.push({ index, path })
  }

  /** The entry with the path's newest change; undefined: all show it. */
  indexOf(path: string): number | undefined {
    return this.#indexes.get(path)
  }

  /** All of the set show the entries up to this one. */
  settle(index: number): void {
    let count = 0
    for (const change of this.#changes) {
      if (change.index > index) break
      count += 1
      if (this.#indexes.get(change.path) === change.index) this.#indexes.delete(change.path)
    }
    if (count > 0) this.#changes = this.#changes.slice(count)
  }
}
