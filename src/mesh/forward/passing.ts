/**
 * @module A client's request on its way to another member: the head goes at once, the body as it comes, and the
 * answer may come before the body's end. It repeats nothing.
 */
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Time } from '../../metadata/log/etcd/time.ts'
import { MeshError } from '../identity/problem.ts'
import { answerTo, asMeshError, type PeerClient } from '../peers/client.ts'
import {
  AnswerHead,
  encodeHead,
  type ForwardedAnswer,
  type ForwardedRequest,
  forwardPath,
} from './messages.ts'
import { readHead } from './read-head.ts'

/** Until a new connection to the member is good for use, ms. */
const connectMs = 3_000
/** When nothing has moved for so long, ms, it is asked whether the member lives. */
const quietMs = 5_000

export interface PassingOptions {
  readonly time: Time
  /** Whether something else has been heard of the member lately: to finish a large blob takes its time. */
  readonly lives: () => boolean
  /** Default 3 s. */
  readonly connectMs?: number
  /** Default 5 s. */
  readonly quietMs?: number
}

export class Passing {
  readonly #asked: ClientRequest
  readonly #client: PeerClient
  readonly #time: Time
  readonly #answered: Promise<IncomingMessage>
  #answer: IncomingMessage | undefined
  #onDrain: (() => void) | undefined

  /** Sends the head. Throws a RangeError when it is too large. */
  constructor(client: PeerClient, head: ForwardedRequest, options: PassingOptions) {
    const bytes = encodeHead(head)
    const asked = client.open('POST', forwardPath)
    this.#asked = asked
    this.#client = client
    this.#time = options.time
    if (head.bodyBytes === null) asked.setHeader('Transfer-Encoding', 'chunked')
    else asked.setHeader('Content-Length', bytes.byteLength + head.bodyBytes)
    this.#answered = answerTo(asked)
    // Looked at by `answer`, which may be asked for later.
    this.#answered.catch(() => undefined)
    asked.on('drain', () => this.#drained())
    asked.on('close', () => this.#drained())
    boundConnecting(asked, options)
    this.#watch(options)
    asked.write(bytes)
  }

  /** Sends a piece of the body, which is the caller's no more. False: wait for `onDrain`. */
  write(piece: Uint8Array): boolean {
    return this.#asked.destroyed || this.#asked.write(piece)
  }

  /** Calls back once, when more is welcome, or when nothing is any more. */
  onDrain(action: () => void): void {
    this.#onDrain = action
    if (this.#asked.destroyed) this.#drained()
  }

  /** The body has come whole. */
  end(): void {
    this.#asked.end()
  }

  /** The answer's head. Rejects with a MeshError when there is none that is understood. */
  async answer(): Promise<ForwardedAnswer> {
    try {
      this.#answer = await this.#client.accept(await this.#answered)
      // Told to whoever reads it; nobody may.
      this.#answer.on('error', () => undefined)
      return (await readHead(this.#answer, AnswerHead, { time: this.#time })).head
    } catch (error) {
      throw asMeshError(error)
    }
  }

  /** The answer's body, after its head. Rejects with a MeshError when it breaks off. */
  async *body(): AsyncGenerator<Buffer, void, undefined> {
    try {
      yield* this.#answer! as AsyncIterable<Buffer>
    } catch (error) {
      throw asMeshError(error)
    }
  }

  /** Ends the connection: to the member it is as if the client had left. */
  abort(): void {
    // Without a reason: Node.js would have the socket tell it, which at the end of an answer nobody listens to.
    this.#asked.destroy()
  }

  /** To be called in the end: a connection on which both messages have ended is used again. */
  close(): void {
    const isWhole = this.#answer?.readableEnded === true && this.#asked.writableFinished
    if (!isWhole) this.abort()
  }

  /** Looks now and then whether anything moves. */
  #watch({ time, lives, quietMs: ms = quietMs }: PassingOptions): void {
    const asked = this.#asked
    let before = 0
    const look = () => {
      const moved = (asked.socket?.bytesRead ?? 0) + (asked.socket?.bytesWritten ?? 0)
      // Otherwise it is the client that has nothing to say.
      const isAwaited = asked.writableEnded || asked.writableNeedDrain
      if (moved === before && isAwaited && !lives()) this.abort()
      before = moved
      cancel = time.after(ms, look)
    }
    let cancel = time.after(ms, look)
    asked.once('close', () => cancel())
  }

  #drained(): void {
    const action = this.#onDrain
    this.#onDrain = undefined
    action?.()
  }
}

/** A machine that is not there answers nothing at all: the system would try for minutes. */
function boundConnecting(asked: ClientRequest, options: PassingOptions): void {
  const late = () => asked.destroy(new MeshError('silent', 'the member cannot be reached'))
  const cancel = options.time.after(options.connectMs ?? connectMs, late)
  asked.once('close', cancel)
  asked.once('socket', (socket) => {
    if ((socket as TLSSocket).authorized) cancel()
    else socket.once('secureConnect', cancel)
  })
}
