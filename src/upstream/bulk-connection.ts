/**
 * @module One connection that carries GETs, one after the other.
 *
 *   idle ──ask──► head ──► body ──► idle …        anything unexpected ──► closed
 */
import type { Socket } from 'node:net'
import type { PendingAnswer, Transport } from './answer.ts'
import { ChunkedBody } from './chunked-body.ts'
import { type AnswerHead, garbage, parseHead } from './http1-head.ts'

/** Largest head of an answer, bytes. */
const headBytesMax = 64 * 1024

/** Interim answers (1xx) before the real one. */
const interimMax = 8

/**
 * Read in one turn of the event loop, bytes: a fast upstream has 2 MiB ready at a time, and each of them
 * is copied and sent on before anybody else has a turn.
 */
const turnBytesMax = 512 * 1024

export interface BulkConnectionOptions {
  readonly onIdle: () => void
  readonly onClosed: () => void
}

export class BulkConnection implements Transport {
  readonly #socket: Socket
  readonly #options: BulkConnectionOptions
  #state: 'idle' | 'head' | 'body' | 'closed' = 'idle'
  #pending: PendingAnswer | undefined
  #onLost: ((error: Error) => void) | undefined
  #error: Error | undefined
  #head = Buffer.alloc(0)
  #interim = 0
  #answer: AnswerHead | undefined
  #leftBytes = 0
  #chunked: ChunkedBody | undefined
  #isPaused = false
  #turnBytes = 0
  #turnEnd: NodeJS.Immediate | undefined
  /** Body bytes that came with the head, or while it was paused. */
  #held: Buffer[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(socket: Socket, options: BulkConnectionOptions) {
    this.#socket = socket
    this.#options = options
    socket.on('error', (error) => {
      this.#error ??= error
    })
    socket.on('close', () => this.#closed())
  }

  ask(request: string, pending: PendingAnswer, onLost: (error: Error) => void): void {
    clearTimeout(this.#timer)
    this.#state = 'head'
    this.#pending = pending
    this.#onLost = onLost
    this.#interim = 0
    this.#isPaused = false
    this.#socket.ref()
    pending.carriedBy(this)
    if (this.#socket.destroyed) return
    this.#socket.write(request)
    this.#socket.resume()
  }

  /** Bytes from the socket, good during the call alone. */
  take(bytes: Buffer): void {
    this.#turnEnd ??= setImmediate(() => this.#turnEnded())
    this.#turnBytes += bytes.byteLength
    if (this.#turnBytes >= turnBytesMax) this.#socket.pause()
    try {
      if (this.#state === 'head') this.#takeHead(bytes)
      else if (this.#state === 'body') this.#takeBody(bytes)
      // An answer that nobody asked for.
      else this.destroy()
    } catch (error) {
      this.destroy(error as Error)
    }
  }

  #turnEnded(): void {
    const hasYielded = this.#turnBytes >= turnBytesMax
    this.#turnEnd = undefined
    this.#turnBytes = 0
    if (hasYielded && !this.#isPaused && this.#state !== 'closed') this.#socket.resume()
  }

  #takeHead(bytes: Buffer): void {
    const searchFrom = Math.max(0, this.#head.byteLength - 3)
    this.#head = Buffer.concat([this.#head, bytes])
    const end = this.#head.indexOf('\r\n\r\n', searchFrom)
    if (end === -1 ? this.#head.byteLength > headBytesMax : end > headBytesMax) {
      throw garbage('sends a head without end')
    }
    if (end === -1) return
    const answer = parseHead(this.#head.toString('latin1', 0, end))
    const rest = this.#head.subarray(end + 4)
    this.#head = Buffer.alloc(0)
    if (answer.status < 200) {
      this.#interim += 1
      if (answer.status === 101 || this.#interim > interimMax) throw garbage('switches protocols')
      if (rest.byteLength > 0) this.#takeHead(rest)
      return
    }
    this.#state = 'body'
    this.#answer = answer
    const { framing } = answer
    this.#chunked = framing.kind === 'chunked' ? new ChunkedBody() : undefined
    this.#leftBytes = framing.kind === 'length' ? framing.bytes : Number.POSITIVE_INFINITY
    this.#pending!.head(answer.status, answer.headers)
    if (this.#leftBytes === 0) this.#bodyEnded(rest.byteLength)
    else if (rest.byteLength > 0) this.#takeBody(rest)
  }

  #takeBody(bytes: Buffer): void {
    // Copied, because the buffer is used again; at most what TLS had decrypted already.
    if (this.#isPaused) return void this.#held.push(Buffer.from(bytes))
    const pending = this.#pending!
    if (this.#chunked !== undefined) {
      const taken = this.#chunked.take(bytes, (data) => pending.data(data))
      if (this.#chunked.isOver) this.#bodyEnded(bytes.byteLength - taken)
      return
    }
    const own = bytes.byteLength > this.#leftBytes ? bytes.subarray(0, this.#leftBytes) : bytes
    this.#leftBytes -= own.byteLength
    pending.data(own)
    if (this.#leftBytes === 0) this.#bodyEnded(bytes.byteLength - own.byteLength)
  }

  #bodyEnded(surplusBytes: number): void {
    if (this.#state !== 'body') return
    const pending = this.#pending!
    const isKept = this.#answer!.isKept && surplusBytes === 0 && !this.#socket.destroyed
    this.#pending = undefined
    this.#onLost = undefined
    this.#held = []
    this.#state = 'idle'
    pending.ended()
    if (isKept) this.#options.onIdle()
    else this.destroy()
  }

  /** Waits for the next request, for so long; notices when the other side closes. */
  rest(ms: number): void {
    this.#isPaused = false
    this.#socket.resume()
    this.#socket.unref()
    this.#timer = setTimeout(() => this.destroy(), ms)
    this.#timer.unref()
  }

  pause(): void {
    this.#isPaused = true
    this.#socket.pause()
  }

  resume(): void {
    this.#isPaused = false
    try {
      while (this.#held.length > 0 && !this.#isPaused && this.#state === 'body') {
        this.#takeBody(this.#held.shift()!)
      }
    } catch (error) {
      return this.destroy(error as Error)
    }
    if (!this.#isPaused && this.#state === 'body') this.#socket.resume()
  }

  abort(): void {
    this.destroy()
  }

  destroy(error?: Error): void {
    this.#error ??= error
    this.#socket.destroy()
    if (error !== undefined) this.#lose(error)
  }

  #closed(): void {
    clearTimeout(this.#timer)
    const isWhole = this.#state === 'body' && this.#answer?.framing.kind === 'close'
    if (isWhole && this.#error === undefined) {
      for (const bytes of this.#held) this.#pending!.data(bytes)
      this.#bodyEnded(0)
    } else this.#lose(this.#error ?? new Error('the other side closed the connection'))
    this.#state = 'closed'
    this.#options.onClosed()
  }

  #lose(error: Error): void {
    const onLost = this.#onLost
    this.#onLost = undefined
    this.#pending = undefined
    this.#state = 'closed'
    onLost?.(error)
  }
}
