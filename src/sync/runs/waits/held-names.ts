/**
 * @module How many names of lists a run holds at once. Repositories are listed beside each other, and each list is
 * held until its last tag has ended: with many large ones some wait for others. The one that came first never does,
 * so that all come to an end, and neither do small ones.
 */

/** Names that are held before others wait. */
const namesMax = 200_000

/** Names that one list may hold without waiting for others. */
const ownMax = 2_000

export class HeldNames {
  readonly #max: number
  readonly #ownMax: number
  /** Of each list, in the order in which they came. */
  readonly #held = new Map<object, number>()
  readonly #waiting = new Set<() => void>()
  #total = 0

  constructor(max = namesMax, own = ownMax) {
    this.#max = max
    this.#ownMax = own
  }

  get total(): number {
    return this.#total
  }

  /** The pages of one list, each when there is room for it. `owner` gives the room back with `release`. */
  async *through<T>(
    owner: object,
    pages: AsyncIterable<readonly T[]>,
    signal: AbortSignal,
  ): AsyncGenerator<readonly T[]> {
    this.release(owner)
    this.#held.set(owner, 0)
    let held = 0
    for await (const page of pages) {
      // Behind the last page there is nothing to wait for.
      if (held > this.#ownMax) await this.#room(owner, signal)
      held += page.length
      this.#held.set(owner, held)
      this.#total += page.length
      yield page
    }
  }

  /** Nothing of the list is held any more. */
  release(owner: object): void {
    this.#total -= this.#held.get(owner) ?? 0
    this.#held.delete(owner)
    this.#wake()
  }

  async #room(owner: object, signal: AbortSignal): Promise<void> {
    while (this.#total > this.#max && this.#held.keys().next().value !== owner) {
      await new Promise<void>((resolve, reject) => {
        const onAbort = () => {
          this.#waiting.delete(enter)
          reject(signal.reason as Error)
        }
        const enter = () => {
          signal.removeEventListener('abort', onAbort)
          resolve()
        }
        if (signal.aborted) return onAbort()
        this.#waiting.add(enter)
        signal.addEventListener('abort', onAbort, { once: true })
      })
    }
  }

  #wake(): void {
    for (const enter of this.#waiting) enter()
    this.#waiting.clear()
  }
}
