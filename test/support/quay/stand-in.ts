/**
 * @module A stand-in of Quay, made from what is known of the real one: `/api/v1`, `/v2/auth`, `/v2`, storage
 * on a second port, and its webhooks. A test changes it with `switches` and reads its `counts`.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '../../../src/runtime/clock.ts'
import { TokenBucket } from '../../../src/runtime/token-bucket.ts'
import { QuayApi } from './api.ts'
import { type QuayAnswer, QuayAuth } from './auth.ts'
import { QuayModel } from './model.ts'
import { QUAY_CLASSES, type QuayClass, type QuayFault, quayDefaults } from './switches.ts'
import { QuayV2 } from './v2.ts'

export interface QuayAsked {
  readonly of: QuayClass
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  /** ms on the clock of the stand-in. */
  readonly at: number
}

/** Requests that are remembered one by one; the counters go on. */
const askedMax = 10_000

export class QuayStandIn {
  readonly model = new QuayModel()
  readonly auth = new QuayAuth(this.model)
  readonly switches = quayDefaults()
  readonly asked: QuayAsked[] = []
  readonly #counts = new Map<string, number>()
  readonly #buckets = new Map<QuayClass, TokenBucket>()
  readonly #sockets = new Set<Socket>()
  readonly #clock: Clock
  readonly #api: QuayApi
  readonly #v2: QuayV2
  readonly #servers: Server[] = []
  url = ''
  /** Where the bytes of blobs are. */
  storageUrl = ''

  /** Wall time of the clock is Quay's, its monotonic time the one of its limits. */
  constructor(clock: Clock = { now: () => Date.now(), monotonic: () => performance.now() }) {
    this.#clock = clock
    this.#api = new QuayApi(this.model, this.switches)
    const urls = { own: () => this.url, storage: () => this.storageUrl }
    this.#v2 = new QuayV2(this.model, this.switches, urls)
  }

  /** Seconds since 1970, by Quay. */
  get now(): number {
    return Math.floor(this.#clock.now() / 1000)
  }

  async start(): Promise<this> {
    this.url = await this.#listen((request, response) => this.#serve(request, response))
    this.storageUrl = await this.#listen((request, response) => this.#store(request, response))
    return this
  }

  async stop(): Promise<void> {
    const closing = this.#servers.map(
      (server) => new Promise<void>((resolve) => server.close(() => resolve())),
    )
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(closing)
  }

  /** Requests of a class so far; with a method: of that one. */
  count(of: QuayClass, method?: string): number {
    return this.#counts.get(method === undefined ? of : `${of} ${method}`) ?? 0
  }

  /** Every class with its requests so far. */
  get counts(): Readonly<Record<QuayClass, number>> {
    return Object.fromEntries(QUAY_CLASSES.map((of) => [of, this.count(of)])) as Record<
      QuayClass,
      number
    >
  }

  /** Begins to count again. */
  forget(): void {
    this.#counts.clear()
    this.asked.length = 0
  }

  /** Calls a hook as Quay does after a push: without a signature, and without a header that says what it is. */
  async sendHook(url: string, path: string, tags: readonly string[]): Promise<number> {
    const slash = path.indexOf('/')
    const body = {
      repository: path,
      namespace: path.slice(0, slash),
      name: path.slice(slash + 1),
      docker_url: `${this.switches.serverHostname}/${path}`,
      homepage: `https://${this.switches.serverHostname}/repository/${path}`,
      updated_tags: tags,
    }
    const headers = { 'Content-Type': 'application/json' }
    const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
    await answer.arrayBuffer()
    return answer.status
  }

  async #listen(
    serve: (request: IncomingMessage, response: ServerResponse) => void,
  ): Promise<string> {
    const server = createServer((request, response) => {
      response.on('error', () => undefined)
      serve(request, response)
    })
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      socket.on('error', () => undefined)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    this.#servers.push(server)
    return `http://127.0.0.1:${(server.address() as { port: number }).port}`
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://quay')
    const of = classOf(url.pathname)
    if (!this.#enter(of, request, response)) return
    const { method = 'GET' } = request
    const { authorization, accept } = request.headers
    const { now } = this
    const { pathname: path, searchParams: query } = url
    let answer: QuayAnswer
    if (method !== 'GET' && method !== 'HEAD') answer = { status: 405 }
    else if (of === 'auth') {
      answer = this.auth.login(query, authorization, now, this.switches.tokenSeconds)
    } else if (of === 'api') {
      answer = this.#api.answer({ path, query, caller: this.auth.apiCaller(authorization), now })
    } else {
      const guest = this.auth.guest(authorization, now)
      answer = this.#v2.answer({ method, path, query, accept, guest, now })
    }
    this.#send(of, request, response, answer)
  }

  #store(request: IncomingMessage, response: ServerResponse): void {
    if (!this.#enter('storage', request, response)) return
    const match = /^\/storage\/(.+)\/(sha256:[0-9a-f]{64})\?/.exec(request.url ?? '')
    const bytes = this.model.repositories.get(match?.[1] ?? '')?.blobs.get(match?.[2] ?? '')
    // Storage takes its own signature alone.
    if (request.headers.authorization !== undefined) {
      this.#send('storage', request, response, { status: 400 })
      return
    }
    if (bytes === undefined) {
      this.#send('storage', request, response, { status: 404 })
      return
    }
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
    if (range === null || !this.switches.hasRanges) {
      this.#send('storage', request, response, { status: 200, bytes })
      return
    }
    const from = Number(range[1])
    const to = range[2] === '' ? bytes.byteLength : Math.min(bytes.byteLength, Number(range[2]) + 1)
    const headers = { 'Content-Range': `bytes ${from}-${to - 1}/${bytes.byteLength}` }
    const part = bytes.subarray(from, to)
    this.#send('storage', request, response, { status: 206, headers, bytes: part })
  }

  /** Counts it; false: a limit or a fault has answered. */
  #enter(of: QuayClass, request: IncomingMessage, response: ServerResponse): boolean {
    const { method = '', url = '', headers } = request
    for (const key of [of, `${of} ${method}`]) {
      this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
    }
    if (this.asked.length < askedMax) {
      this.asked.push({ of, method, url, headers, at: this.#clock.monotonic() })
    }
    if (this.#isOverLimit(of)) {
      sendPage(response, 429, '429 Too Many Requests')
      return false
    }
    const fault = this.switches.fault?.(of, request)
    return fault === undefined || isLater(fault) || !answerFault(fault, response)
  }

  #isOverLimit(of: QuayClass): boolean {
    const limit = this.switches.limits[of]
    if (limit === undefined) return false
    let bucket = this.#buckets.get(of)
    if (bucket === undefined) {
      const { perSecond, burst } = limit
      bucket = new TokenBucket({ burst: burst + 1, perSecond, clock: this.#clock })
      this.#buckets.set(of, bucket)
    }
    if (bucket.waitMs(1) > 0) return true
    bucket.take(1)
    return false
  }

  #send(
    of: QuayClass,
    request: IncomingMessage,
    response: ServerResponse,
    answer: QuayAnswer,
  ): void {
    const ms = this.switches.delayMs?.(of) ?? 0
    if (ms === 0) this.#write(of, request, response, answer)
    else setTimeout(() => this.#write(of, request, response, answer), ms)
  }

  #write(
    of: QuayClass,
    request: IncomingMessage,
    response: ServerResponse,
    answer: QuayAnswer,
  ): void {
    const isJson = answer.json !== undefined
    const bytes = isJson
      ? Buffer.from(JSON.stringify(answer.json))
      : (answer.bytes ?? Buffer.alloc(0))
    const closes = this.switches.closesConnections && CLOSING.has(of)
    const headers = {
      ...(isJson ? { 'Content-Type': 'application/json' } : {}),
      'Content-Length': String(bytes.byteLength),
      ...(closes ? { Connection: 'close' } : {}),
      ...answer.headers,
    }
    const fault =
      answer.status === 200 || answer.status === 206 ? this.#laterFault(of, request) : undefined
    response.writeHead(answer.status, headers)
    if (request.method === 'HEAD') return void response.end()
    if (fault === 'cut') {
      response.write(bytes.subarray(0, bytes.byteLength >> 1), () => request.socket.destroy())
    } else if (fault === 'wrong-bytes' && bytes.byteLength > 0) {
      const wrong = Buffer.from(bytes)
      wrong[wrong.byteLength >> 1]! ^= 1
      response.end(wrong)
    } else response.end(bytes)
  }

  #laterFault(of: QuayClass, request: IncomingMessage): QuayFault['kind'] | undefined {
    const fault = this.switches.fault?.(of, request)
    return fault !== undefined && isLater(fault) ? fault.kind : undefined
  }
}

/** Whose connections Quay closes after the answer. */
const CLOSING: ReadonlySet<QuayClass> = new Set(['api', 'tags', 'catalog', 'blobs', 'auth'])

function classOf(path: string): QuayClass {
  if (path.startsWith('/api/')) return 'api'
  if (path === '/v2/auth') return 'auth'
  if (path === '/v2/_catalog') return 'catalog'
  if (path.endsWith('/tags/list')) return 'tags'
  const what = /^\/v2\/.+\/(manifests|blobs|referrers)\/[^/]+$/.exec(path)?.[1]
  return (what as QuayClass | undefined) ?? 'other'
}

/** These change the answer that there is. */
function isLater({ kind }: QuayFault): boolean {
  return kind === 'cut' || kind === 'wrong-bytes'
}

/** True: it is answered, or will never be. */
function answerFault(fault: QuayFault, response: ServerResponse): boolean {
  switch (fault.kind) {
    case 'limited':
      sendPage(response, 429, '429 Too Many Requests', fault.headers)
      return true
    case 'status':
      response
        .writeHead(fault.status, { 'Content-Type': 'application/json' })
        .end(fault.body ?? '{}')
      return true
    case 'page':
      sendPage(response, 200, 'Please log in')
      return true
    case 'body':
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(fault.body)
      return true
    default:
      return fault.kind === 'hang'
  }
}

function sendPage(
  response: ServerResponse,
  status: number,
  title: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = `<html><head><title>${title}</title></head><body>${title}</body></html>`
  response.writeHead(status, { 'Content-Type': 'text/html', ...headers }).end(text)
}
