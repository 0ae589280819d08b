/**
 * @module A body from upstream that goes to one client without being stored: ranges far ahead of a
 * fill, and everything while the disk is short. Holds a bounded piece in memory and lets upstream
 * wait while its client does.
 */
import type { BlobSource } from '../storage/ports.ts'
import type { HttpAnswer } from './http-client.ts'
import { UpstreamError } from './upstream-error.ts'

/** Bytes held for a client that takes nothing before upstream is paused. */
const heldBytesMax = 512 * 1024

export class PassThrough implements BlobSource {
  readonly sizeBytes: number
  readonly #answer: HttpAnswer
  readonly #chunks: Uint8Array[] = []
  #heldBytes = 0
  #offset = 0
  #failure: unknown
  #hasEnded = false
  #wake: (() => void) | undefined
  #waiting: Promise<void> | undefined

  constructor(answer: HttpAnswer, sizeBytes: number) {
    this.#answer = answer
    this.sizeBytes = sizeBytes
    const { body } = answer
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
        this.#progress()
      })
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
    this.#chunks.length = 0
    if (!this.#hasEnded) this.#answer.body.abort()
  }

  /** Lets go of what the socket has taken. Offsets only grow. */
  #drop(offset: number): void {
    let taken = offset - this.#offset
    this.#offset = offset
    this.#heldBytes -= taken
    while (taken > 0) {
      const chunk = this.#chunks[0]!
      if (taken < chunk.byteLength) {
        this.#chunks[0] = chunk.subarray(taken)
        break
      }
      taken -= chunk.byteLength
      this.#chunks.shift()
    }
    if (this.#heldBytes <= heldBytesMax / 2) this.#answer.body.resume()
  }

  #progress(): void {
    const wake = this.#wake
    this.#wake = undefined
    this.#waiting = undefined
    wake?.()
  }
}
