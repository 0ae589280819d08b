/**
 * @module Where a chunked body stands. The native side takes the frames of chunks away and reports data
 * alone, but the data lie where they came, with the frames between them. So where a piece begins right
 * behind `CR LF size CR LF` behind the piece before it, and is shorter than that size, what was
 * read ends within this chunk: it is known how much of it is left.
 */
import type { LoadedBinary } from '../../../runtime/loaded-binary.ts'

/** CR LF, a size of up to seven digits, CR LF: the native side counts sizes modulo 2^32. */
const frameBytesMin = 5
const frameBytesMax = 11
const FRAME = /^\r\n([0-9a-f]{1,7})\r\n$/i

/** Pieces that are looked at (5 to 20 µs each): of chunks of 4 KiB or more, one of them ends a read. */
const looksMax = 256

export class ChunkFrame {
  readonly #binary: LoadedBinary
  #looks = 0
  #end: bigint | undefined
  /** Bytes of the chunk that were not read yet; undefined where that is not known. */
  left: number | undefined

  constructor(binary: LoadedBinary) {
    this.#binary = binary
  }

  /** A piece of the body, as the native side reported it and before it takes it back. */
  note(piece: ArrayBuffer): void {
    this.left = undefined
    this.#looks += 1
    if (this.#looks > looksMax) return
    try {
      this.left = this.#look(piece)
    } catch {
      // Thrown into the native side, it would end the process.
      this.#looks = looksMax
    }
  }

  #look(piece: ArrayBuffer): number | undefined {
    const address = this.#binary.addressOf(piece)
    const gap = this.#end === undefined ? 0 : Number(address - this.#end)
    this.#end = address + BigInt(piece.byteLength)
    if (gap < frameBytesMin || gap > frameBytesMax) return undefined
    const frame = FRAME.exec(this.#binary.textBefore(address, gap))
    const size = frame === null ? 0 : Number.parseInt(frame[1]!, 16)
    return size > piece.byteLength ? size - piece.byteLength : undefined
  }
}
