/**
 * @module Requests to upstreams: the only user of undici, loaded when the first mirror starts. One
 * request, one answer, no redirects: what an answer means is `upstream.ts`'s business.
 */
import { readFile } from 'node:fs/promises'
import { rootCertificates } from 'node:tls'
import type { Dispatcher } from 'undici'
import { guardedLookup } from './target-rules.ts'
import { toUpstreamError, UpstreamError } from './upstream-error.ts'

export interface HttpClientOptions {
  readonly caFile: string | undefined
  readonly proxy: string | undefined
  readonly connections: number
  readonly connectMs: number
  readonly firstByteMs: number
  readonly stallMs: number
}

export interface HttpCall {
  readonly method: 'GET' | 'HEAD'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** Latest time for the head of the answer, ms on the monotonic clock. */
  readonly deadline: number
}

export type HttpHeaders = Readonly<Record<string, string | string[] | undefined>>

export interface HttpAnswer {
  readonly status: number
  readonly headers: HttpHeaders
  readonly body: HttpBody
}

/** The body of an answer, not read before `read` is called. */
export interface HttpBody {
  /** Streams it; chunks may be kept. Rejects with an `UpstreamError`, and with what `onChunk` threw. */
  read(onChunk: (bytes: Uint8Array) => void): Promise<void>
  pause(): void
  resume(): void
  /** Ends it at once; a connection that still has bytes to come is closed. */
  abort(): void
}

/** Bytes that must come within `stallMs`: less is a drip that would hold a client for ever. */
const dripBytesMin = 16 * 1024

export class HttpClient {
  readonly #dispatcher: Dispatcher
  readonly #options: HttpClientOptions

  private constructor(dispatcher: Dispatcher, options: HttpClientOptions) {
    this.#dispatcher = dispatcher
    this.#options = options
  }

  static async open(options: HttpClientOptions): Promise<HttpClient> {
    const { Agent, ProxyAgent } = await import('undici')
    const own = options.caFile === undefined ? undefined : await readFile(options.caFile, 'utf8')
    const tls = own === undefined ? {} : { ca: [...rootCertificates, own] }
    const connect = { timeout: options.connectMs, lookup: guardedLookup, ...tls }
    const common = {
      connections: options.connections,
      pipelining: 1,
      keepAliveTimeout: 30_000,
      maxHeaderSize: 64 * 1024,
      headersTimeout: 0,
      bodyTimeout: 0,
    }
    const dispatcher =
      options.proxy === undefined
        ? new Agent({ ...common, connect })
        : new ProxyAgent({ ...common, uri: options.proxy, requestTls: tls, proxyTls: tls })
    return new HttpClient(dispatcher, options)
  }

  /** Resolves with the head of the answer; its body waits to be read or aborted. */
  send(call: HttpCall): Promise<HttpAnswer> {
    const { url, method } = call
    return new Promise((resolve, reject) => {
      const { firstByteMs, connectMs, stallMs } = this.#options
      const waitMs = Math.min(call.deadline - performance.now(), firstByteMs + connectMs)
      const exchange = new Exchange(url.host, stallMs, resolve, reject, waitMs)
      this.#dispatcher.dispatch(
        {
          origin: url.origin,
          path: `${url.pathname}${url.search}`,
          method,
          headers: call.headers,
          // undici closes connections after a HEAD unless it is told not to.
          reset: false,
        },
        exchange,
      )
    })
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy()
  }
}

class Exchange implements Dispatcher.DispatchHandler, HttpBody {
  readonly #host: string
  readonly #stallMs: number
  readonly #resolve: (answer: HttpAnswer) => void
  readonly #reject: (error: UpstreamError) => void
  #controller: Dispatcher.DispatchController | undefined
  #timer: NodeJS.Timeout | undefined
  #isOver = false
  #hasHead = false
  #failure: UpstreamError | undefined
  #onChunk: ((bytes: Uint8Array) => void) | undefined
  #settle: { resolve: () => void; reject: (error: unknown) => void } | undefined
  #isPaused = true
  #cameBytes = 0
  #lengthBytes = Number.POSITIVE_INFINITY
  #readBytes = 0

  constructor(
    host: string,
    stallMs: number,
    resolve: (answer: HttpAnswer) => void,
    reject: (error: UpstreamError) => void,
    waitMs: number,
  ) {
    this.#host = host
    this.#stallMs = stallMs
    this.#resolve = resolve
    this.#reject = reject
    this.#timer = setTimeout(
      () => this.#fail(new UpstreamError('timeout', `${host}: no answer in time`, { host })),
      Math.max(1, waitMs),
    )
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#isOver) controller.abort(this.#failure ?? new Error('aborted'))
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: HttpHeaders,
  ): void {
    if (this.#isOver || status < 200) return
    this.#controller = controller
    this.#hasHead = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    const length = headers['content-length']
    if (typeof length === 'string') this.#lengthBytes = Number(length)
    controller.pause()
    this.#resolve({ status, headers, body: this })
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isOver) return
    this.#cameBytes += chunk.byteLength
    this.#readBytes += chunk.byteLength
    try {
      this.#onChunk?.(chunk)
    } catch (error) {
      this.#end()
      this.#settle?.reject(error)
      this.#controller?.abort(new Error('refused by its reader'))
    }
  }

  onResponseEnd(): void {
    if (this.#isOver) return
    this.#end()
    this.#settle?.resolve()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(toUpstreamError(this.#failure ?? error, this.#host))
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
    this.#controller?.pause()
  }

  resume(): void {
    if (this.#isOver || !this.#isPaused) return
    this.#isPaused = false
    this.#cameBytes = 0
    // Ours to wait for from now on; while we pause, upstream cannot stall.
    this.#timer = setInterval(() => this.#watch(), this.#stallMs)
    this.#controller?.resume()
  }

  #watch(): void {
    const isLast = this.#lengthBytes - this.#readBytes < dripBytesMin && this.#cameBytes > 0
    if (this.#cameBytes < dripBytesMin && !isLast) {
      const message = `${this.#host}: ${this.#cameBytes} bytes in ${this.#stallMs} ms`
      this.#fail(new UpstreamError('stall', message, { host: this.#host }))
    }
    this.#cameBytes = 0
  }

  abort(): void {
    if (this.#isOver) return
    this.#end()
    const failure = new UpstreamError('reset', `${this.#host}: given up`, { host: this.#host })
    this.#failure = failure
    this.#settle?.reject(failure)
    this.#controller?.abort(failure)
  }

  #fail(error: UpstreamError): void {
    if (this.#isOver) return
    this.#end()
    this.#failure = error
    if (!this.#hasHead) this.#reject(error)
    this.#settle?.reject(error)
    if (this.#controller?.aborted === false) this.#controller.abort(error)
  }

  #end(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    clearInterval(this.#timer)
  }
}

/** A small body in memory (error texts, tokens, lists). Throws `garbage` past the bound. */
export async function readBody(answer: HttpAnswer, bytesMax: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let total = 0
  await answer.body.read((bytes) => {
    total += bytes.byteLength
    if (total > bytesMax) throw new UpstreamError('garbage', `the answer exceeds ${bytesMax} bytes`)
    chunks.push(bytes)
  })
  return Buffer.concat(chunks, total)
}

/** One value of a header that may come on several lines. */
export function headerOf(headers: HttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}
