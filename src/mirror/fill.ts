/**
 * @module One blob on its way from upstream into the store, read by any number of clients while it
 * comes. Bytes go to the readers at its head and to a worker (file and running hash) at once; every
 * reader goes at its own speed. The last byte is held back until the digest is right, so that a wrong
 * blob is never an answer that looks whole; it does not wait for the flush to disk.
 *
 *   asking ──head──► filling ──all bytes──► verified ──rows──► stored
 *      │                │  └──wrong digest, upstream gone for good──► failed: open answers are cut
 *      └──failed        └──nobody reads, little has come──► failed
 */

import type { BlobSource, GrowingBlob, OpenFile } from '../blobs/port.ts'
import { algorithmOf, type Digest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import { digestOf } from '../registry/hasher.ts'
import type { HttpAnswer } from '../upstream/client.ts'
import { toUpstreamError, UpstreamError } from '../upstream/error.ts'
import { isMismatch, lengthOf, startsAt, tooLong } from './fill-answers.ts'
import {
  attemptBytesMin,
  attemptsMax,
  keptRestBytes,
  keptShare,
  lingerMs,
  noProgressMs,
  resumeAfterMs,
  unknownBytesMax,
} from './fill-bounds.ts'
import type { FillParts } from './fill-parts.ts'
import { FillRate } from './fill-rate.ts'
import { FillReader } from './fill-reader.ts'
import { FillWaiters } from './fill-waiters.ts'
import { joinChunks } from './join-chunks.ts'

export class Fill {
  readonly digest: Digest
  /** Resolves when readers may attach, or when it is all over and stored. Rejects when it failed. */
  readonly opened: Promise<void>
  /** Settles when the fill is over; never rejects. */
  readonly over: Promise<void>
  readonly #parts: FillParts
  #sizeBytes: number | undefined
  #state: 'asking' | 'filling' | 'verified' | 'stored' | 'failed' = 'asking'
  #pending: GrowingBlob | undefined
  #file: Promise<OpenFile> | undefined
  /** A small blob, once it is right. */
  #inlineBytes: Uint8Array | undefined
  #receivedBytes = 0
  #progressAt: number
  readonly #rate: FillRate
  #answer: HttpAnswer | undefined
  #unstored: HttpAnswer | undefined
  #failure: unknown
  #readers = 0
  /** The file's work is done, stored or not: it is closed with its last reader. */
  #isFileDone = false
  /** Somebody wanted a part of it and got it: the whole is filled whoever leaves. */
  #isWanted = false
  #linger: NodeJS.Timeout | undefined
  readonly #waiters = new FillWaiters()

  constructor(parts: FillParts) {
    this.#parts = parts
    this.digest = parts.digest
    this.#progressAt = parts.clock.monotonic()
    this.#rate = new FillRate(parts.clock)
    let open!: () => void
    let refuse!: (error: unknown) => void
    this.opened = new Promise((resolve, reject) => {
      open = resolve
      refuse = reject
    })
    this.opened.catch(() => undefined)
    this.over = this.#run(open).then(open, (error: unknown) => {
      this.#fail(error)
      refuse(error)
    })
  }

  get state() {
    return this.#state
  }

  /** Whether readers may attach, and the end is not known to be bad. */
  get isReadable(): boolean {
    const isOn = this.#state === 'filling' || this.#state === 'verified'
    return isOn && (this.#file ?? this.#inlineBytes) !== undefined
  }

  /** Undefined until upstream has said it. */
  get sizeBytes(): number | undefined {
    return this.#sizeBytes
  }

  get receivedBytes(): number {
    return this.#receivedBytes
  }

  /** When a byte will have come, ms from now; undefined while nothing is measured. */
  etaMs(offset: number): number | undefined {
    return this.#rate.etaMs(offset - this.#receivedBytes)
  }

  /** Bytes that a reader may look at. */
  get availableBytes(): number {
    const size = this.#sizeBytes ?? 0
    if (this.#state === 'verified' || this.#state === 'stored') return size
    return Math.min(this.#receivedBytes, size - 1)
  }

  get writtenBytes(): number {
    return this.#pending?.writtenBytes ?? 0
  }

  heldAt(offset: number): Uint8Array | undefined {
    return this.#inlineBytes?.subarray(offset) ?? this.#pending?.heldAt(offset)
  }

  /** The file as one more reader has it. */
  async openFile(): Promise<BlobSource> {
    if (this.#file === undefined) throw new Error('fill has no file')
    return (await this.#file).lend()
  }

  /** The answer of a blob that is not to be stored, for the first who takes it. */
  takeUnstored(): HttpAnswer | undefined {
    const answer = this.#unstored
    this.#unstored = undefined
    return answer
  }

  /** Sees to it that the fill ends whoever leaves. */
  want(): void {
    this.#isWanted = true
  }

  /** A reader of its own speed. Only after `opened`, and not once it is stored. */
  attach(): BlobSource {
    this.#readers += 1
    clearTimeout(this.#linger)
    return new FillReader(this, () => this.#left())
  }

  /** Resolves when more bytes are available than now; rejects when none will come. */
  grown(): Promise<void> {
    if (this.#state === 'failed') return Promise.reject(this.#failure)
    return this.#waiters.wait().then(() => {
      if (this.#state === 'failed') throw this.#failure
    })
  }

  #offer(): void {
    this.#waiters.offer(this.availableBytes, this.#readers)
  }

  #progress(): void {
    this.#waiters.wakeAll(this.availableBytes)
  }

  #left(): void {
    this.#readers -= 1
    if (this.#readers > 0) return
    if (this.#isFileDone) this.#closeFile()
    else this.#lingerAlone()
  }

  #lingerAlone(): void {
    clearTimeout(this.#linger)
    this.#linger = setTimeout(() => {
      if (this.#readers > 0 || this.#state !== 'filling' || this.#isPastThreshold) return
      this.#answer?.body.abort()
      this.#failure ??= new UpstreamError('reset', 'every client has left')
    }, lingerMs)
    this.#linger.unref()
  }

  #closeFile(): void {
    this.#file?.then(
      (file) => file.close(),
      () => undefined,
    )
    this.#file = undefined
  }

  get #isPastThreshold(): boolean {
    const size = this.#sizeBytes ?? Number.POSITIVE_INFINITY
    const rest = size - this.#receivedBytes
    return this.#isWanted || rest <= keptRestBytes || this.#receivedBytes >= size * keptShare
  }

  async #run(open: () => void): Promise<void> {
    // Where the size is known already the file is made while upstream is asked.
    this.#pending = this.#growEarly()
    try {
      await this.#fillFrom(await this.#ask(), open)
    } finally {
      if (this.#state !== 'stored') this.#pending?.discard()
    }
  }

  #growEarly(): GrowingBlob | undefined {
    const { promisedBytes, inlineLimitBytes, mayStore } = this.#parts
    const isFile = promisedBytes !== undefined && promisedBytes > inlineLimitBytes
    if (!isFile || !mayStore(promisedBytes)) return undefined
    try {
      return this.#grow(promisedBytes)
    } catch {
      // No worker is free: by the time that upstream has answered one may be.
      return undefined
    }
  }

  #grow(sizeBytes: number | undefined): GrowingBlob {
    const { growing, uploadId, digest } = this.#parts
    return growing.grow(uploadId, algorithmOf(digest), 0, sizeBytes)
  }

  async #ask(): Promise<HttpAnswer> {
    const { ask, promisedBytes, deadline } = this.#parts
    const first = await ask(0, deadline)
    const length = lengthOf(first)
    if (length === undefined || promisedBytes === undefined || length === promisedBytes) {
      return first
    }
    first.body.abort()
    throw new UpstreamError('garbage', `${length} bytes where a manifest says ${promisedBytes}`)
  }

  async #fillFrom(first: HttpAnswer, open: () => void): Promise<void> {
    const { promisedBytes, askSize, mayStore, inlineLimitBytes } = this.#parts
    this.#sizeBytes = lengthOf(first) ?? promisedBytes ?? (await askSize().catch(() => undefined))
    if (!mayStore(this.#sizeBytes)) {
      this.#unstored = first
      this.#state = 'failed'
      this.#failure = new UpstreamError('reset', 'not stored')
      return
    }
    if (this.#sizeBytes !== undefined && this.#sizeBytes <= inlineLimitBytes) {
      return this.#fillInline(first, this.#sizeBytes, open)
    }
    await this.#fillFile(first, open)
  }

  async #fillInline(first: HttpAnswer, sizeBytes: number, open: () => void): Promise<void> {
    const chunks: Uint8Array[] = []
    this.#state = 'filling'
    await this.#receive(first, (bytes) => {
      if (this.#receivedBytes + bytes.byteLength > sizeBytes) throw tooLong(sizeBytes)
      // A copy: `slice` of a Buffer would be the network's own memory, which is read into again.
      chunks.push(new Uint8Array(bytes))
    })
    const inlineBytes = joinChunks(chunks, sizeBytes)
    const { digest } = this
    const received = digestOf(algorithmOf(digest), inlineBytes)
    if (received !== digest) throw this.#mismatch(received)
    this.#inlineBytes = inlineBytes
    this.#state = 'verified'
    open()
    await this.#parts.publish({ digest, sizeBytes, pending: undefined, inlineBytes })
    this.#state = 'stored'
  }

  async #fillFile(first: HttpAnswer, open: () => void): Promise<void> {
    const { growing, uploadId, digest } = this.#parts
    const known = this.#sizeBytes
    const pending = this.#pending ?? this.#grow(known)
    this.#pending = pending
    try {
      // Answered when the file is there, with its length; who reads from it waits until it is open.
      await pending.settle()
      if (known !== undefined) {
        this.#file = growing.openGrowing(uploadId, known)
        this.#file.catch(() => undefined)
      }
      this.#state = 'filling'
      pending.onWritten((isBroken) => {
        if (isBroken) this.#broken()
        this.#offer()
      })
      if (known !== undefined) {
        open()
        if (this.#readers === 0) this.#lingerAlone()
      }
      await this.#receive(first, (bytes, body) => {
        if (known !== undefined && this.#receivedBytes + bytes.byteLength > known) {
          throw tooLong(known)
        }
        const isTooMuch = this.#receivedBytes > unknownBytesMax
        if (known === undefined && (isTooMuch || !this.#parts.mayStore(this.#receivedBytes))) {
          throw new UpstreamError('garbage', 'a body without a length does not end')
        }
        pending.append(bytes)
        if (pending.mustPause(() => body.resume())) body.pause()
      })
      await pending.verify(digest).catch((error: unknown) => {
        throw isMismatch(error) ? this.#mismatch('another digest') : error
      })
      this.#sizeBytes = this.#receivedBytes
      this.#state = 'verified'
      this.#progress()
      // It is about to get another name, and readers may still come.
      await this.#file?.catch(() => undefined)
      await this.#parts.publish({
        digest,
        sizeBytes: this.#receivedBytes,
        pending,
        inlineBytes: undefined,
      })
      this.#state = 'stored'
    } finally {
      clearTimeout(this.#linger)
      this.#isFileDone = true
      if (this.#readers === 0) this.#closeFile()
    }
  }

  #mismatch(received: string): UpstreamError {
    const error = new UpstreamError('garbage', `upstream sends ${received} as ${this.digest}`)
    this.#parts.onFailure(error)
    return error
  }

  /** A write has failed: what is open is cut; the next client finds out what the disk can do. */
  #broken(): void {
    if (this.#state !== 'filling') return
    this.#failure ??= new RegistryError('DISK_FULL', { message: 'the disk is full' })
    this.#answer?.body.abort()
  }

  /** Takes the whole body, going on by Range where it breaks off. */
  async #receive(
    first: HttpAnswer,
    take: (bytes: Uint8Array, body: HttpAnswer['body']) => void,
  ): Promise<void> {
    const { clock, ask, onFailure } = this.#parts
    let answer: HttpAnswer | undefined = first
    this.#progressAt = clock.monotonic()
    let attempts = 0
    while (true) {
      const before = this.#receivedBytes
      try {
        answer ??= await ask(this.#receivedBytes, this.#progressAt + noProgressMs)
        await this.#consume(answer, take)
        if (this.#sizeBytes === undefined || this.#receivedBytes === this.#sizeBytes) return
        throw new UpstreamError('reset', `the body ended at byte ${this.#receivedBytes}`)
      } catch (error) {
        answer = undefined
        // Ended by us (a broken disk, nobody left) or by what no repetition mends.
        if (this.#failure !== undefined) throw this.#failure
        if (error instanceof RegistryError) throw error
        const known = toUpstreamError(error, 'upstream')
        onFailure(known)
        attempts = this.#receivedBytes - before >= attemptBytesMin ? 1 : attempts + 1
        const isLate = clock.monotonic() - this.#progressAt > noProgressMs
        if (!known.isPassing || isLate || attempts > attemptsMax) throw known
        const pauseMs = resumeAfterMs * 2 ** (attempts - 1)
        await new Promise((resolve) => setTimeout(resolve, pauseMs))
      }
    }
  }

  async #consume(
    answer: HttpAnswer,
    take: (bytes: Uint8Array, body: HttpAnswer['body']) => void,
  ): Promise<void> {
    const { clock } = this.#parts
    let skipBytes = this.#receivedBytes
    if (answer.status === 206) {
      if (!startsAt(answer, this.#receivedBytes, this.#sizeBytes)) {
        answer.body.abort()
        throw new UpstreamError('garbage', 'upstream answers another range than was asked for')
      }
      skipBytes = 0
    }
    this.#answer = answer
    if (this.#failure !== undefined) throw this.#failure
    await answer.body.read((bytes) => {
      // 200 to a Range request: what we have already comes again.
      const rest = skipBytes >= bytes.byteLength ? undefined : bytes.subarray(skipBytes)
      skipBytes = Math.max(0, skipBytes - bytes.byteLength)
      if (rest === undefined) return
      take(rest, answer.body)
      this.#receivedBytes += rest.byteLength
      this.#progressAt = clock.monotonic()
      this.#rate.add(rest.byteLength)
      this.#offer()
    })
  }

  #fail(error: unknown): void {
    // Right, and every reader can have all of it: only the store does not keep it.
    const isWhole = this.#inlineBytes !== undefined || this.writtenBytes === this.#sizeBytes
    if (this.#state === 'verified' && isWhole) return
    this.#state = 'failed'
    this.#failure = error
    this.#progress()
  }
}
