/**
 * @module A body from upstream that goes to one client without being stored: ranges far ahead of a
 * fill, and everything while the disk is short. Holds a bounded piece in memory and lets upstream
 * wait while its client does, but not for ever: it holds a slot that others wait for. It has the shape
 * of a `BlobSource`.
 */
import type { AnswerBody } from './answer.ts'
import { UpstreamError } from './error.ts'

/** Bytes held for a client that takes nothing before upstream is paused. */
const heldBytesMax = 512 * 1024

/** A client that takes less than so many bytes in so many ms, of what there is for it, is cut. */
const takenBytesMin = 16 * 1024
const takenWithinMs = 15_000

export class PassThrough {
  readonly sizeBytes: number
  readonly #body: AnswerBody
  readonly #chunks: Uint8Array[] = []
  #heldBytes = 0
  #offset = 0
  #failure: unknown
  #hasEnded = false
  #wake: (() => void) | undefined
  #waiting: Promise<void> | undefined
  #takenBytes = 0
  /** Its client has read too slowly: what it still wants is not asked for again. */
  isCut = false
  readonly #timer: NodeJS.Timeout
  readonly #onOver: () => void

  /** `onOver` is called, perhaps more than once, when upstream's connection is not held any more. */
  constructor(body: AnswerBody, sizeBytes: number, onOver: () => void = () => undefined) {
    this.#body = body
    this.sizeBytes = sizeBytes
    this.#onOver = onOver
    this.#timer = setInterval(() => this.#watch(), takenWithinMs)
    this.#timer.unref()
    body
      .read((bytes) => {
        this.#chunks.push(Buffer.from(bytes))
        this.#heldBytes += bytes.byteLength
        if (this.#heldBytes > heldBytesMax) body.pause()
        this.#progress()
      })
      .catch((error: unknown) => {
        this.#failure = error
      })
      .finally(() => {
        this.#hasEnded = true
        this.#onOver()
        this.#progress()
      })
  }

  /** Whoever waits for upstream is not slow. */
  #watch(): void {
    const isSlow = this.#waiting === undefined && this.#heldBytes >= takenBytesMin
    if (isSlow && this.#takenBytes < takenBytesMin) {
      this.isCut = true
      this.close()
      this.#failure ??= new UpstreamError('reset', 'its client has read too slowly')
    }
    this.#takenBytes = 0
  }

  ready(offset: number, length: number): number | Promise<void> {
    this.#drop(offset)
    const [chunk] = this.#chunks
    if (chunk !== undefined) return Math.min(length, chunk.byteLength)
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#hasEnded) {
      return Promise.reject(new UpstreamError('reset', 'upstream ended before the last byte'))
    }
    this.#waiting ??= new Promise((resolve) => {
      this.#wake = resolve
    })
    return this.#waiting
  }

  use<R>(_offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    return callback(this.#chunks[0]!.subarray(0, length))
  }

  close(): void {
    clearInterval(this.#timer)
    this.#chunks.length = 0
    this.#heldBytes = 0
    if (!this.#hasEnded) this.#body.abort()
    this.#onOver()
  }

  /** Lets go of what the socket has taken. Offsets only grow. */
  #drop(offset: number): void {
    let taken = offset - this.#offset
    this.#offset = offset
    this.#takenBytes += taken
    this.#heldBytes -= taken
    while (taken > 0) {
      const [chunk] = this.#chunks
      // Cut, and let go of.
      if (chunk === undefined) break
      if (taken < chunk.byteLength) {
        this.#chunks[0] = chunk.subarray(taken)
        break
      }
      taken -= chunk.byteLength
      this.#chunks.shift()
    }
    if (this.#heldBytes <= heldBytesMax / 2) this.#body.resume()
  }

  #progress(): void {
    const wake = this.#wake
    this.#wake = undefined
    this.#waiting = undefined
    wake?.()
  }
}
