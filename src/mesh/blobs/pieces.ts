/**
 * @module Bytes of blobs on their way between nodes: a source as pieces that may be kept, and the body of an answer
 * as a fill reads it.
 */
import type { IncomingMessage } from 'node:http'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
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

/**
 * Writes the bytes from `from` on to `into`, which it ends, over two buffers in turns: a fresh one for each piece would
 * be most of what the node has to collect. Resolves when `into` has taken all. Rejects with what ends `into` early. The
 * source is the caller's to close then.
 */
export async function sendPieces(source: BlobSource, from: number, into: Writable): Promise<void> {
  let isOver = false
  let wake: () => void = () => undefined
  const taken = finished(into, { readable: false })
  const over = () => {
    isOver = true
    wake()
  }
  // Once: a race for each piece would keep something of each until the end.
  taken.then(over, over)
  const sizeMax = Math.min(pieceBytesMax, source.sizeBytes - from)
  const buffers = [Buffer.allocUnsafe(sizeMax), Buffer.allocUnsafe(sizeMax)] as const
  /** By buffer: whether its last piece is not taken yet. */
  const isBusy = [false, false]
  let offset = from
  let turn: 0 | 1 = 0
  try {
    while (offset < source.sizeBytes && !isOver) {
      const ready = source.ready(offset, Math.min(sizeMax, source.sizeBytes - offset))
      if (typeof ready !== 'number') {
        await ready
        continue
      }
      if (isBusy[turn]) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        continue
      }
      const at: 0 | 1 = turn
      const piece = buffers[at].subarray(0, ready)
      source.use(offset, ready, (bytes) => piece.set(bytes.subarray(0, ready)))
      offset += ready
      isBusy[at] = true
      into.write(piece, () => {
        isBusy[at] = false
        wake()
      })
      turn = at === 0 ? 1 : 0
    }
    if (!isOver) into.end()
  } catch (error) {
    into.destroy(error as Error)
  }
  await taken
}

export class PeerBody implements FillBody {
  readonly #answer: IncomingMessage
  readonly #time: Time
  readonly #silentMs: number
  #heardAt = 0
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
        this.#heardAt = this.#time.monotonic()
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

  /** From now on, while bytes are wanted. Pieces are many, so each only notes when it came. */
  #watch(): void {
    this.#cancel()
    if (this.#answer.isPaused()) return
    this.#heardAt = this.#time.monotonic()
    this.#lookIn(this.#silentMs)
  }

  #lookIn(ms: number): void {
    this.#cancel = this.#time.after(ms, () => {
      const leftMs = this.#heardAt + this.#silentMs - this.#time.monotonic()
      if (leftMs > 0) return this.#lookIn(leftMs)
      this.#answer.destroy(new MeshError('silent', 'the peer has stopped sending'))
    })
  }
}
