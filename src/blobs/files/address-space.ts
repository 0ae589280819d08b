/**
 * @module Address space for mapped files, reserved in pieces of 1 GiB with one view each. A view of its own for
 * each file makes V8 count the file's bytes as garbage to come: it marked its whole heap for every 64 MiB of
 * files that were mapped, and that was 45 % of the processor time of reading blobs for the first time.
 *
 * Inside a piece a buddy allocator deals out extents: powers of two from 64 KiB on. What an extent has more
 * than its file costs addresses, no memory. Pieces are never given back: they are bounded by what is mapped
 * at a time.
 */
import type { Libc } from '../../runtime/libc.ts'

const smallestBytes = 64 * 1024

/** Sizes of extents: `smallestBytes` times 2 to the power of their order. */
const ordersMax = 14
const pieceBytes = smallestBytes * 2 ** ordersMax

/** Where a file may be mapped. */
export interface Extent {
  readonly address: bigint
  /** The view that the extent is a part of, and where in it the extent begins. */
  readonly view: ArrayBuffer
  readonly offset: number
  /** Reserved for this file alone, because it is larger than a piece. */
  readonly isWhole: boolean
}

export class AddressSpace {
  readonly #libc: Pick<Libc, 'reserve' | 'view'>
  readonly #pieces: Piece[] = []

  constructor(libc: Pick<Libc, 'reserve' | 'view'>) {
    this.#libc = libc
  }

  /** Space for a file of `sizeBytes` (at least 1). Throws with `code` when the system has no addresses left. */
  take(sizeBytes: number): Extent {
    if (sizeBytes > pieceBytes) {
      const { address, view } = this.#reserve(sizeBytes)
      return { address, view, offset: 0, isWhole: true }
    }
    const order = orderOf(sizeBytes)
    for (const piece of this.#pieces) {
      const offset = piece.take(order)
      if (offset !== undefined) return piece.extent(offset)
    }
    const { address, view } = this.#reserve(pieceBytes)
    const piece = new Piece(address, view)
    this.#pieces.push(piece)
    return piece.extent(piece.take(order)!)
  }

  /** Takes an extent back that nothing is mapped in any more, or from which it goes before the next file comes. */
  give({ offset, view, isWhole }: Extent, sizeBytes: number): void {
    if (isWhole) return
    this.#pieces.find((piece) => piece.view === view)!.give(offset, orderOf(sizeBytes))
  }

  #reserve(bytes: number): { readonly address: bigint; readonly view: ArrayBuffer } {
    const address = this.#libc.reserve(bytes)
    return { address, view: this.#libc.view(address, bytes) }
  }
}

function orderOf(sizeBytes: number): number {
  return Math.max(0, Math.ceil(Math.log2(sizeBytes / smallestBytes)))
}

/** Extents of one piece that are free, by order: each offset is a multiple of the size of its order. */
class Piece {
  readonly address: bigint
  readonly view: ArrayBuffer
  readonly #free: readonly Set<number>[] = Array.from(
    { length: ordersMax + 1 },
    (_, order) => new Set(order === ordersMax ? [0] : []),
  )

  constructor(address: bigint, view: ArrayBuffer) {
    this.address = address
    this.view = view
  }

  extent(offset: number): Extent {
    return { address: this.address + BigInt(offset), view: this.view, offset, isWhole: false }
  }

  /** The offset of a free extent; undefined when the piece has none that is large enough. */
  take(wanted: number): number | undefined {
    let order = wanted
    while (order <= ordersMax && this.#free[order]!.size === 0) order += 1
    if (order > ordersMax) return undefined
    const offset = this.#free[order]!.values().next().value!
    this.#free[order]!.delete(offset)
    // What is too large is halved; the upper halves stay free.
    while (order > wanted) {
      order -= 1
      this.#free[order]!.add(offset + smallestBytes * 2 ** order)
    }
    return offset
  }

  give(offset: number, givenOrder: number): void {
    let order = givenOrder
    let start = offset
    while (order < ordersMax) {
      const bytes = smallestBytes * 2 ** order
      const buddy = start % (2 * bytes) === 0 ? start + bytes : start - bytes
      if (!this.#free[order]!.delete(buddy)) break
      start = Math.min(start, buddy)
      order += 1
    }
    this.#free[order]!.add(start)
  }
}
