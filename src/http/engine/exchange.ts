/**
 * @module What a request and its response are in both engines: the state machine of the port, the
 * handler's supervision, the abort signal, and the end that is told once. One object is request
 * and response, so an exchange costs one allocation. Sockets are the subclasses' business.
 */
import { randomBytes } from 'node:crypto'
import { anonymousCaller, type Caller } from '../../auth/caller.ts'
import { BytesSource } from './bytes-source.ts'
import { clientAddress, lastValue } from './client-origin.ts'
import { type Forwarded, parseForwarded } from './forwarded.ts'
import { isBodyless } from './framing.ts'
import { Keeper } from './keeper.ts'
import {
  type ByteSource,
  ClientGone,
  type EngineOptions,
  type HttpRequest,
  type HttpResponse,
  type RequestChange,
  type ResponseHead,
} from './port.ts'
import { Pump, type PumpTarget } from './pump.ts'
import { TurnQueue } from './turns.ts'

/** Tells this run of the process from all others; a counter tells its requests apart. */
const runId = randomBytes(6).toString('hex')
let lastId = 0

/** Bodies up to this size are sent at once, whatever else this turn has sent, bytes. */
const smallBodyBytesMax = 4096

/** What all exchanges of one engine share. */
export class EngineCore {
  readonly options: EngineOptions
  readonly turns = new TurnQueue()
  readonly keeper = new Keeper()
  openConnections = 0
  openRequests = 0
  /** Requests that are over, since the start. */
  finishedRequests = 0
  /** Answers carry `Connection: close`: the engine takes no new connections. */
  isDraining = false

  constructor(options: EngineOptions) {
    this.options = options
  }
}

export abstract class EngineExchange implements HttpRequest, HttpResponse, PumpTarget {
  readonly startedAt = performance.now()
  routeKind = 'none'
  caller: Caller = anonymousCaller
  change: RequestChange | undefined = undefined
  method = ''
  path = ''
  query = ''
  /** `name, value, name, value …`, names in lower case, one pair a line. */
  headers: string[] = []
  bodyBytes: number | undefined = 0
  /** Of a whole URL as the target: it counts instead of `Host`. */
  protected authority: string | undefined = undefined
  /** The answer ends the connection, whatever else. */
  protected mustClose = false
  state: HttpResponse['state'] = 'open'
  status = 0
  readonly isTls: boolean
  protected readonly core: EngineCore
  protected pump: Pump | undefined = undefined
  /** Of a stream that has no byte to send yet: it leaves with the first, so it can be taken back. */
  protected unsentHead: ResponseHead | undefined = undefined
  /** Body bytes handed to the socket outside a pump. */
  protected sentBytes = 0
  private idText: string | undefined = undefined
  private addressText: string | undefined = undefined
  private isProxied = false
  private aborter: AbortController | undefined = undefined
  private drain: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined

  constructor(core: EngineCore, isTls: boolean) {
    this.core = core
    this.isTls = isTls
    this.drain = undefined
    core.openRequests += 1
  }

  /** The address at the other end of the connection. */
  protected abstract peerAddress(): string
  /** What a PROXY protocol header said of the client when the connection began. */
  protected abstract proxiedAddress(): string | undefined
  /** Whether the body has come whole, as far as the engine can see. */
  protected abstract get hasWholeBody(): boolean
  abstract get bytesReceived(): number
  abstract readBody(onChunk: (bytes: Uint8Array) => void): Promise<void>
  abstract pause(): void
  abstract resume(): void
  abstract write(bytes: string | Uint8Array): Promise<void>
  abstract end(): void
  abstract cut(): void
  abstract take(bytes: Uint8Array): number
  abstract runPump(): void
  abstract pumpEnded(): void
  protected abstract sendBody(head: ResponseHead, body: string | Uint8Array): void
  protected abstract sendBodyless(head: ResponseHead, sizeBytes: number | undefined): void
  protected abstract sendChunkedHead(head: ResponseHead): void
  protected abstract startStream(pump: Pump, sizeBytes: number): void
  /** Largest window that the socket is offered at once, bytes. */
  protected abstract readonly windowBytes: number
  /** Lets go of the socket and of the body's reader. */
  protected abstract released(): void

  get id(): string {
    if (this.idText === undefined) {
      lastId += 1
      this.idText = `${runId}-${lastId.toString(36)}`
    }
    return this.idText
  }

  header(name: string): string | undefined {
    const { headers } = this
    let value: string | undefined
    for (let index = 0; index < headers.length; index += 2) {
      if (headers[index] !== name) continue
      value = value === undefined ? headers[index + 1]! : `${value}, ${headers[index + 1]!}`
    }
    return value
  }

  get remoteAddress(): string {
    if (this.addressText === undefined) {
      const peer = this.peerAddress()
      // A socket that is gone tells nothing, and is not asked again for nothing.
      if (peer === '') return ''
      const isTrusted = this.core.options.isTrustedProxy
      // Behind a balancer that passes bytes on, whoever speaks HTTP is the client that it names.
      const speaker = this.proxiedAddress() ?? peer
      this.isProxied = isTrusted?.(speaker) === true
      this.addressText =
        isTrusted === undefined || !this.isProxied
          ? speaker
          : clientAddress(
              speaker,
              this.header('x-forwarded-for') ?? this.standardForwarded()?.for,
              isTrusted,
            )
    }
    return this.addressText
  }

  keepAddress(): void {
    void this.remoteAddress
  }

  get scheme(): 'http' | 'https' {
    const forwarded = this.forwarded('proto')
    if (forwarded === 'http' || forwarded === 'https') return forwarded
    return this.isTls ? 'https' : 'http'
  }

  get host(): string {
    return this.forwarded('host') ?? this.authority ?? this.header('host') ?? ''
  }

  private forwarded(name: 'proto' | 'host'): string | undefined {
    this.keepAddress()
    if (!this.isProxied) return undefined
    return lastValue(this.header(`x-forwarded-${name}`)) ?? this.standardForwarded()?.[name]
  }

  /**
   * `Forwarded`, where there is none of `X-Forwarded-*`: a proxy that writes those passes a client's
   * own `Forwarded` on as it is.
   */
  private standardForwarded(): Forwarded | undefined {
    const isOther = ['for', 'proto', 'host'].some(
      (name) => this.header(`x-forwarded-${name}`) !== undefined,
    )
    return isOther ? undefined : parseForwarded(this.header('forwarded'))
  }

  get signal(): AbortSignal {
    if (this.aborter === undefined) {
      this.aborter = new AbortController()
      if (this.state === 'aborted') this.aborter.abort(new ClientGone())
    }
    return this.aborter.signal
  }

  get bytesSent(): number {
    return this.pump === undefined ? this.sentBytes : this.pump.offset
  }

  get bytesFetched(): number {
    return this.pump?.fetchedBytes ?? 0
  }

  send(head: ResponseHead, body: string | Uint8Array): void {
    if (this.state !== 'open') return
    const sizeBytes = typeof body === 'string' ? Buffer.byteLength(body) : body.length
    if (!this.hasBody(head)) {
      this.sendHead(head, sizeBytes)
    } else if (sizeBytes > smallBodyBytesMax && this.core.turns.isSpent && !this.isChunked) {
      // A thousand of these at once would hold everybody up: it waits for its turn like the large.
      this.stream(
        head,
        new BytesSource(typeof body === 'string' ? Buffer.from(body) : body.slice()),
      )
    } else {
      this.opened(head)
      this.sentBytes = sizeBytes
      if (sizeBytes > smallBodyBytesMax) this.core.turns.spend(sizeBytes)
      this.sendBody(head, body)
    }
  }

  sendHead(head: ResponseHead, sizeBytes: number | undefined): void {
    if (this.state !== 'open') return
    this.opened(head)
    this.sendBodyless(head, isBodyless(head.status) ? undefined : sizeBytes)
  }

  stream(head: ResponseHead, source: ByteSource): void {
    const { sizeBytes } = source
    if (this.state !== 'open' || !this.hasBody(head)) {
      source.close()
      this.sendHead(head, sizeBytes)
    } else if (sizeBytes === 0) {
      source.close()
      this.send(head, '')
    } else {
      this.opened(head)
      this.unsentHead = head
      this.pump = new Pump(this, source, this.core.turns, this.windowBytes)
      this.startStream(this.pump, sizeBytes)
    }
  }

  startChunked(head: ResponseHead): void {
    if (this.state !== 'open' || !this.hasBody(head)) {
      this.sendHead(head, undefined)
    } else {
      this.opened(head)
      this.sendChunkedHead(head)
    }
  }

  pumpFailed(error: unknown): void {
    if (this.unsentHead === undefined) this.cut()
    else this.takeBack()
    this.fail(error)
  }

  /** Nothing has left yet, so the failure can still be answered. */
  private takeBack(): void {
    this.unsentHead = undefined
    this.pump?.close()
    this.pump = undefined
    this.state = 'open'
  }

  /** Runs the handler and supervises what it returns. Never throws. */
  serve(): void {
    try {
      const pending = this.core.options.handler(this, this)
      if (pending instanceof Promise) {
        pending.then(
          () => this.returned(),
          (error: unknown) => this.fail(error),
        )
      } else {
        this.returned()
      }
    } catch (error) {
      this.fail(error)
    }
  }

  /** A handler that is through must have answered, or the client would wait for ever. */
  private returned(): void {
    if (this.state === 'open') this.fail(new Error('handler returned without an answer'))
  }

  /** Hands an error to `onError`; what is still unanswered after it is cut. Never throws. */
  protected fail(error: unknown): void {
    // The reader of a body that nobody wants any more ends this way: no fault of anyone's.
    if (error instanceof ClientGone && this.isOver) return
    try {
      this.core.options.onError(this, this, error)
    } catch {
      this.cut()
    }
    if (this.state === 'open') this.cut()
  }

  closeAfter(): void {
    this.mustClose = true
  }

  protected get isOver(): boolean {
    return this.state === 'done' || this.state === 'aborted'
  }

  protected hasBody(head: ResponseHead): boolean {
    return this.method !== 'HEAD' && !isBodyless(head.status)
  }

  protected opened(head: ResponseHead): void {
    this.state = 'headersSent'
    this.status = head.status
    if (this.bodyBytes === undefined) this.mustClose ||= this.isEndDoubtful()
  }

  protected get isChunked(): boolean {
    return this.bodyBytes === undefined
  }

  /** Whether the answer says, and sees to it, that the connection ends. */
  protected get closes(): boolean {
    return this.core.isDraining || this.mustClose
  }

  /**
   * What follows a chunked body that nobody has read to its end, or that a proxy has passed on with
   * trailers, would be taken for the next request: somebody else's, behind a proxy.
   */
  private isEndDoubtful(): boolean {
    return !this.hasWholeBody || this.isFromProxy()
  }

  /** Asked of the socket, which must still be there. */
  protected isFromProxy(): boolean {
    if (this.proxiedAddress() !== undefined) return true
    return this.core.options.isTrustedProxy?.(this.peerAddress()) === true
  }

  /** Enters the last state, once: everything that hangs on the exchange is let go. Never throws. */
  protected finish(state: 'done' | 'aborted'): void {
    if (this.isOver) return
    this.state = state
    this.core.openRequests -= 1
    this.core.finishedRequests += 1
    try {
      this.released()
      this.writable()
      this.pump?.close()
      if (state === 'aborted') this.aborter?.abort(new ClientGone())
      this.core.options.onExchange(this, this)
    } catch (error) {
      this.fail(error)
    }
  }

  /** Resolves when the socket takes more, or when the exchange is over. */
  protected untilWritable(): Promise<void> {
    if (this.drain === undefined) {
      let resolve = () => {}
      const promise = new Promise<void>((settle) => {
        resolve = settle
      })
      this.drain = { promise, resolve }
    }
    return this.drain.promise
  }

  /** True while an answer waits for the client to take what it was sent. */
  protected get isBlocked(): boolean {
    return this.drain !== undefined || this.pump?.isWaitingForSocket === true
  }

  protected writable(): void {
    const { drain } = this
    this.drain = undefined
    drain?.resolve()
  }
}
