/**
 * @module The requests of one connection of node:http, one after the other. Node starts each as soon as
 * it is parsed, although those before it are still at work: a GET behind a PUT would not see what the
 * PUT stored.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { NodeExchange } from './exchange.ts'

/** Requests that may wait behind one; what comes after them is not carried out. */
const waitingMax = 100

export interface Begun {
  readonly exchange: NodeExchange
  /** Why it is refused. */
  readonly fault: string | undefined
  readonly status: number
}

export class RequestLine {
  readonly #begin: (req: IncomingMessage, res: ServerResponse) => Begun
  readonly #waiting: { readonly req: IncomingMessage; readonly res: ServerResponse }[] = []
  #current: { readonly exchange: NodeExchange; readonly req: IncomingMessage } | undefined =
    undefined
  /** Bytes of the connection that belong to requests which are over. */
  bytesUsed = 0
  /** No further request is taken. */
  #isFull = false
  /** The last that was taken is the last of the connection. */
  #isEnding = false

  constructor(begin: (req: IncomingMessage, res: ServerResponse) => Begun) {
    this.#begin = begin
  }

  get isBusy(): boolean {
    return this.#current !== undefined
  }

  /** Whether the body of the request at work has not come whole. */
  get isReading(): boolean {
    return this.#current !== undefined && !this.#current.req.complete
  }

  add(req: IncomingMessage, res: ServerResponse): void {
    if (this.#isFull) return
    if (this.#waiting.length >= waitingMax) {
      this.closeAfterAll()
      return
    }
    this.#waiting.push({ req, res })
    if (this.#current === undefined) this.#next()
  }

  /** What has come whole is answered; then the connection ends. */
  closeAfterAll(): void {
    this.#isFull = true
    this.#isEnding = true
    if (this.#waiting.at(-1)?.req.complete === false) this.#waiting.pop()
    if (this.#waiting.length === 0) this.#current?.exchange.closeAfter()
  }

  /** Nothing of what waits is carried out. */
  stop(): void {
    this.#isFull = true
    this.#waiting.length = 0
  }

  #next(): void {
    const next = this.#waiting.shift()
    if (next === undefined) return
    const { req, res } = next
    // Its client has left while it waited: nothing would ever tell that it is over.
    if (req.socket.destroyed) {
      this.stop()
      return
    }
    const { exchange, fault, status } = this.#begin(req, res)
    this.#current = { exchange, req }
    // Told when all of the answer has left, and when the connection ends before.
    res.once('close', () => {
      this.bytesUsed = req.socket.bytesRead
      this.#ended(res)
    })
    if (this.#isEnding && this.#waiting.length === 0) exchange.closeAfter()
    if (fault === undefined) {
      exchange.serve()
    } else {
      this.stop()
      exchange.refuse(status, fault)
    }
  }

  #ended(res: ServerResponse): void {
    this.#current = undefined
    // Said to be the last, or cut: what waits is not carried out.
    if (!res.shouldKeepAlive || !res.writableFinished) this.stop()
    else this.#next()
  }
}
