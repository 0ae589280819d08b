/**
 * @module One exchange on uWebSockets.js. `res` dies with the response or the client and throws
 * from then on, so it is dropped in the same moment; `req` dies when the native callback returns,
 * so all of it is copied first.
 *
 * The native side has corked the socket while its callback runs (`isCorked`); everything later is
 * wrapped in `res.cork`, so that head and body leave in one write.
 */
import { windowBytesMax } from '../../../registry/limits.ts'
import { LentSocket } from '../../../runtime/lent-socket.ts'
import { formatAddress } from '../address.ts'
import { type EngineCore, EngineExchange } from '../exchange.ts'
import { CHUNKED, chunkedFault, isPlainTarget, readFraming } from '../framing.ts'
import { type Kept, Progress } from '../keeper.ts'
import { ClientGone, type ResponseHead } from '../port.ts'
import type { Pump } from '../pump.ts'
import { UwsBody } from './body.ts'
import { writeHead } from './heads.ts'
import type { UwsKeeper } from './keep-alive.ts'
import type { UwsLane } from './lane.ts'
import { LentConnection } from './lent-connection.ts'
import { offer, offerInPairs, recordBytes } from './records.ts'
import type { UwsRequest, UwsResponse } from './types.ts'

/**
 * A part of an answer without a length, bytes: with its size it fits the native side's cork buffer
 * (16 KiB). 20.51 drops what does not fit, when the socket is too full for what is in the buffer.
 */
const corkedPartBytesMax = 15 * 1024

export class UwsExchange extends EngineExchange implements Kept {
  protected readonly windowBytes = windowBytesMax
  private res: UwsResponse | undefined
  private body: UwsBody | undefined = undefined
  private isCorked = true
  private isWritableWatched = false
  private totalBytes = 0
  /** Over TLS: what the socket refused last, up to a record's bytes. */
  private refused: Uint8Array | undefined = undefined
  private readonly keeper: UwsKeeper
  private readonly lane: UwsLane
  /** The socket is not read until a request that changes something is answered. */
  private isHeldBack = false
  /** It was tried once, or cannot be. */
  private isUnlendable: boolean
  /** Whether somebody wants to know when the client leaves. */
  private isWatched = false
  /** The connection, while the native side has forgotten it: somebody else reads the rest of the body. */
  private lent: LentConnection | undefined = undefined
  private progress: Progress | undefined = undefined

  /** `onAborted` comes first: without it an unanswered request aborts the process. */
  constructor(core: EngineCore, keeper: UwsKeeper, lane: UwsLane, res: UwsResponse) {
    super(core, lane.isTls)
    this.lane = lane
    this.isUnlendable = lane.isTls
    this.keeper = keeper
    this.res = res
    // Without it the connection was taken away, or all is over.
    res.onAborted(() => this.res && this.finish('aborted'))
  }

  /** The whole synchronous part of a request. Never throws: that would end the process. */
  accept(res: UwsResponse, req: UwsRequest): void {
    try {
      const fault = this.copyRequest(req)
      if (fault === undefined) {
        if (this.bodyBytes !== 0) {
          this.body = new UwsBody(res, this.keeper.bounds, !isRead(this.method))
          this.keeper.add(this)
        }
        this.serve()
        const mayHold = this.bodyBytes === 0 && !isRead(this.method) && !this.isWatched
        if (this.state === 'open' && mayHold) {
          this.isHeldBack = true
          res.pause()
        }
      } else {
        this.refuseLater(400, fault)
      }
    } catch (error) {
      this.fail(error)
    } finally {
      this.isCorked = false
    }
  }

  private copyRequest(req: UwsRequest): string | undefined {
    this.method = req.getCaseSensitiveMethod()
    this.path = req.getUrl()
    this.query = req.getQuery() ?? ''
    collecting = this.headers
    req.forEach(collect)
    const framing = readFraming(this.headers)
    if (typeof framing === 'string') return framing
    this.bodyBytes = framing === CHUNKED ? undefined : framing
    const fault = chunkedFault(this.method, this.headers, framing)
    if (fault !== undefined) return fault
    if (this.core.options.isBalancer !== undefined && this.hasSecondHeader()) {
      return 'a PROXY protocol header is taken at the beginning of a connection alone'
    }
    return isPlainTarget(this.path, this.query) ? undefined : 'request target is not plain ASCII'
  }

  /** The first was taken away before the native side saw it. */
  private hasSecondHeader(): boolean {
    const { res, lane } = this
    if (res === undefined || lane.connectionOf(res)?.isProxied !== true) return false
    return res.getProxiedRemoteAddress().byteLength > 0
  }

  /**
   * Not at once: answered now, requests behind this one in the same packet would be served, even
   * with `Connection: close`. While it is unanswered the native side closes on them instead.
   */
  private refuseLater(status: number, message: string): void {
    setImmediate(() => {
      const { res } = this
      if (res === undefined) return
      const { head, body } = this.core.options.refusal(status, message)
      this.opened(head)
      res.cork(() => {
        writeHead(res, head, '')
        res.end(this.method === 'HEAD' ? '' : body, true)
      })
      this.finish('done')
    })
  }

  protected peerAddress(): string {
    const { res, lane } = this
    if (res === undefined) return ''
    if (lane.hasPorts) return lane.connectionOf(res)?.address ?? ''
    return formatAddress(new Uint8Array(res.getRemoteAddress()))
  }

  protected proxiedAddress(): string | undefined {
    const { res, core } = this
    if (res === undefined || core.options.isBalancer === undefined) return undefined
    return this.lane.connectionOf(res)?.client
  }

  protected get hasWholeBody(): boolean {
    return this.body === undefined || this.body.hasEnded
  }

  get bytesReceived(): number {
    return this.body?.receivedBytes ?? 0
  }

  readBody(onChunk: (bytes: Uint8Array) => void): Promise<void> {
    if (this.state !== 'open') return Promise.reject(new ClientGone())
    return this.body === undefined ? Promise.resolve() : this.body.read(onChunk)
  }

  pause(): void {
    this.body?.hold(true)
  }

  resume(): void {
    this.body?.hold(false)
  }

  lend(bytesMin: number): LentSocket | undefined {
    const { res, body, lane } = this
    if (res === undefined || body === undefined || this.isUnlendable) return undefined
    const rest = body.restToLend(this.bodyBytes, bytesMin, lane.binary)
    if (rest === undefined) return undefined
    // The native side is asked for the last time.
    this.keepAddress()
    this.mustClose ||= this.isChunked && this.isFromProxy()
    this.res = undefined
    const detached = lane.detach(res, this.core.openConnections)
    this.isUnlendable = true
    if (detached === undefined) {
      this.res = res
      return undefined
    }
    const aborted = () => this.finish('aborted')
    const connection = new LentConnection(detached.arrival, lane, this.core, this.keeper, aborted)
    this.lent = connection
    const socket = new LentSocket(detached.borrowed, rest, connection, (end) => {
      // What was read behind the body is lost.
      this.mustClose ||= end === 'overrun'
      body.lentEnded(end)
      if (end === 'gone') aborted()
    })
    body.lend(socket)
    return socket
  }

  /** Answers on a connection that was taken from the native side. */
  private answerLent(head: ResponseHead, body: string | Uint8Array, length?: number): void {
    const closes = this.closes || !this.hasWholeBody
    this.body?.discard()
    this.lent!.answer(head, body, length, closes)
    this.finish('done')
  }

  protected sendBody(head: ResponseHead, body: string | Uint8Array): void {
    const { res } = this
    if (this.lent !== undefined) {
      this.answerLent(head, body, Buffer.byteLength(body as string))
    } else if (res !== undefined && this.isCorked && this.body === undefined) {
      // The fast path of small pulls: no closure.
      writeHead(res, head, '')
      res.end(body, this.core.isDraining)
      this.finish('done')
    } else {
      this.last((open) => {
        writeHead(open, head, '')
        open.end(body, this.closes)
      })
    }
  }

  /**
   * Sends the end of an answer. Behind a chunked body it goes a turn later than the last byte came: what
   * the same packet holds behind that would be served before the connection closes.
   */
  private last(write: (res: UwsResponse) => void): void {
    const now = () => {
      this.corked(write)
      this.finish('done')
    }
    if (this.isChunked) setImmediate(now)
    else now()
  }

  /**
   * The length goes out as a plain header: `endWithoutBody(n)` leaves the response pending on the
   * native side, which then closes the connection on the client's next request.
   */
  protected sendBodyless(head: ResponseHead, sizeBytes: number | undefined): void {
    if (this.lent !== undefined) return this.answerLent(head, '', sizeBytes)
    const length = sizeBytes === undefined ? '' : `\r\nContent-Length: ${sizeBytes}`
    this.last((res) => {
      if (this.mustClose && this.method !== 'HEAD') {
        // 20.51 takes any first argument of `endWithoutBody` for a length.
        writeHead(res, head, '')
        res.end('', true)
        return
      }
      writeHead(res, head, this.closes ? `${length}\r\nConnection: close` : length)
      res.endWithoutBody()
    })
  }

  protected startStream(pump: Pump, sizeBytes: number): void {
    this.totalBytes = sizeBytes
    this.corked(() => pump.run())
  }

  take(bytes: Uint8Array): number {
    const res = this.res!
    const { unsentHead } = this
    if (unsentHead !== undefined) {
      this.unsentHead = undefined
      writeHead(res, unsentHead, this.closes ? '\r\nConnection: close' : '')
    }
    if (this.isTls) return this.takeRecords(res, bytes)
    if (offer(res, bytes, this.totalBytes)) return bytes.length
    return this.blocked(res)
  }

  /**
   * A record that the socket refused is encrypted already: the next offer has to begin with all of its
   * bytes, or the native side fails it without a word, and never says again that the socket takes more.
   * The source may have fewer of them ready by then, so they are kept.
   */
  private takeRecords(res: UwsResponse, bytes: Uint8Array): number {
    const { refused } = this
    const offered = refused !== undefined && refused.length > bytes.length ? refused : bytes
    this.refused = undefined
    if (offerInPairs(res, offered, this.totalBytes)) return offered.length
    const taken = this.blocked(res)
    this.refused = offered.slice(taken, taken + recordBytes)
    return taken
  }

  /** Waits for the socket; returns the bytes of the window that it took. */
  private blocked(res: UwsResponse): number {
    this.pump!.block()
    this.watchWritable(res)
    // The native offset counts body bytes alone.
    return res.getWriteOffset() - this.pump!.offset
  }

  runPump(): void {
    this.corked(() => this.pump!.run())
  }

  pumpEnded(): void {
    this.finish('done')
  }

  protected sendChunkedHead(head: ResponseHead): void {
    this.corked((res) => {
      writeHead(res, head, this.closes ? '\r\nConnection: close' : '')
    })
  }

  write(bytes: string | Uint8Array): Promise<void> {
    const { res } = this
    if (res === undefined || this.state !== 'headersSent') return Promise.resolve()
    const whole = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
    this.sentBytes += whole.length
    let isOpen = true
    for (let at = 0; at === 0 || at < whole.length; at += corkedPartBytesMax) {
      const part = whole.subarray(at, at + corkedPartBytesMax)
      this.corked((open) => {
        isOpen = open.write(part)
      })
    }
    if (isOpen) return Promise.resolve()
    this.watchWritable(res)
    return this.untilWritable()
  }

  end(): void {
    if (this.state !== 'headersSent' || this.pump !== undefined) return
    this.last((res) => res.end('', this.closes))
  }

  cut(): void {
    // Closing reports the abort; `finish` also covers a client that is gone already.
    if (!this.isOver) {
      this.res?.close()
      this.lent?.close()
    }
    this.finish('aborted')
  }

  protected released(): void {
    this.res = undefined
    this.refused = undefined
    this.body?.release()
    if (this.state === 'aborted') this.lent?.close()
    this.keeper.delete(this)
  }

  tick(): void {
    this.progress ??= new Progress()
    const { body } = this
    const isAwaited = body?.refresh() === true || body?.isLentAndAhead === true || this.isBlocked
    if (this.progress.isTooSlow(this.bytesSent + this.bytesReceived, isAwaited)) this.cut()
    else if (this.isBlocked) {
      this.res?.pause()
      this.res?.resume()
    }
  }

  /** Once per response: a second registration would replace what the first waits for. */
  private watchWritable(res: UwsResponse): void {
    if (this.isWritableWatched) return
    this.isWritableWatched = true
    this.keeper.add(this)
    res.onWritable(() => {
      this.writable()
      this.pump?.drained()
      return true
    })
  }

  /** From here on the socket is read, so that it tells; what comes behind the request is not held then. */
  override get signal(): AbortSignal {
    this.isWatched = true
    this.body?.watch()
    this.readOn()
    return super.signal
  }

  private readOn(): void {
    if (!this.isHeldBack) return
    this.isHeldBack = false
    this.res?.resume()
  }

  /** The body is discarded before the first byte of an answer. */
  private corked(write: (res: UwsResponse) => void): void {
    const { res } = this
    // Answers in parts are none of those that a lent connection can send.
    if (res === undefined) return void (this.lent !== undefined && this.cut())
    this.body?.discard()
    this.readOn()
    if (this.isCorked) write(res)
    else res.cork(() => write(res))
  }
}

function isRead(method: string): boolean {
  return method === 'GET' || method === 'HEAD'
}

/** The header list being filled: `forEach` is synchronous, so one callback does for all. */
let collecting: string[] = []
const collect = (name: string, value: string): void => {
  collecting.push(name, value)
}
