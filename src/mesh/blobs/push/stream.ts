/**
 * @module An upload on its way to one other member while it arrives here: the member gets what the file has, as fast
 * as it takes it. It keeps nothing before it is told the digest behind the last byte.
 */
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Time } from '../../../metadata/log/etcd/time.ts'
import type { HeldCopy } from '../../../metadata/transaction.ts'
import type { Algorithm, Digest } from '../../../registry/digest.ts'
import { MeshError } from '../../identity/problem.ts'
import { answerTo, asMeshError, type PeerClient } from '../../peers/client.ts'
import { parseJson, readBody } from '../../peers/messages.ts'
import {
  blobPaths,
  digestTrailer,
  messageBytesMax,
  PinAnswer,
  requirePinOf,
  silentMs,
  sizeTrailer,
} from '../protocol.ts'

/** Bytes that are read and sent at once; fewer wait for more, until `flush` or the end. */
const pieceBytes = 256 * 1024
/** Until a member has flushed a file whose last byte it was sent, ms. */
const keepMs = 30_000

export interface CopyStreamParts {
  readonly member: number
  readonly client: Pick<PeerClient, 'open' | 'accept'>
  readonly time: Time
  readonly algorithm: Algorithm
  /** Reads from the file of the upload: see `UploadTail`. */
  readonly read: (into: Uint8Array, offset: number) => Promise<number>
  /** It has ended before `finish`, with this. Not called after `stop`. */
  readonly onEnded: (error: MeshError) => void
}

export type OutgoingCopy = Pick<CopyStream, 'reached' | 'flush' | 'finish' | 'stop'>

export class CopyStream {
  readonly #parts: CopyStreamParts
  readonly #asked: ClientRequest
  readonly #answering: Promise<IncomingMessage>
  /** As long as the longest piece so far: most uploads are one small piece. */
  #buffer = Buffer.alloc(0)
  #reachedBytes = 0
  #sentBytes = 0
  /** What is there is sent, however little. */
  #isFlushing = false
  #last: { readonly digest: Digest; readonly sizeBytes: number } | undefined
  #wake: () => void = () => undefined
  /** Ends the wait for a piece that is not taken. */
  #giveUp: () => void = () => undefined
  #error: MeshError | undefined
  #isStopped = false
  readonly #pumped: Promise<void>

  constructor(parts: CopyStreamParts) {
    this.#parts = parts
    this.#asked = parts.client.open('POST', `${blobPaths.arrive}?algorithm=${parts.algorithm}`)
    this.#asked.setHeader('Transfer-Encoding', 'chunked')
    this.#asked.setHeader('Trailer', `${digestTrailer}, ${sizeTrailer}`)
    this.#answering = answerTo(this.#asked)
    this.#answering.then(
      // A refusal: nothing else is said before the end.
      (answer) => this.#last === undefined && this.#refused(answer),
      (error: unknown) => this.#fail(error),
    )
    this.#asked.flushHeaders()
    this.#pumped = this.#pump().catch((error: unknown) => this.#fail(error))
  }

  /** So many bytes from the start are in the file. */
  reached(writtenBytes: number): void {
    if (writtenBytes <= this.#reachedBytes) return
    this.#reachedBytes = writtenBytes
    this.#wake()
  }

  /** Sends what there is. */
  flush(): void {
    this.#isFlushing = true
    this.#wake()
  }

  /** All bytes have come: the member is to keep them. Rejects with a MeshError; then nothing is left of it there. */
  async finish(digest: Digest, sizeBytes: number): Promise<HeldCopy> {
    const { client, time, member } = this.#parts
    this.#reachedBytes = sizeBytes
    this.#last = { digest, sizeBytes }
    this.#wake()
    try {
      await this.#pumped
      if (this.#error !== undefined) throw this.#error
      const cancel = time.after(keepMs, () => this.#asked.destroy(late()))
      try {
        const answer = await client.accept(await this.#answering)
        const body = await readBody(answer, { bytesMax: messageBytesMax, ms: silentMs, time })
        const { pin } = parseJson(body, PinAnswer)
        if (pin === null) throw new MeshError('message', 'the peer keeps nothing')
        return requirePinOf(member, pin)
      } finally {
        cancel()
      }
    } catch (error) {
      this.stop()
      throw asMeshError(error)
    }
  }

  /** Ends it: nothing is left at the member. */
  stop(): void {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#asked.destroy()
    this.#wake()
    this.#giveUp()
  }

  async #pump(): Promise<void> {
    while (!this.#isOver) {
      const waiting = this.#reachedBytes - this.#sentBytes
      const isEnding = this.#last !== undefined
      if (waiting === 0 && isEnding) break
      if (waiting >= pieceBytes || (waiting > 0 && (isEnding || this.#isFlushing))) {
        await this.#send(Math.min(waiting, pieceBytes))
      } else await this.#more()
    }
    if (this.#isOver || this.#last === undefined) return
    const { digest, sizeBytes } = this.#last
    this.#asked.addTrailers([
      [digestTrailer, digest],
      [sizeTrailer, String(sizeBytes)],
    ])
    this.#asked.end()
  }

  get #isOver(): boolean {
    return this.#isStopped || this.#error !== undefined
  }

  async #send(wanted: number): Promise<void> {
    if (this.#buffer.byteLength < wanted) this.#buffer = Buffer.allocUnsafe(wanted)
    const bytes = this.#buffer.subarray(0, wanted)
    const count = await this.#parts.read(bytes, this.#sentBytes)
    if (count === 0) throw new MeshError('fault', 'the file of an upload has ended early')
    if (this.#isOver) return
    const cancel = this.#parts.time.after(silentMs, () => this.#fail(late()))
    try {
      // The buffer is free again when the system has the bytes.
      await new Promise<void>((resolve) => {
        this.#giveUp = resolve
        this.#asked.write(bytes.subarray(0, count), () => resolve())
      })
    } finally {
      cancel()
    }
    this.#sentBytes += count
  }

  #more(): Promise<void> {
    this.#isFlushing = false
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  #refused(answer: IncomingMessage): void {
    this.#parts.client.accept(answer).then(
      (accepted) => {
        accepted.destroy()
        this.#fail(new MeshError('message', 'the peer has answered too early'))
      },
      (error: unknown) => this.#fail(error),
    )
  }

  #fail(error: unknown): void {
    if (this.#isOver) return
    this.#error = asMeshError(error)
    this.#asked.destroy()
    this.#wake()
    this.#giveUp()
    if (this.#last === undefined) this.#parts.onEnded(this.#error)
  }
}

function late(): MeshError {
  return new MeshError('silent', 'the peer takes no more bytes')
}
