/**
 * @module Bytes of blobs on their way between nodes: a source as pieces that may be kept, and the body of an answer
 * as a fill reads it.
 */
import type { IncomingMessage } from 'node:http'
import type { FillBody } from '../../blobs/fill/source.ts'
import type { BlobSource } from '../../blobs/port.ts'
import type { Time } from '../../metadata/log/etcd/time.ts'
import { MeshError } from '../identity/problem.ts'
import { asMeshError } from '../peers/client.ts'

const pieceBytesMax = 256 * 1024

/** The bytes from `from` on, as copies. The source is the caller's to close, when this has ended. */
export async function* piecesOf(
  source: BlobSource,
  from: number,
): AsyncGenerator<Buffer, void, undefined> {
  let offset = from
  while (offset < source.sizeBytes) {
    const ready = source.ready(offset, Math.min(pieceBytesMax, source.sizeBytes - offset))
    if (typeof ready !== 'number') {
      await ready
      continue
    }
    const length = ready
    yield source.use(offset, length, (bytes) => Buffer.from(bytes.subarray(0, length)))
    offset += length
  }
}

export class PeerBody implements FillBody {
  readonly #answer: IncomingMessage
  readonly #time: Time
  readonly #silentMs: number
  #cancel: () => void = () => undefined

  /** `silentMs`: how long it is waited for the next byte, while bytes are wanted. */
  constructor(answer: IncomingMessage, time: Time, silentMs: number) {
    this.#answer = answer
    this.#time = time
    this.#silentMs = silentMs
    // What breaks it off before it is read is said when it is read.
    answer.on('error', () => undefined)
  }

  read(onChunk: (bytes: Uint8Array) => void): Promise<void> {
    const answer = this.#answer
    return new Promise<void>((resolve, reject) => {
      if (answer.destroyed) {
        reject(new MeshError('silent', 'the answer has ended before it was read'))
        return
      }
      answer.once('error', (error) => reject(asMeshError(error)))
      answer.once('close', () => reject(new MeshError('silent', 'the answer was cut')))
      answer.once('end', resolve)
      answer.on('data', (bytes: Uint8Array) => {
        this.#watch()
        try {
          onChunk(bytes)
        } catch (error) {
          reject(error as Error)
          answer.destroy()
        }
      })
      this.#watch()
    }).finally(() => this.#cancel())
  }

  pause(): void {
    this.#cancel()
    this.#answer.pause()
  }

  resume(): void {
    this.#watch()
    this.#answer.resume()
  }

  abort(): void {
    this.#cancel()
    this.#answer.destroy()
  }

  #watch(): void {
    this.#cancel()
    if (this.#answer.isPaused()) return
    this.#cancel = this.#time.after(this.#silentMs, () => {
      this.#answer.destroy(new MeshError('silent', 'the peer has stopped sending'))
    })
  }
}
