/**
 * @module Who reads a blob that is being filled. Each client has a view of its own, which offers what is
 * there and waits for the rest. At the head it gets the very bytes that are on their way to the file,
 * behind it reads the file; so it costs the fill nothing, however slow its client is.
 */
import { nextTurn } from '../../runtime/next-turn.ts'
import type { BlobSource } from '../port.ts'

export interface Growing {
  readonly sizeBytes: number | undefined
  /** Bytes from the start that a reader may have. */
  readonly availableBytes: number
  /** Bytes from the start that the file has. */
  readonly writtenBytes: number
  /** Bytes that are in memory still, from `offset` on. */
  heldAt(offset: number): Uint8Array | undefined
  moreArrived(): Promise<void>
  openFile(): Promise<BlobSource>
}

/** The first piece that a client gets, bytes. */
const firstBytesMax = 16 * 1024

export class FillReader implements BlobSource {
  readonly sizeBytes: number
  readonly #growing: Growing
  readonly #onClose: () => void
  #file: BlobSource | undefined
  #opening: Promise<void> | undefined
  #isClosed = false
  #turn: 'first' | 'second' | 'later' = 'first'

  constructor(growing: Growing, onClose: () => void) {
    this.sizeBytes = growing.sizeBytes!
    this.#growing = growing
    this.#onClose = onClose
  }

  ready(offset: number, length: number): number | Promise<void> {
    const there = this.#growing.availableBytes - offset
    if (there <= 0) return this.#growing.moreArrived()
    // Everybody gets a first piece before anybody gets a second: when hundreds wait for the same
    // blob, whole shares to those in front would be seconds to those behind.
    if (this.#turn === 'second') {
      this.#turn = 'later'
      return nextTurn()
    }
    const most = Math.min(there, this.#turn === 'first' ? Math.min(firstBytesMax, length) : length)
    const held = this.#growing.heldAt(offset)
    if (held !== undefined) return Math.min(most, held.byteLength)
    const written = this.#growing.writtenBytes - offset
    // A later piece may reach the file before an earlier one.
    if (written <= 0) return this.#growing.moreArrived()
    if (this.#file === undefined) {
      this.#opening ??= this.#open()
      return this.#opening
    }
    const ready = this.#file.ready(offset, Math.min(most, written))
    return typeof ready === 'number' ? Math.min(ready, most, written) : ready
  }

  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    if (this.#turn === 'first') this.#turn = 'second'
    const held = this.#growing.heldAt(offset)
    if (held !== undefined) return callback(held.subarray(0, length))
    return this.#file!.use(offset, length, callback)
  }

  async #open(): Promise<void> {
    const file = await this.#growing.openFile()
    if (this.#isClosed) file.close()
    else this.#file = file
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#file?.close()
    this.#onClose()
  }
}

const fewReaders = 8
const wakeBytes = 256 * 1024
const wakeMs = 5

/**
 * Who waits for more. Readers are woken together: few of them once a turn of the event loop, with all that
 * the turn has brought; many a quarter of a MiB or some milliseconds later, because five hundred wakes for
 * every piece would be all that the thread does. The first bytes wake everybody at once.
 */
export class FillWaiters {
  #arrived: Promise<void> | undefined
  #wake: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #immediate: NodeJS.Immediate | undefined
  #wokenAt = 0

  /** Resolves at the next wake. */
  wait(): Promise<void> {
    this.#arrived ??= new Promise((resolve) => {
      this.#wake = resolve
    })
    return this.#arrived
  }

  /** There are `availableBytes` now, for so many readers. */
  offer(availableBytes: number, readers: number): void {
    if (this.#wake === undefined) return
    const isDue = this.#wokenAt === 0 || availableBytes - this.#wokenAt >= wakeBytes
    if (isDue) this.wakeAll(availableBytes)
    else if (readers <= fewReaders)
      this.#immediate ??= setImmediate(() => this.wakeAll(availableBytes))
    else this.#timer ??= setTimeout(() => this.wakeAll(availableBytes), wakeMs)
  }

  wakeAll(availableBytes: number): void {
    clearTimeout(this.#timer)
    clearImmediate(this.#immediate)
    this.#timer = undefined
    this.#immediate = undefined
    this.#wokenAt = availableBytes
    const wake = this.#wake
    this.#arrived = undefined
    this.#wake = undefined
    wake?.()
  }
}
