/**
 * @module The way from this node to one peer: keeps a stream open on which the peer hears what reads show here,
 * and opens it again when it ends, or when nothing was heard of the peer for too long (half of a connection
 * may be gone without a word).
 *
 *   waiting ──► opening ──► open ──┐
 *      ▲  back-off   │             │ ended, silent, not understood
 *      └─────────────┴─────────────┘
 */
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Time } from '../../metadata/log/etcd/time.ts'
import type { Random } from '../../runtime/random.ts'
import { MeshError } from '../identity/problem.ts'
import { answerTo, asMeshError, type PeerClient } from './client.ts'
import { encodeFrame, type Frame, heartbeat } from './frames.ts'
import { paths } from './messages.ts'

export interface LinkTimes {
  /** Between two signs of life, ms. Default 1 s. */
  readonly heartbeatMs?: number
  /** After so long without one the stream is opened again, ms. Default 3 s. */
  readonly silentMs?: number
}

export interface LinkOptions extends LinkTimes {
  readonly client: Pick<PeerClient, 'open' | 'accept' | 'close'>
  readonly time: Time
  readonly random: Random
  /** The stream was opened (undefined), or ended with this; each time. */
  readonly onChange: (error: MeshError | undefined) => void
}

/** Until a lost stream is opened again, ms: doubled with each failure. */
const backOffMsMin = 100
const backOffMsMax = 5_000

const newline = heartbeat.charCodeAt(0)

export class PeerLink {
  readonly #options: LinkOptions
  readonly #heartbeatMs: number
  readonly #silentMs: number
  #request: ClientRequest | undefined
  #isOpen = false
  #isClosed = false
  /** The last one that is to be said, and the last one that was. */
  #frame: Frame | undefined
  #said: Frame | undefined
  /** Whether a line is with the system: no other one is made meanwhile, so no queue grows. */
  #isWriting = false
  #heardAt = 0
  #failures = 0
  #cancel: () => void = () => undefined

  constructor(options: LinkOptions) {
    this.#options = options
    this.#heartbeatMs = options.heartbeatMs ?? 1_000
    this.#silentMs = options.silentMs ?? 3_000
    this.#open()
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Sends this as soon as the peer takes it, unless there is a newer one by then. */
  say(frame: Frame): void {
    this.#frame = frame
    this.#send(false)
  }

  /** Ends the stream and the connections to the peer. */
  close(): void {
    this.#isClosed = true
    this.#isOpen = false
    this.#cancel()
    this.#request?.destroy()
    this.#options.client.close()
  }

  #open(): void {
    const { client, time } = this.#options
    const request = client.open('POST', paths.stream)
    this.#request = request
    this.#isWriting = false
    this.#said = undefined
    this.#heardAt = time.monotonic()
    this.#tick(request)
    answerTo(request)
      .then((answer) => client.accept(answer))
      .then(
        (answer) => this.#listen(request, answer),
        (error: unknown) => this.#fail(request, asMeshError(error)),
      )
    // An answer comes before the end of what it answers.
    request.flushHeaders()
  }

  #listen(request: ClientRequest, answer: IncomingMessage): void {
    if (request !== this.#request || this.#isClosed) return
    this.#isOpen = true
    this.#heardAt = this.#options.time.monotonic()
    this.#options.onChange(undefined)
    answer.on('data', (piece: Buffer) => {
      if (piece.every((byte) => byte === newline)) {
        this.#heardAt = this.#options.time.monotonic()
        this.#failures = 0
        return
      }
      this.#fail(
        request,
        new MeshError('message', 'a peer has sent something else than a sign of life'),
      )
    })
    answer.on('error', (error) => this.#fail(request, asMeshError(error)))
    answer.on('close', () => {
      this.#fail(request, new MeshError('silent', 'the peer has ended the stream'))
    })
    this.#send(true)
  }

  /** Looks whether the peer lives, and says that this node does. */
  #tick(request: ClientRequest): void {
    const { time } = this.#options
    this.#cancel = time.after(this.#heartbeatMs, () => {
      if (time.monotonic() - this.#heardAt >= this.#silentMs) {
        this.#fail(request, new MeshError('silent', 'nothing was heard of the peer'))
        return
      }
      this.#send(true)
      this.#tick(request)
    })
  }

  #send(again: boolean): void {
    const frame = this.#frame
    const request = this.#request
    if (!this.#isOpen || this.#isWriting || request === undefined) return
    if (frame === this.#said && !again) return
    this.#isWriting = true
    this.#said = frame
    request.write(frame === undefined ? heartbeat : encodeFrame(frame), (error) => {
      if (request !== this.#request || error) return
      this.#isWriting = false
      this.#send(false)
    })
  }

  /** Once for each stream: whatever comes of it afterwards is not heard. */
  #fail(request: ClientRequest, error: MeshError): void {
    if (request !== this.#request || this.#isClosed) return
    this.#request = undefined
    this.#isOpen = false
    this.#cancel()
    request.destroy()
    this.#options.onChange(error)
    const backOffMs = Math.min(backOffMsMin * 2 ** this.#failures, backOffMsMax)
    this.#failures = Math.min(this.#failures + 1, 10)
    // Nodes that lost each other in the same moment do not come back in the same.
    const [drawn = 0] = this.#options.random.bytes(1)
    const share = 0.5 + drawn / 512
    this.#cancel = this.#options.time.after(backOffMs * share, () => this.#open())
  }
}
