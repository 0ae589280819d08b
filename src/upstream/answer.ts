/**
 * @module One request and its answer, whatever carries it: deadlines, the watch for stalls, and the
 * order of events. A transport reports what happens and obeys `pause`, `resume` and `abort`.
 */
import { toUpstreamError, UpstreamError } from './error.ts'

export type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>

export interface Answer {
  readonly status: number
  readonly headers: AnswerHeaders
  readonly body: AnswerBody
}

/** The body of an answer, not read before `read` is called. */
export interface AnswerBody {
  /**
   * Streams it; a chunk is good inside the callback alone. Rejects with an `UpstreamError`, and with
   * what `onChunk` threw. A few chunks may still come after `pause`.
   */
  read(onChunk: (bytes: Uint8Array) => void): Promise<void>
  pause(): void
  resume(): void
  /** Ends it at once; a connection that still has bytes to come is closed. */
  abort(): void
}

export interface Transport {
  pause(): void
  resume(): void
  abort(error: Error): void
}

export interface PendingOptions {
  readonly host: string
  /** For how long it may wait in our own line, ms. */
  readonly lineMs: number
  readonly stallMs: number
  /** Called once, when nothing more will come. */
  readonly onOver: () => void
}

export interface PendingTimes {
  readonly headMs: number
  readonly fairMs: number
  readonly wholeMs: number | undefined
}

/**
 * Bytes that must come within `stallMs`, or this share of what is left where that is less: a drip would
 * hold a client for ever.
 */
const dripBytesMin = 16 * 1024
const dripShareMin = 0.25

export class PendingAnswer implements AnswerBody {
  /** The head of the answer. */
  readonly answer: Promise<Answer>
  readonly #options: PendingOptions
  #resolve!: (answer: Answer) => void
  #reject!: (error: UpstreamError) => void
  #transport: Transport | undefined
  #timer: NodeJS.Timeout | undefined
  #wholeTimer: NodeJS.Timeout | undefined
  #isOver = false
  #hasHead = false
  #failure: UpstreamError | undefined
  #onChunk: ((bytes: Uint8Array) => void) | undefined
  #settle: { resolve: () => void; reject: (error: unknown) => void } | undefined
  #isPaused = true
  #cameBytes = 0
  #lengthBytes = Number.POSITIVE_INFINITY
  #readBytes = 0

  constructor(options: PendingOptions) {
    this.#options = options
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    const { host, lineMs } = options
    const message = `${host}: as many requests as may be are under way already`
    const late = () => this.fail(new UpstreamError('busy', message, { host, isOurs: true }))
    this.#timer = setTimeout(late, Math.max(1, lineMs))
  }

  /**
   * Its turn has come: the clock of the other side starts now. `headMs` is for the head of the
   * answer, `fairMs` what a host may take before being late is its own fault; `wholeMs` is for all of
   * the answer, undefined where the body may take longer than anybody waits.
   */
  started({ headMs, fairMs, wholeMs }: PendingTimes): void {
    if (this.#isOver) return
    const { host } = this.#options
    clearTimeout(this.#timer)
    const isOurs = headMs < fairMs
    const late = () =>
      this.fail(new UpstreamError('timeout', `${host}: no answer in time`, { host, isOurs }))
    this.#timer = setTimeout(late, Math.max(1, headMs))
    if (wholeMs === undefined) return
    const message = `${host}: the answer was not whole in time`
    const tooLate = () => this.fail(new UpstreamError('timeout', message, { host, isOurs }))
    this.#wholeTimer = setTimeout(tooLate, Math.max(1, wholeMs))
  }

  get isOver(): boolean {
    return this.#isOver
  }

  get hasHead(): boolean {
    return this.#hasHead
  }

  /** From now on `transport` carries it; one that comes too late is aborted. */
  carriedBy(transport: Transport): void {
    this.#transport = transport
    if (this.#isOver) transport.abort(this.#failure ?? new Error('aborted'))
  }

  /** The head has come. The transport has to pause until `resume`. */
  head(status: number, headers: AnswerHeaders): void {
    if (this.#isOver || this.#hasHead) return
    this.#hasHead = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    const length = headers['content-length']
    if (typeof length === 'string') this.#lengthBytes = Number(length)
    this.#transport?.pause()
    this.#resolve({ status, headers, body: this })
  }

  data(bytes: Uint8Array): void {
    if (this.#isOver) return
    this.#cameBytes += bytes.byteLength
    this.#readBytes += bytes.byteLength
    try {
      this.#onChunk?.(bytes)
    } catch (error) {
      this.#end()
      this.#settle?.reject(error)
      this.#transport?.abort(new Error('refused by its reader'))
    }
  }

  ended(): void {
    if (this.#isOver) return
    this.#end()
    this.#settle?.resolve()
  }

  fail(error: unknown): void {
    if (this.#isOver) return
    this.#end()
    const failure = toUpstreamError(error, this.#options.host)
    this.#failure = failure
    if (!this.#hasHead) this.#reject(failure)
    this.#settle?.reject(failure)
    this.#transport?.abort(failure)
  }

  read(onChunk: (bytes: Uint8Array) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure)
        return
      }
      if (this.#isOver) {
        resolve()
        return
      }
      this.#settle = { resolve, reject }
      this.#onChunk = onChunk
      this.resume()
    })
  }

  pause(): void {
    if (this.#isOver || this.#isPaused) return
    this.#isPaused = true
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#transport?.pause()
  }

  resume(): void {
    if (this.#isOver || !this.#isPaused) return
    this.#isPaused = false
    this.#cameBytes = 0
    // Ours to wait for from now on; while we pause, upstream cannot stall.
    this.#timer = setInterval(() => this.#watch(), this.#options.stallMs)
    this.#transport?.resume()
  }

  #watch(): void {
    const { host, stallMs } = this.#options
    const leftBytes = this.#lengthBytes - this.#readBytes + this.#cameBytes
    const wantedBytes = Math.max(1, Math.min(dripBytesMin, leftBytes * dripShareMin))
    if (this.#cameBytes < wantedBytes) {
      const message = `${host}: ${this.#cameBytes} bytes in ${stallMs} ms`
      this.fail(new UpstreamError('stall', message, { host }))
    }
    this.#cameBytes = 0
  }

  abort(): void {
    if (this.#isOver) return
    const { host } = this.#options
    this.#end()
    this.#failure = new UpstreamError('reset', `${host}: given up`, { host })
    this.#settle?.reject(this.#failure)
    this.#transport?.abort(this.#failure)
  }

  #end(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    clearInterval(this.#timer)
    clearTimeout(this.#wholeTimer)
    this.#options.onOver()
  }
}

/** A small body in memory (error texts, tokens, lists). Throws `garbage` past the bound. */
export async function readBody(answer: Answer, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let total = 0
  await answer.body.read((bytes) => {
    total += bytes.byteLength
    if (total > bytesMax) throw new UpstreamError('garbage', `the answer exceeds ${bytesMax} bytes`)
    chunks.push(Buffer.from(bytes))
  })
  return Buffer.concat(chunks, total)
}

/** How long the body is; undefined where its head does not say it. */
export function lengthOf({ headers }: Pick<Answer, 'headers'>): number | undefined {
  const text = headerOf(headers, 'content-length')
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** What an answer to a range says that it is of: bytes of the whole, the last one included. */
export interface PartOf {
  readonly first: number
  readonly last: number
  /** How long the whole is; undefined where the answer does not say it. */
  readonly totalBytes: number | undefined
}

export function partOf({ headers }: Pick<Answer, 'headers'>): PartOf | undefined {
  const text = headerOf(headers, 'content-range') ?? ''
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(text)
  if (match === null) return undefined
  const [first, last, total] = match.slice(1).map(Number)
  return { first: first!, last: last!, totalBytes: Number.isNaN(total) ? undefined : total }
}

/** One value of a header that may come on several lines. */
export function headerOf(headers: AnswerHeaders, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}
