/**
 * @module A blob on its way from upstream whose failure is told as a registry error. While nothing
 * has reached the client yet, it is the answer; and the first byte comes before a deadline.
 */
import type { BlobSource } from '../blobs/port.ts'
import { toRegistryError, UpstreamError } from '../upstream/error.ts'

export class ExplainedSource implements BlobSource {
  readonly sizeBytes: number
  readonly #source: BlobSource
  readonly #explain: (error: unknown) => never
  readonly #deadline: number
  #hasBegun = false

  /** `deadline`: latest time for the first byte, ms on the monotonic clock. */
  constructor(source: BlobSource, mirror: string, deadline: number) {
    this.#deadline = deadline
    this.sizeBytes = source.sizeBytes
    this.#source = source
    this.#explain = (error) => {
      throw toRegistryError(error, mirror, 'BLOB_UNKNOWN')
    }
  }

  ready(offset: number, length: number): number | Promise<void> {
    const ready = this.#source.ready(offset, length)
    if (typeof ready === 'number') return ready
    return (this.#hasBegun ? ready : this.#inTime(ready)).catch(this.#explain)
  }

  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    this.#hasBegun = true
    return this.#source.use(offset, length, callback)
  }

  async #inTime(ready: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      const error = new UpstreamError('timeout', 'the first byte has not come in time; try again')
      const leftMs = Math.max(1, this.#deadline - performance.now())
      timer = setTimeout(() => reject(error), leftMs)
    })
    try {
      await Promise.race([ready, late])
    } finally {
      clearTimeout(timer)
    }
  }

  close(): void {
    this.#source.close()
  }
}
