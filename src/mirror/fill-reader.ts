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

export class FillReader implements BlobSource {
  readonly sizeBytes: number
  readonly #growing: Growing
  readonly #source: BlobSource
  readonly #onClose: () => void
  #isClosed = false

  constructor(growing: Growing, source: BlobSource, onClose: () => void) {
    this.sizeBytes = growing.sizeBytes!
    this.#growing = growing
    this.#source = source
    this.#onClose = onClose
  }

  ready(offset: number, length: number): number | Promise<void> {
    const there = this.#growing.availableBytes - offset
    if (there <= 0) return this.#growing.grown()
    const ready = this.#source.ready(offset, Math.min(length, there))
    return typeof ready === 'number' ? Math.min(ready, there) : ready
  }

  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    return this.#source.use(offset, length, callback)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#source.close()
    this.#onClose()
  }
}
