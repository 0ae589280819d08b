/**
 * @module A blob on its way from upstream whose failure is told as a registry error. While nothing
 * has reached the client yet, it is the answer.
 */
import type { BlobSource } from '../storage/ports.ts'
import { toRegistryError } from './upstream-error.ts'

export class ExplainedSource implements BlobSource {
  readonly sizeBytes: number
  readonly #source: BlobSource
  readonly #explain: (error: unknown) => never

  constructor(source: BlobSource, mirror: string) {
    this.sizeBytes = source.sizeBytes
    this.#source = source
    this.#explain = (error) => {
      throw toRegistryError(error, mirror, 'BLOB_UNKNOWN')
    }
  }

  ready(offset: number, length: number): number | Promise<void> {
    const ready = this.#source.ready(offset, length)
    return typeof ready === 'number' ? ready : ready.catch(this.#explain)
  }

  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    return this.#source.use(offset, length, callback)
  }

  close(): void {
    this.#source.close()
  }
}
