/**
 * @module Parts of a blob that is on its way here: what the fill has, or has soon, comes from it; what lies further
 * ahead comes straight from another member, to this reader alone.
 */
import type { Fill } from '../../blobs/fill/fill.ts'
import type { FillAnswer } from '../../blobs/fill/source.ts'
import type { BlobSource } from '../../blobs/port.ts'
import { PassThrough } from '../../upstream/pass-through.ts'

/** Nearer than this to the end of what has come the fill is waited for, bytes and ms. */
const nearBytes = 1024 * 1024
const nearMs = 300

export type WatchedFill = Pick<Fill, 'attach' | 'state' | 'receivedBytes' | 'etaMs'>

export class PartSource implements BlobSource {
  readonly sizeBytes: number
  readonly #fill: WatchedFill
  readonly #reader: BlobSource
  /** The bytes from there on, from another member. */
  readonly #ask: (from: number) => Promise<FillAnswer>
  #passed: { readonly source: PassThrough; readonly start: number } | undefined
  /** Where the next bytes of `#passed` are. */
  #next = -1
  /** From there on the fill is waited for: no member has answered. */
  #givenUpAt = -1
  #isClosed = false

  constructor(fill: WatchedFill, sizeBytes: number, ask: (from: number) => Promise<FillAnswer>) {
    this.sizeBytes = sizeBytes
    this.#fill = fill
    this.#ask = ask
    this.#reader = fill.attach()
  }

  ready(offset: number, length: number): number | Promise<void> {
    const passed = this.#passed
    if (passed !== undefined && offset === this.#next) {
      const ready = passed.source.ready(offset - passed.start, length)
      if (typeof ready === 'number') return ready
      return ready.catch(() => {
        this.#dropPassed()
        this.#givenUpAt = offset
      })
    }
    this.#dropPassed()
    if (this.#givenUpAt === offset || !this.#isFarAhead(offset)) {
      return this.#reader.ready(offset, length)
    }
    return this.#pass(offset)
  }

  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    const passed = this.#passed
    if (passed === undefined) return this.#reader.use(offset, length, callback)
    this.#next = offset + length
    return passed.source.use(offset - passed.start, length, callback)
  }

  close(): void {
    this.#isClosed = true
    this.#dropPassed()
    this.#reader.close()
  }

  #isFarAhead(offset: number): boolean {
    const { state, receivedBytes } = this.#fill
    if (state !== 'filling' || offset - receivedBytes <= nearBytes) return false
    return (this.#fill.etaMs(offset) ?? Number.POSITIVE_INFINITY) > nearMs
  }

  async #pass(offset: number): Promise<void> {
    const answer = await this.#ask(offset).catch(() => undefined)
    if (answer?.offset !== offset || this.#isClosed) {
      answer?.body.abort()
      this.#givenUpAt = offset
      return
    }
    const source = new PassThrough(answer.body, this.sizeBytes - offset)
    this.#passed = { source, start: offset }
    this.#next = offset
  }

  #dropPassed(): void {
    this.#passed?.source.close()
    this.#passed = undefined
  }
}
