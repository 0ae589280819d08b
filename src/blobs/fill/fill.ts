/**
 * @module One blob on its way from its source into the store, read by any number of clients while it
 * comes. Bytes go to the readers at its head and to a worker (file and running hash) at once; every
 * reader goes at its own speed. The last byte is held back until the digest is right, so that a wrong
 * blob is never an answer that looks whole; it does not wait for the flush to disk.
 *
 *   asking ──head──► filling ──all bytes──► verified ──rows──► stored
 *      │                │  └──wrong digest, source gone for good──► failed: open answers are cut
 *      └──failed        └──nobody reads, little has come──► failed
 */

import { algorithmOf, type Digest } from '../../registry/digest.ts'
import { isDigestMismatch } from '../../registry/digest-mismatch.ts'
import { RegistryError } from '../../registry/errors.ts'
import { digestOf } from '../../registry/hasher.ts'
import type { BlobSource, GrowingBlob, OpenFile } from '../port.ts'
import { FillReader, FillWaiters } from './reader.ts'
import { Receiver } from './receiver.ts'
import type { FillAnswer, FillSource, FillStore, FillTarget, WantedBlob } from './source.ts'

/** A fill that nobody reads goes on when this share of it, or all but this much, has come. */
const keptShare = 0.25
const keptRestBytes = 32 * 1024 * 1024

/** Most bytes of a body whose length nobody tells. */
const unknownBytesMax = 2 * 1024 * 1024 * 1024

/** Without readers it waits so long for the next one, ms. */
const lingerMs = 3_000

export class Fill {
  readonly digest: Digest
  /** Resolves when readers may attach, or when it is all over and stored. Rejects when it failed. */
  readonly opened: Promise<void>
  /** Settles when the fill is over; never rejects. */
  readonly over: Promise<void>
  readonly #wanted: WantedBlob
  readonly #source: FillSource
  readonly #target: FillTarget
  readonly #store: FillStore
  #sizeBytes: number | undefined
  #state: 'asking' | 'filling' | 'verified' | 'stored' | 'failed' = 'asking'
  #pending: GrowingBlob | undefined
  #file: Promise<OpenFile> | undefined
  /** A small blob, once it is right. */
  #inlineBytes: Uint8Array | undefined
  readonly #receiver: Receiver
  #unstored: FillAnswer | undefined
  #failure: unknown
  #readers = 0
  /** The file's work is done, stored or not: it is closed with its last reader. */
  #isFileDone = false
  /** Somebody wanted a part of it and got it: the whole is filled whoever leaves. */
  #isWanted = false
  #linger: NodeJS.Timeout | undefined
  readonly #waiters = new FillWaiters()

  /** Begins at once. */
  constructor(wanted: WantedBlob, source: FillSource, target: FillTarget, store: FillStore) {
    this.#wanted = wanted
    this.#source = source
    this.#target = target
    this.#store = store
    this.digest = wanted.digest
    this.#receiver = new Receiver(source, store.clock, () => this.#offer())
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

  /** Undefined until the source has said it. */
  get sizeBytes(): number | undefined {
    return this.#sizeBytes
  }

  get receivedBytes(): number {
    return this.#receiver.receivedBytes
  }

  /** When a byte will have come, ms from now; undefined while nothing is measured. */
  etaMs(offset: number): number | undefined {
    return this.#receiver.etaMs(offset)
  }

  /** Bytes that a reader may look at. */
  get availableBytes(): number {
    const size = this.#sizeBytes ?? 0
    if (this.#state === 'verified' || this.#state === 'stored') return size
    return Math.min(this.receivedBytes, size - 1)
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
  takeUnstored(): FillAnswer | undefined {
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
  moreArrived(): Promise<void> {
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
      this.#receiver.stop(this.#source.fault('reset', 'every client has left'))
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
    const rest = size - this.receivedBytes
    return this.#isWanted || rest <= keptRestBytes || this.receivedBytes >= size * keptShare
  }

  async #run(open: () => void): Promise<void> {
    // Where the size is known already the file is made while the source is asked.
    this.#pending = this.#growEarly()
    try {
      const first = await this.#openFirst()
      try {
        await this.#fillFrom(first, open)
      } catch (error) {
        // Perhaps never read: a store that takes nothing would hold its connection for ever.
        first.body.abort()
        throw error
      }
    } finally {
      if (this.#state !== 'stored') this.#pending?.discard()
    }
  }

  #growEarly(): GrowingBlob | undefined {
    const { promisedBytes } = this.#wanted
    const isFile = promisedBytes !== undefined && promisedBytes > this.#store.inlineLimitBytes
    if (!isFile || !this.#target.mayStore(promisedBytes)) return undefined
    try {
      return this.#grow(promisedBytes)
    } catch {
      // No worker is free: by the time that the source has answered one may be.
      return undefined
    }
  }

  #grow(sizeBytes: number | undefined): GrowingBlob {
    const { growing, uploadId } = this.#store
    return growing.grow(uploadId, algorithmOf(this.digest), 0, sizeBytes)
  }

  async #openFirst(): Promise<FillAnswer> {
    const { promisedBytes, deadline } = this.#wanted
    const first = await this.#source.open(0, deadline)
    const { sizeBytes } = first
    if (sizeBytes === undefined || promisedBytes === undefined || sizeBytes === promisedBytes) {
      return first
    }
    first.body.abort()
    throw this.#garbage(`${sizeBytes} bytes where a manifest says ${promisedBytes}`)
  }

  async #fillFrom(first: FillAnswer, open: () => void): Promise<void> {
    const { promisedBytes } = this.#wanted
    this.#sizeBytes =
      first.sizeBytes ?? promisedBytes ?? (await this.#source.size().catch(() => undefined))
    if (!this.#target.mayStore(this.#sizeBytes)) {
      this.#unstored = first
      this.#state = 'failed'
      this.#failure = this.#source.fault('reset', 'not stored')
      return
    }
    if (this.#sizeBytes !== undefined && this.#sizeBytes <= this.#store.inlineLimitBytes) {
      return this.#fillInline(first, this.#sizeBytes, open)
    }
    await this.#fillFile(first, open)
  }

  async #fillInline(first: FillAnswer, sizeBytes: number, open: () => void): Promise<void> {
    // An array of its own, filled by copies: nothing shares its buffer with the network.
    const inlineBytes = new Uint8Array(sizeBytes)
    this.#state = 'filling'
    await this.#receiver.receive(first, sizeBytes, (bytes) => {
      this.#requireWithin(sizeBytes, bytes)
      inlineBytes.set(bytes, this.receivedBytes)
    })
    const { digest } = this
    const received = digestOf(algorithmOf(digest), inlineBytes)
    if (received !== digest) throw this.#mismatch(received)
    this.#inlineBytes = inlineBytes
    this.#state = 'verified'
    open()
    await this.#target.publish({ digest, sizeBytes, pending: undefined, inlineBytes })
    this.#state = 'stored'
  }

  async #fillFile(first: FillAnswer, open: () => void): Promise<void> {
    const { growing, uploadId } = this.#store
    const { digest } = this
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
      await this.#receiver.receive(first, known, (bytes, body) => {
        this.#requireWithin(known, bytes)
        pending.append(bytes)
        if (pending.mustPause(() => body.resume())) body.pause()
      })
      await pending.verify(digest).catch((error: unknown) => {
        throw isDigestMismatch(error) ? this.#mismatch('another digest') : error
      })
      this.#sizeBytes = this.receivedBytes
      this.#state = 'verified'
      this.#progress()
      // It is about to get another name, and readers may still come.
      await this.#file?.catch(() => undefined)
      await this.#target.publish({
        digest,
        sizeBytes: this.receivedBytes,
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

  /** Throws when the body goes on for longer than it may. */
  #requireWithin(sizeBytes: number | undefined, bytes: Uint8Array): void {
    if (sizeBytes !== undefined) {
      if (this.receivedBytes + bytes.byteLength <= sizeBytes) return
      throw this.#garbage(`the body goes on after its ${sizeBytes} bytes`)
    }
    const isTooMuch = this.receivedBytes > unknownBytesMax
    if (!isTooMuch && this.#target.mayStore(this.receivedBytes)) return
    throw this.#garbage('a body without a length does not end')
  }

  #mismatch(received: string): Error {
    const error = this.#garbage(`upstream sends ${received} as ${this.digest}`)
    return this.#source.judge(error).error
  }

  #garbage(message: string): Error {
    return this.#source.fault('garbage', message)
  }

  /** A write has failed: what is open is cut; the next client finds out what the disk can do. */
  #broken(): void {
    if (this.#state !== 'filling') return
    this.#receiver.stop(new RegistryError('DISK_FULL', { message: 'the disk is full' }))
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
