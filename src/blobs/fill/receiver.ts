/**
 * @module Takes the bytes of one blob from its source, to the last one: goes on where an answer has
 * broken off, as long as it gets on.
 */
import { RegistryError } from '../../registry/errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { FillAnswer, FillBody, FillSource } from './source.ts'

/** Time without a byte of progress after which a fill that began is given up, ms. */
const noProgressMs = 38_000

/** Attempts in a row that bring less than this much, and the pause before the first of them, ms. */
const attemptsMax = 5
const attemptBytesMin = 256 * 1024
const resumeAfterMs = 100

/** Takes a piece; it is good inside the call alone. What it throws ends the blob, or the attempt. */
export type Take = (bytes: Uint8Array, body: FillBody) => void

export class Receiver {
  readonly #source: FillSource
  readonly #clock: Clock
  readonly #onArrived: () => void
  readonly #rate: FillRate
  #receivedBytes = 0
  #progressAt = 0
  #body: FillBody | undefined
  /** Why we have ended it ourselves. */
  #stopped: unknown

  /** `onArrived` is called after each piece. */
  constructor(source: FillSource, clock: Clock, onArrived: () => void) {
    this.#source = source
    this.#clock = clock
    this.#onArrived = onArrived
    this.#rate = new FillRate(clock)
  }

  get receivedBytes(): number {
    return this.#receivedBytes
  }

  /** When a byte will have come, ms from now; undefined while nothing is measured. */
  etaMs(offset: number): number | undefined {
    return this.#rate.etaMs(offset - this.#receivedBytes)
  }

  /** Ends what is under way: `receive` throws `why`, the first one that was given. */
  stop(why: unknown): void {
    this.#stopped ??= why
    this.#body?.abort()
  }

  /**
   * Takes the whole body; `sizeBytes` undefined: to wherever it ends. Throws what `stop` was given, the
   * store's own errors, and the source's once no attempt helps.
   */
  async receive(first: FillAnswer, sizeBytes: number | undefined, take: Take): Promise<void> {
    let answer: FillAnswer | undefined = first
    this.#progressAt = this.#clock.monotonic()
    let attempts = 0
    while (true) {
      const before = this.#receivedBytes
      try {
        answer ??= await this.#source.open(before, this.#progressAt + noProgressMs)
        await this.#consume(answer, sizeBytes, take)
        if (sizeBytes === undefined || this.#receivedBytes === sizeBytes) return
        throw this.#source.fault('reset', `the body ended at byte ${this.#receivedBytes}`)
      } catch (error) {
        answer = undefined
        // Ended by us (a broken disk, nobody left) or by what no repetition mends.
        if (this.#stopped !== undefined) throw this.#stopped
        if (error instanceof RegistryError) throw error
        const judged = this.#source.judge(error)
        attempts = this.#receivedBytes - before >= attemptBytesMin ? 1 : attempts + 1
        const isLate = this.#clock.monotonic() - this.#progressAt > noProgressMs
        if (!judged.isPassing || isLate || attempts > attemptsMax) throw judged.error
        const pauseMs = resumeAfterMs * 2 ** (attempts - 1)
        await new Promise((resolve) => setTimeout(resolve, pauseMs))
      }
    }
  }

  async #consume(answer: FillAnswer, sizeBytes: number | undefined, take: Take): Promise<void> {
    const { offset, body } = answer
    if (offset !== 0 && !this.#fits(answer, sizeBytes)) {
      body.abort()
      throw this.#source.fault('garbage', 'upstream answers another range than was asked for')
    }
    // From the first byte again, where the source cannot begin elsewhere: what we have comes again.
    let skipBytes = offset === 0 ? this.#receivedBytes : 0
    this.#body = body
    if (this.#stopped !== undefined) {
      // Stopped while it was asked for: unread, it would hold its connection for ever.
      body.abort()
      throw this.#stopped
    }
    await body.read((bytes) => {
      const rest = skipBytes >= bytes.byteLength ? undefined : bytes.subarray(skipBytes)
      skipBytes = Math.max(0, skipBytes - bytes.byteLength)
      if (rest === undefined) return
      take(rest, body)
      this.#receivedBytes += rest.byteLength
      this.#progressAt = this.#clock.monotonic()
      this.#rate.add(rest.byteLength)
      this.#onArrived()
    })
  }

  /** Whether an answer goes on where the bytes that came have ended, in the same blob. */
  #fits({ offset, sizeBytes }: FillAnswer, known: number | undefined): boolean {
    const isSame = sizeBytes === undefined || known === undefined || sizeBytes === known
    return offset === this.#receivedBytes && isSame
  }
}

/** What a rate is measured by: the window under way and the one before, ms each. */
const windowMs = 500

/** Less than this is no measure, ms. */
const measureMsMin = 100

/** How fast it goes: bytes of the last moments, so that one that has stopped is seen to have stopped. */
class FillRate {
  readonly #clock: Clock
  #windowAt: number | undefined
  #windowBytes = 0
  #before = { ms: 0, bytes: 0 }

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(bytes: number): void {
    const now = this.#clock.monotonic()
    this.#windowAt ??= now
    if (now - this.#windowAt >= windowMs) {
      this.#before = { ms: now - this.#windowAt, bytes: this.#windowBytes }
      this.#windowAt = now
      this.#windowBytes = 0
    }
    this.#windowBytes += bytes
  }

  /** When so many bytes more will have come, ms from now; undefined while nothing is measured. */
  etaMs(bytes: number): number | undefined {
    if (this.#windowAt === undefined) return undefined
    const ms = this.#before.ms + this.#clock.monotonic() - this.#windowAt
    if (ms < measureMsMin) return undefined
    return (bytes * ms) / (this.#before.bytes + this.#windowBytes)
  }
}
