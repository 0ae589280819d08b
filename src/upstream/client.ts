/**
 * @module Requests to upstreams: the only user of undici, loaded when the first mirror starts. One
 * request, one answer, no redirects: what an answer means is `upstream.ts`'s business. Bodies of
 * blobs come through `bulk-client.ts`, which costs a third of the CPU.
 */
import { readFile } from 'node:fs/promises'
import { rootCertificates } from 'node:tls'
import type { Dispatcher } from 'undici'
import { type Answer, type AnswerHeaders, PendingAnswer } from './answer.ts'
import { BulkClient } from './bulk-client.ts'
import { UpstreamError } from './error.ts'
import type { Slots } from './slots.ts'
import { isOutOfReach, isPrivateHost, lookupWithin, type Reach } from './target-rules.ts'

export {
  type Answer,
  type AnswerBody,
  type AnswerHeaders,
  headerOf,
  lengthOf,
  partOf,
  readBody,
} from './answer.ts'

export interface HttpClientOptions {
  readonly caFile: string | undefined
  readonly proxy: string | undefined
  readonly connectMs: number
  readonly firstByteMs: number
  readonly stallMs: number
}

export interface HttpCall {
  readonly method: 'GET' | 'HEAD' | 'POST'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /**
   * Latest time for the answer, ms on the monotonic clock: for its head alone where it is bulk, else
   * for all of it.
   */
  readonly deadline: number
  /** What the other side may be; hosts that somebody named may have to be public. */
  readonly reach: Reach
  /** A GET whose body may be large. */
  readonly isBulk?: boolean
  /** A sync's: behind those that somebody waits for. */
  readonly isLater?: boolean
  /** Of a POST. */
  readonly body?: string | undefined
  /** Gives it up. */
  readonly signal?: AbortSignal | undefined
  /** Whose turn it is: shared by all who ask with one account. */
  readonly slots: Slots
}

/** How requests of one reach are carried. */
interface Way {
  readonly dispatcher: Dispatcher
  /** Undefined behind a proxy: undici knows how to pass it. */
  readonly bulk: BulkClient | undefined
}

/** Time that a host must have had before it counts as late, ms. */
const fairMsMax = 5_000

export class HttpClient {
  readonly #ways: Readonly<Record<Reach, Way>>
  readonly #options: HttpClientOptions
  readonly #privateNames: Set<string>

  private constructor(
    ways: Readonly<Record<Reach, Way>>,
    options: HttpClientOptions,
    privateNames: Set<string>,
  ) {
    this.#ways = ways
    this.#options = options
    this.#privateNames = privateNames
  }

  static async open(options: HttpClientOptions): Promise<HttpClient> {
    const { Agent, ProxyAgent } = await import('undici')
    const own = options.caFile === undefined ? undefined : await readFile(options.caFile, 'utf8')
    const tls = own === undefined ? {} : { ca: [...rootCertificates, own] }
    const { connectMs } = options
    const common = {
      // As many connections as there are slots: a second line here would be time of the other side.
      pipelining: 1,
      keepAliveTimeout: 30_000,
      maxHeaderSize: 64 * 1024,
      headersTimeout: 0,
      bodyTimeout: 0,
    }
    const privateNames = new Set<string>()
    if (options.proxy !== undefined) {
      const { proxy: uri } = options
      const agent = new ProxyAgent({ ...common, uri, requestTls: tls, proxyTls: tls })
      const way = { dispatcher: agent, bulk: undefined }
      return new HttpClient({ any: way, public: way }, options, privateNames)
    }
    // Connections of one reach are never used for the other: that is where names are judged.
    const way = (reach: Reach): Way => {
      const lookup = lookupWithin(reach, (hostname) => {
        if (privateNames.size < privateNamesMax) privateNames.add(hostname)
      })
      const connect = { timeout: connectMs, lookup, ...tls }
      return {
        dispatcher: new Agent({ ...common, connect }),
        bulk: new BulkClient({ connectMs, lookup, ...tls }),
      }
    }
    return new HttpClient({ any: way('any'), public: way('public') }, options, privateNames)
  }

  /** Whether a host is in a private network: by its URL, or by what its name has led to. */
  isPrivate(hostname: string): boolean {
    return isPrivateHost(hostname) || this.#privateNames.has(hostname)
  }

  /** Resolves with the head of the answer; its body waits to be read or aborted. */
  send(call: HttpCall): Promise<Answer> {
    const { firstByteMs, connectMs, stallMs } = this.#options
    const { host, origin, hostname } = call.url
    if (isOutOfReach(hostname, call.reach)) {
      const message = `${host} is an address that this upstream may not redirect to`
      return Promise.reject(new UpstreamError('redirect', message, { host, isOurs: true }))
    }
    const { slots, signal } = call
    const [isBulk, isLater] = [call.isBulk === true, call.isLater === true]
    const { bulk, dispatcher } = this.#ways[call.reach]
    let hasSlot = false
    const giveUp = () =>
      pending.fail(new UpstreamError('reset', `${host}: given up`, { host, isOurs: true }))
    const onOver = () => {
      signal?.removeEventListener('abort', giveUp)
      if (hasSlot) slots.give(origin, isBulk, isLater)
    }
    const leftMs = () => call.deadline - performance.now()
    const pending = new PendingAnswer({ host, lineMs: leftMs(), stallMs, onOver })
    if (signal?.aborted === true) {
      giveUp()
      return pending.answer
    }
    signal?.addEventListener('abort', giveUp, { once: true })
    const onTaken = () => {
      // Given up while it waited in line.
      if (pending.isOver) return slots.give(origin, isBulk, isLater)
      hasSlot = true
      const ownMs = firstByteMs + connectMs
      pending.started({
        headMs: Math.min(leftMs(), ownMs),
        fairMs: Math.min(ownMs, fairMsMax),
        wholeMs: isBulk ? undefined : leftMs(),
      })
      if (isBulk && bulk !== undefined) bulk.send(call, pending)
      else this.#dispatch(dispatcher, call, pending)
    }
    slots.take(origin, isBulk, onTaken, isLater)
    return pending.answer
  }

  #dispatch(
    dispatcher: Dispatcher,
    { method, url, headers, body }: HttpCall,
    pending: PendingAnswer,
  ): void {
    dispatcher.dispatch(
      {
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method,
        headers,
        ...(body === undefined ? {} : { body }),
        // undici closes connections after a HEAD unless it is told not to.
        reset: false,
      },
      new Handler(pending),
    )
  }

  async close(): Promise<void> {
    for (const { bulk, dispatcher } of new Set(Object.values(this.#ways))) {
      bulk?.close()
      await dispatcher.destroy()
    }
  }
}

/** Names of private hosts that are remembered. */
const privateNamesMax = 1_000

/** undici's events, reported to the pending answer. */
class Handler implements Dispatcher.DispatchHandler {
  readonly #pending: PendingAnswer

  constructor(pending: PendingAnswer) {
    this.#pending = pending
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#pending.carriedBy({
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
    headers: AnswerHeaders,
  ): void {
    if (status >= 200) this.#pending.head(status, headers)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#pending.data(chunk)
  }

  onResponseEnd(): void {
    this.#pending.ended()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#pending.fail(error)
  }
}
