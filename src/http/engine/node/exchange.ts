/**
 * @module One exchange on node:http, with the meaning of `http/engine/uws/exchange.ts`. Node keeps what the
 * socket does not take at once: the source stays open until nothing reads from it, what does not last is
 * copied in smaller windows, and a response is done when its last byte has left node's buffer.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { MessageChannel } from 'node:worker_threads'
import { windowBytesMax } from '../../../registry/limits.ts'
import { shortAddress } from '../address.ts'
import { type EngineCore, EngineExchange } from '../exchange.ts'
import { CHUNKED, chunkedFault, isPlainTarget, readFraming, splitTarget } from '../framing.ts'
import { type Kept, Progress } from '../keeper.ts'
import { ClientGone, type ResponseHead } from '../port.ts'
import type { Pump } from '../pump.ts'

/** Window of a copied stream, bytes: the copy of a slow reader is all it costs. */
const copyBytesMax = 256 * 1024

/** A smaller piece of a body is left to the collector, bytes. */
const freedBytesMin = 4 * 1024

export class NodeExchange extends EngineExchange implements Kept {
  protected readonly windowBytes = windowBytesMax
  protected readonly req: IncomingMessage
  protected readonly res: ServerResponse
  private totalBytes = 0
  private isReading = false
  private receivedBytes = 0
  private isHeld = false
  private isWanted = true
  private isDrainWatched = false
  private rejectBody: ((error: unknown) => void) | undefined = undefined

  private progress: Progress | undefined = undefined

  private readonly gone = () => this.finish('aborted')

  private readonly client: string | undefined

  /** `client`: what a PROXY protocol header said when the connection began. */
  constructor(
    core: EngineCore,
    isTls: boolean,
    req: IncomingMessage,
    res: ServerResponse,
    client: string | undefined,
  ) {
    super(core, isTls)
    this.req = req
    this.res = res
    this.client = client
    // Told by `close` as well; without a listener it would end the process.
    req.on('error', () => {})
    res.on('error', () => {})
    res.on('finish', () => this.finish('done'))
    res.on('close', this.gone)
    // A response behind another one (pipelining) has no socket yet, so it hears of no end.
    req.socket.on('close', this.gone)
  }

  /** Copies the request; a sentence says why it must be refused. */
  copyRequest(): string | undefined {
    const { req } = this
    this.method = req.method ?? ''
    const target = splitTarget(this.method, req.url ?? '')
    if (target !== undefined) {
      this.path = target.path
      this.query = target.query
      this.authority = target.authority
    }
    this.headers = req.rawHeaders.map((text, index) =>
      index % 2 === 0 ? text.toLowerCase() : text,
    )
    const framing = readFraming(this.headers)
    if (typeof framing === 'string') return framing
    const host = this.header('host')
    if (host?.includes(', ') === true) return 'Host is given twice'
    if (host === undefined && req.httpVersion !== '1.0') return 'Host is missing'
    this.bodyBytes = framing === CHUNKED ? undefined : framing
    if (framing === CHUNKED && req.httpVersion === '1.0') {
      return 'HTTP/1.0 has no Transfer-Encoding: send a Content-Length'
    }
    const fault = chunkedFault(this.method, this.headers, framing)
    if (fault !== undefined) return fault
    if (target === undefined) return 'request target is neither a path nor a URL'
    if (this.path === '*') return undefined
    return isPlainTarget(this.path, this.query) ? undefined : 'request target is not plain ASCII'
  }

  refuse(status: number, message: string): void {
    const { head, body } = this.core.options.refusal(status, message)
    this.mustClose = true
    this.send(head, body)
  }

  protected peerAddress(): string {
    return shortAddress(this.req.socket.remoteAddress)
  }

  protected proxiedAddress(): string | undefined {
    return this.client
  }

  protected get hasWholeBody(): boolean {
    return this.req.complete
  }

  get bytesReceived(): number {
    return this.receivedBytes
  }

  readBody(onChunk: (bytes: Uint8Array) => void): Promise<void> {
    if (this.state !== 'open') return Promise.reject(new ClientGone())
    if (this.bodyBytes === 0) return Promise.resolve()
    if (this.isReading) return Promise.reject(new Error('readBody was called twice'))
    this.isReading = true
    this.core.keeper.add(this)
    const { req } = this
    const whole = new Promise<void>((resolve, reject) => {
      this.rejectBody = reject
      req.on('data', (chunk: Buffer) => this.deliver(chunk, onChunk))
      req.on('end', resolve)
      req.on('close', () => reject(new ClientGone()))
    })
    // The handler may look at it only after other work: not an unhandled rejection till then.
    whole.catch(() => {})
    this.flowAsWanted()
    return whole
  }

  pause(): void {
    this.isHeld = true
    this.flowAsWanted()
  }

  resume(): void {
    this.isHeld = false
    this.flowAsWanted()
  }

  private deliver(chunk: Buffer, onChunk: (bytes: Uint8Array) => void): void {
    this.receivedBytes += chunk.length
    if (!this.isWanted) return
    try {
      // No Buffer: `slice` of those is no copy.
      onChunk(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length))
    } catch (error) {
      this.isWanted = false
      this.rejectBody?.(error)
    }
    giveMemoryBack(chunk)
  }

  /** Without a reader nothing is read, and node itself holds the client back. */
  private flowAsWanted(): void {
    if (!this.isReading) return
    if (this.isHeld && this.isWanted) this.req.pause()
    else this.req.resume()
  }

  protected sendBody(head: ResponseHead, body: string | Uint8Array): void {
    this.writeHead(head, Buffer.byteLength(body))
    this.res.end(body)
  }

  protected sendBodyless(head: ResponseHead, sizeBytes: number | undefined): void {
    this.writeHead(head, sizeBytes)
    this.res.end()
  }

  protected startStream(pump: Pump, sizeBytes: number): void {
    this.totalBytes = sizeBytes
    // TLS enciphers a whole window at once, into memory of its own.
    if (this.isTls || !pump.lasts) pump.limitWindow(copyBytesMax)
    pump.run()
  }

  /**
   * Windows go to the socket itself: node:http has nothing to add to a body whose length is known. What
   * lasts is read by the kernel where it is; the rest waits in a copy.
   */
  take(bytes: Uint8Array): number {
    const { unsentHead } = this
    const pump = this.pump!
    const { socket } = this.req
    if (unsentHead !== undefined) {
      this.unsentHead = undefined
      socket.cork()
      this.writeHead(unsentHead, this.totalBytes)
      this.res.flushHeaders()
    }
    pump.lend()
    socket.write(pump.lasts ? bytes : Buffer.from(bytes), this.written)
    if (unsentHead !== undefined) socket.uncork()
    if (socket.writableLength > 0) {
      pump.block()
      this.core.keeper.add(this)
    }
    return bytes.length
  }

  /** The socket has taken a window, or never will. */
  private readonly written = (): void => {
    const pump = this.pump!
    pump.giveBack()
    if (this.req.socket.writableLength === 0) pump.drained()
  }

  runPump(): void {
    this.pump!.run()
  }

  pumpEnded(): void {
    this.res.end()
  }

  protected sendChunkedHead(head: ResponseHead): void {
    this.writeHead(head, undefined)
  }

  write(bytes: string | Uint8Array): Promise<void> {
    if (this.state !== 'headersSent' || this.res.writableEnded) return Promise.resolve()
    this.sentBytes += Buffer.byteLength(bytes)
    if (this.res.write(bytes)) return Promise.resolve()
    this.watchDrain()
    return this.untilWritable()
  }

  end(): void {
    if (this.state === 'headersSent' && this.pump === undefined) this.res.end()
  }

  cut(): void {
    if (this.isOver) return
    this.req.socket.destroy()
    this.finish('aborted')
  }

  tick(): void {
    this.progress ??= new Progress()
    const isReceiving = this.isReading && this.isWanted && !this.isHeld && !this.req.complete
    const isAwaited = isReceiving || this.isBlocked
    const moved = this.bytesSent - unsentBytes(this.req.socket) + this.bytesReceived
    if (this.progress.isTooSlow(moved, isAwaited)) this.cut()
    else this.pump?.refresh()
  }

  protected released(): void {
    this.core.keeper.delete(this)
    this.req.socket.off('close', this.gone)
    this.discardBody()
    this.rejectBody?.(new ClientGone())
  }

  /** What is left of a body that is being read flows off; node drops an untouched one itself. */
  protected discardBody(): void {
    this.isWanted = false
    this.flowAsWanted()
  }

  private watchDrain(): void {
    if (this.isDrainWatched) return
    this.isDrainWatched = true
    this.core.keeper.add(this)
    this.res.on('drain', () => {
      this.writable()
      this.pump?.drained()
    })
  }

  protected writeHead(head: ResponseHead, sizeBytes: number | undefined): void {
    this.discardBody()
    const { res } = this
    if (this.closes) res.shouldKeepAlive = false
    const headers = head.headers.flat()
    if (sizeBytes !== undefined) headers.push('Content-Length', String(sizeBytes))
    res.writeHead(head.status, headers)
  }
}

/** Node.js 20 has no `transfer`: what is posted to a port that is closed is freed as well. */
type Detachable = ArrayBuffer & { transfer?(newByteLength: number): ArrayBuffer }
const { port1: closedPort } = new MessageChannel()
closedPort.close()

/**
 * Frees a piece of a body that nobody looks at any more, so that the next one gets the same memory while
 * the processor's cache has it. The collector would come after tens of MiB.
 */
function giveMemoryBack({ buffer, byteLength }: Uint8Array): void {
  if (byteLength < freedBytesMin || buffer.byteLength !== byteLength) return
  const detachable = buffer as Detachable
  if (detachable.transfer === undefined) closedPort.postMessage(undefined, [detachable])
  else detachable.transfer(0)
}

/**
 * What the kernel has not taken of a write that is under way: a window of 1 MiB counts as sent when all of
 * it has left, and a slow client takes minutes for that. Node.js shows it on its handle alone.
 */
function unsentBytes(socket: object): number {
  const { _handle } = socket as { readonly _handle?: { readonly writeQueueSize?: number } | null }
  return _handle?.writeQueueSize ?? 0
}
