/**
 * @module Buffers that carry body chunks to the workers and come back. The budget bounds what all
 * uploads have in flight together; `take` never refuses (the chunk is already in memory), sockets
 * are paused instead.
 */

/** Free buffers kept for reuse; the rest goes back to the garbage collector. */
const freeMax = 64

export class ChunkPool {
  readonly #chunkBytes: number
  readonly #chunksMax: number
  readonly #free: ArrayBuffer[] = []
  /** Those that both sides see at once. */
  readonly #freeShared: SharedArrayBuffer[] = []
  readonly #waiting: (() => void)[] = []
  #taken = 0

  constructor(chunkBytes: number, budgetBytes: number) {
    this.#chunkBytes = chunkBytes
    this.#chunksMax = Math.floor(budgetBytes / chunkBytes)
  }

  get isOverBudget(): boolean {
    return this.#taken >= this.#chunksMax
  }

  take(): ArrayBuffer {
    this.#taken += 1
    return this.#free.pop() ?? new ArrayBuffer(this.#chunkBytes)
  }

  give(buffer: ArrayBuffer): void {
    if (this.#free.length < freeMax) this.#free.push(buffer)
    this.forget(1)
  }

  takeShared(): SharedArrayBuffer {
    this.#taken += 1
    return this.#freeShared.pop() ?? new SharedArrayBuffer(this.#chunkBytes)
  }

  giveShared(buffer: SharedArrayBuffer): void {
    if (this.#freeShared.length < freeMax) this.#freeShared.push(buffer)
    this.forget(1)
  }

  /** Buffers that will not come back (their worker died). */
  forget(count: number): void {
    this.#taken -= count
    while (!this.isOverBudget) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      next()
    }
  }

  /** Calls back once when the budget has room again. */
  whenFree(onFree: () => void): void {
    if (this.isOverBudget) this.#waiting.push(onFree)
    else onFree()
  }
}
