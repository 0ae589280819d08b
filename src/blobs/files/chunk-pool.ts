/**
 * @module Buffers that carry body chunks to the workers and come back. The budget bounds what all
 * uploads have in flight together; `take` never refuses (the chunk is already in memory), sockets
 * are paused instead.
 */

/** Free buffers kept for reuse; the rest goes back to the garbage collector. */
const freeMax = 64

export class ChunkPool {
  readonly #chunkBytes: number
  readonly #budgetBytes: number
  readonly #free: ArrayBuffer[] = []
  /** Those that both sides see at once. */
  readonly #freeShared: SharedArrayBuffer[] = []
  readonly #waiting: (() => void)[] = []
  #takenBytes = 0

  constructor(chunkBytes: number, budgetBytes: number) {
    this.#chunkBytes = chunkBytes
    this.#budgetBytes = budgetBytes
  }

  get isOverBudget(): boolean {
    return this.#takenBytes > this.#budgetBytes - this.#chunkBytes
  }

  /**
   * A buffer for what is going to be filled: of the pool's size, or of exactly `bytes` when that is
   * much less, so that a thousand slow uploads do not hold a thousand large buffers.
   */
  take(bytes = this.#chunkBytes): ArrayBuffer {
    const isSmall = bytes <= this.#chunkBytes / 4
    const buffer = isSmall ? new ArrayBuffer(bytes) : this.#free.pop()
    const taken = buffer ?? new ArrayBuffer(this.#chunkBytes)
    this.#takenBytes += taken.byteLength
    return taken
  }

  /** Counts a buffer that somebody else made and that comes back as those of the pool do; its size. */
  count(buffer: ArrayBuffer): number {
    this.#takenBytes += buffer.byteLength
    return buffer.byteLength
  }

  give(buffer: ArrayBuffer): void {
    const { byteLength } = buffer
    if (byteLength === this.#chunkBytes && this.#free.length < freeMax) this.#free.push(buffer)
    this.forget(byteLength)
  }

  takeShared(): SharedArrayBuffer {
    this.#takenBytes += this.#chunkBytes
    return this.#freeShared.pop() ?? new SharedArrayBuffer(this.#chunkBytes)
  }

  giveShared(buffer: SharedArrayBuffer): void {
    if (this.#freeShared.length < freeMax) this.#freeShared.push(buffer)
    this.forget(buffer.byteLength)
  }

  /** Bytes of buffers that will not come back (their worker died). */
  forget(bytes: number): void {
    this.#takenBytes -= bytes
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
