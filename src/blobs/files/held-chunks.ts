/**
 * @module The pieces of a growing blob that are in memory on their way to the file, in order: seen by
 * the worker that writes them and by whoever reads at the head of the blob at once.
 */
import type { ChunkPool } from './chunk-pool.ts'

interface Held {
  readonly start: number
  readonly buffer: SharedArrayBuffer
  readonly bytes: Buffer
  length: number
}

export class HeldChunks {
  readonly #pool: ChunkPool
  /** The last one is being filled. */
  #chunks: Held[] = []

  constructor(pool: ChunkPool) {
    this.#pool = pool
  }

  /** A buffer for what comes from `start` on; `grow` tells how much of it there is. */
  begin(start: number): Buffer {
    const buffer = this.#pool.takeShared()
    const bytes = Buffer.from(buffer)
    this.#chunks.push({ start, buffer, bytes, length: 0 })
    return bytes
  }

  grow(length: number): void {
    this.#chunks.at(-1)!.length = length
  }

  at(offset: number): Uint8Array | undefined {
    // Who reads at the head finds it at the end; there are a dozen at most.
    for (let index = this.#chunks.length - 1; index >= 0; index -= 1) {
      const { start, bytes, length } = this.#chunks[index]!
      if (offset < start) continue
      return offset < start + length ? bytes.subarray(offset - start, length) : undefined
    }
    return undefined
  }

  /** The file has everything before `writtenBytes`: those buffers serve again. */
  release(writtenBytes: number): void {
    while (this.#chunks.length > 0) {
      const [first] = this.#chunks
      if (first!.length === 0 || first!.start + first!.length > writtenBytes) return
      this.#chunks.shift()
      this.#pool.giveShared(first!.buffer)
    }
  }

  /** Nobody will write them any more; the buffers are not used again, the worker may have them. */
  drop(): void {
    for (const { buffer } of this.#chunks) this.#pool.forget(buffer.byteLength)
    this.#chunks = []
  }
}
