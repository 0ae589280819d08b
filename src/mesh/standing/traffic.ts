/**
 * @module Bytes of blobs that this node has sent to its peers and got from them, since its start: for a metric.
 */
import type { FillAnswer } from '../../blobs/fill/source.ts'
import type { BlobSource, UploadTail } from '../../blobs/port.ts'

export class Traffic {
  #sent = 0
  #received = 0

  get sentBytes(): number {
    return this.#sent
  }

  get receivedBytes(): number {
    return this.#received
  }

  /** A whole file has come. */
  received(bytes: number): void {
    this.#received += bytes
  }

  /** The same source, whose reader sends what it reads to a peer. */
  sending(source: BlobSource): BlobSource {
    return {
      sizeBytes: source.sizeBytes,
      ready: (...of) => source.ready(...of),
      use: (offset, length, callback) => {
        this.#sent += length
        return source.use(offset, length, callback)
      },
      close: () => source.close(),
      ...(source.lasts !== undefined && { lasts: source.lasts }),
    }
  }

  /** The same file of an upload, whose reader sends what it reads to a peer. */
  sendingTail(tail: UploadTail): UploadTail {
    return {
      read: async (into, offset) => {
        const count = await tail.read(into, offset)
        this.#sent += count
        return count
      },
      close: () => tail.close(),
    }
  }

  /** The same answer of a peer. */
  receiving<T extends FillAnswer>(answer: T): T {
    const { body } = answer
    const read: FillAnswer['body']['read'] = (onChunk) =>
      body.read((bytes) => {
        this.#received += bytes.byteLength
        onChunk(bytes)
      })
    const rest = {
      pause: () => body.pause(),
      resume: () => body.resume(),
      abort: () => body.abort(),
    }
    return { ...answer, body: { read, ...rest } }
  }
}
