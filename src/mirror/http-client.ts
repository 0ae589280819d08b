/**
 * @module Requests to upstreams: the only user of undici, loaded when the first mirror starts. One
 * request, one answer, no redirects: what an answer means is `upstream.ts`'s business. Bodies of
 * blobs come through `bulk-client.ts`, which costs a third of the CPU.
 */
import { readFile } from 'node:fs/promises'
import { rootCertificates } from 'node:tls'
import type { Dispatcher } from 'undici'
import { BulkClient } from './bulk-client.ts'
import { Exchange, type HttpAnswer, type HttpHeaders } from './exchange.ts'
import { Slots } from './slots.ts'
import { guardedLookup, isForbiddenAddress } from './target-rules.ts'
import { UpstreamError } from './upstream-error.ts'

export { type HttpAnswer, type HttpBody, headerOf, readBody } from './exchange.ts'

export interface HttpClientOptions {
  readonly caFile: string | undefined
  readonly proxy: string | undefined
  /** Requests under way to one origin. */
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
  /** A GET whose body may be large. */
  readonly isBulk?: boolean
}

export class HttpClient {
  readonly #dispatcher: Dispatcher
  /** Undefined behind a proxy: undici knows how to pass it. */
  readonly #bulk: BulkClient | undefined
  readonly #options: HttpClientOptions
  readonly #slots: Slots

  private constructor(
    dispatcher: Dispatcher,
    bulk: BulkClient | undefined,
    options: HttpClientOptions,
  ) {
    this.#dispatcher = dispatcher
    this.#bulk = bulk
    this.#options = options
    this.#slots = new Slots(options.connections)
  }

  static async open(options: HttpClientOptions): Promise<HttpClient> {
    const { Agent, ProxyAgent } = await import('undici')
    const own = options.caFile === undefined ? undefined : await readFile(options.caFile, 'utf8')
    const tls = own === undefined ? {} : { ca: [...rootCertificates, own] }
    const { connectMs } = options
    const connect = { timeout: connectMs, lookup: guardedLookup, ...tls }
    const common = {
      connections: options.connections,
      pipelining: 1,
      keepAliveTimeout: 30_000,
      maxHeaderSize: 64 * 1024,
      headersTimeout: 0,
      bodyTimeout: 0,
    }
    if (options.proxy !== undefined) {
      const { proxy: uri } = options
      const agent = new ProxyAgent({ ...common, uri, requestTls: tls, proxyTls: tls })
      return new HttpClient(agent, undefined, options)
    }
    const bulk = new BulkClient({ connectMs, lookup: guardedLookup, ...tls })
    return new HttpClient(new Agent({ ...common, connect }), bulk, options)
  }

  /** Resolves with the head of the answer; its body waits to be read or aborted. */
  send(call: HttpCall): Promise<HttpAnswer> {
    const { firstByteMs, connectMs, stallMs } = this.#options
    const { host, origin } = call.url
    if (isForbiddenAddress(call.url.hostname)) {
      const message = `${host} is a link-local or metadata address`
      return Promise.reject(new UpstreamError('redirect', message, { host }))
    }
    const waitMs = Math.min(call.deadline - performance.now(), firstByteMs + connectMs)
    const isBulk = call.isBulk === true
    let hasSlot = false
    const onOver = () => {
      if (hasSlot) this.#slots.give(origin, isBulk)
    }
    const exchange = new Exchange({ host, waitMs, stallMs, onOver })
    this.#slots.take(origin, isBulk, () => {
      // Given up while it waited in line.
      if (exchange.isOver) return this.#slots.give(origin, isBulk)
      hasSlot = true
      if (isBulk && this.#bulk !== undefined) this.#bulk.send(call, exchange)
      else this.#dispatch(call, exchange)
    })
    return exchange.answer
  }

  #dispatch({ method, url, headers }: HttpCall, exchange: Exchange): void {
    this.#dispatcher.dispatch(
      {
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method,
        headers,
        // undici closes connections after a HEAD unless it is told not to.
        reset: false,
      },
      new Handler(exchange),
    )
  }

  async close(): Promise<void> {
    this.#bulk?.close()
    await this.#dispatcher.destroy()
  }
}

/** undici's events, told to the exchange. */
class Handler implements Dispatcher.DispatchHandler {
  readonly #exchange: Exchange

  constructor(exchange: Exchange) {
    this.#exchange = exchange
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#exchange.carriedBy({
      pause: () => controller.pause(),
      resume: () => controller.resume(),
      abort: (error) => {
        if (!controller.aborted) controller.abort(error)
      },
    })
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: HttpHeaders,
  ): void {
    if (status >= 200) this.#exchange.head(status, headers)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#exchange.data(chunk)
  }

  onResponseEnd(): void {
    this.#exchange.ended()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#exchange.fail(error)
  }
}
