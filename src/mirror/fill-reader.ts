/**
 * @module One client's view of a blob that is being filled: offers what is there, waits for the
 * rest. Reads the file itself, so it costs the fill nothing, however slow its client is.
 */
import type { BlobSource } from '../storage/ports.ts'

export interface Growing {
  readonly sizeBytes: number | undefined
  readonly availableBytes: number
  grown(): Promise<void>
}

/** The first piece that a client gets, bytes. */
const firstBytesMax = 16 * 1024

export class FillReader implements BlobSource {
  readonly sizeBytes: number
  readonly #growing: Growing
  readonly #source: BlobSource
  readonly #onClose: () => void
  #isClosed = false
  #turn: 'first' | 'second' | 'later' = 'first'

  constructor(growing: Growing, source: BlobSource, onClose: () => void) {
    this.sizeBytes = growing.sizeBytes!
    this.#growing = growing
    this.#source = source
    this.#onClose = onClose
  }

  ready(offset: number, length: number): number | Promise<void> {
    const there = this.#growing.availableBytes - offset
    if (there <= 0) return this.#growing.grown()
    // Everybody gets a first piece before anybody gets a second: when hundreds wait for the same
    // blob, whole shares to those in front would be seconds to those behind.
    if (this.#turn === 'second') {
      this.#turn = 'later'
      return new Promise((resolve) => setImmediate(resolve))
    }
    const most = this.#turn === 'first' ? Math.min(firstBytesMax, length) : length
    const ready = this.#source.ready(offset, Math.min(most, there))
    return typeof ready === 'number' ? Math.min(ready, there) : ready
  }

  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    if (this.#turn === 'first') this.#turn = 'second'
    return this.#source.use(offset, length, callback)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#source.close()
    this.#onClose()
  }
}
