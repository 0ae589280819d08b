/**
 * @module Ranges of a blob that is being filled. What the fill reaches within about a second is waited
 * for; what lies further ahead is asked upstream for itself, range by range, as long as there is a
 * budget for it. Without one, and when upstream does not answer, the fill is waited for after all.
 */

import type { Fill } from '../blobs/fill/fill.ts'
import type { BlobSource } from '../blobs/port.ts'
import type { ByteSpan } from '../registry/range.ts'
import type { Clock } from '../runtime/clock.ts'
import type { PassThrough } from '../upstream/pass-through.ts'

/** How long the fill may take to reach a range, ms. */
const reachMs = 1_000

/** How often it is looked at whether the fill will be in time, ms. */
const lookMs = 100

/** Nearer than this upstream would not be faster for being asked again, bytes. */
const aheadBytesMin = 64 * 1024

/** How often an answer that broke off is asked for again. */
const resumesMax = 5

export interface RangeSourceParts {
  readonly fill: Fill
  readonly spans: readonly ByteSpan[]
  readonly clock: Clock
  /** A range straight from upstream; undefined when it may not be asked for. */
  readonly pass: (offset: number, length: number) => Promise<PassThrough | undefined>
}

export class RangeSource implements BlobSource {
  readonly sizeBytes: number
  readonly #parts: RangeSourceParts
  readonly #reader: BlobSource
  #passed:
    | { readonly source: PassThrough; readonly start: number; readonly end: number }
    | undefined
  /** The rest of a range whose answer has broken off. */
  #rest: ByteSpan | undefined
  #resumes = 0
  /** Where a span began that is waited for. */
  #decidedAt = -1
  #isClosed = false

  constructor(parts: RangeSourceParts) {
    this.#parts = parts
    this.sizeBytes = parts.fill.sizeBytes!
    this.#reader = parts.fill.attach()
  }

  ready(offset: number, length: number): number | Promise<void> {
    const passed = this.#passed
    if (passed !== undefined) {
      if (offset >= passed.start && offset < passed.end) {
        const ready = passed.source.ready(offset - passed.start, length)
        return typeof ready === 'number' ? ready : ready.catch(() => this.#brokenOff(offset))
      }
      this.#dropPassed()
    }
    const span = this.#isFarAhead(offset) ? this.#startingAt(offset) : undefined
    if (span === undefined || this.#decidedAt === offset) return this.#reader.ready(offset, length)
    return this.#decide(span)
  }

  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    const passed = this.#passed
    if (passed === undefined) return this.#reader.use(offset, length, callback)
    return passed.source.use(offset - passed.start, length, callback)
  }

  close(): void {
    this.#isClosed = true
    this.#dropPassed()
    this.#reader.close()
  }

  #startingAt(offset: number): ByteSpan | undefined {
    if (this.#rest?.offset === offset) return this.#rest
    return this.#parts.spans.find((span) => span.offset === offset)
  }

  /** Asked for once more, or left to the fill, which has it sooner or later. */
  #brokenOff(offset: number): void {
    if (this.#passed === undefined) return
    const { source, end } = this.#passed
    this.#dropPassed()
    this.#resumes += 1
    const mayResume = !source.isCut && this.#resumes <= resumesMax
    this.#rest = mayResume ? { offset, length: end - offset } : undefined
    this.#decidedAt = mayResume ? -1 : offset
  }

  #isFarAhead(offset: number): boolean {
    const { fill } = this.#parts
    return fill.state === 'filling' && offset - fill.receivedBytes > aheadBytesMin
  }

  async #decide({ offset, length }: ByteSpan): Promise<void> {
    const { clock, fill, pass } = this.#parts
    const until = clock.monotonic() + reachMs
    while (this.#isFarAhead(offset) && !this.#isClosed) {
      const left = until - clock.monotonic()
      const eta = fill.etaMs(offset)
      if (left <= 0 || (eta !== undefined && eta > left)) break
      await new Promise((resolve) => setTimeout(resolve, Math.min(left, lookMs)))
    }
    this.#decidedAt = offset
    if (!this.#isFarAhead(offset) || this.#isClosed) return
    const source = await pass(offset, length)
    if (source === undefined) return
    if (this.#isClosed) source.close()
    else this.#passed = { source, start: offset, end: offset + length }
  }

  #dropPassed(): void {
    this.#passed?.source.close()
    this.#passed = undefined
  }
}
