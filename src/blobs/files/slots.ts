/**
 * @module A fixed piece of memory, shared with the pager, that small blob files are read into when
 * they are asked for the first time. A mapping of its own for each costs more than the copy: system
 * calls, page faults, and a collection of garbage for every few hundred (measured: 300 µs of
 * processor time for 128 KiB, half of it the collector's).
 */
import type { BlobSource } from '../port.ts'

/** Largest file that is read into a slot, bytes. */
export const slotBytes = 256 * 1024

/** Files that are being served out of slots at a time; others are mapped. */
const slotsMax = 64

export class ReadSlots {
  readonly memory = new SharedArrayBuffer(slotBytes * slotsMax)
  readonly #free = Array.from({ length: slotsMax }, (_, index) => index * slotBytes)

  /** Where a free slot begins; undefined when none is. */
  take(): number | undefined {
    return this.#free.pop()
  }

  give(offset: number): void {
    this.#free.push(offset)
  }
}

/** A file in a slot, for as long as somebody reads it. */
export class SlotCopy {
  readonly sizeBytes: number
  readonly #bytes: Uint8Array
  readonly #giveBack: () => void
  #readers = 0

  constructor(slots: ReadSlots, offset: number, sizeBytes: number) {
    this.sizeBytes = sizeBytes
    this.#bytes = new Uint8Array(slots.memory, offset, sizeBytes)
    this.#giveBack = () => slots.give(offset)
  }

  /** The slot is free again when all sources are closed: one is held until all are lent. */
  lend(): BlobSource {
    this.#readers += 1
    let isClosed = false
    return {
      sizeBytes: this.sizeBytes,
      lasts: true,
      ready: (_offset, length) => length,
      use: (offset, length, callback) => callback(this.#bytes.subarray(offset, offset + length)),
      close: () => {
        if (isClosed) return
        isClosed = true
        this.#readers -= 1
        if (this.#readers === 0) this.#giveBack()
      },
    }
  }
}
