/**
 * @module A store of objects behind HTTP, in memory: what a bucket of S3 promises and no more. No
 * rename, no append, no mapping; an object is there as a whole or not at all. Answers take a while, and
 * lists lag behind. Times and delays are given, so that a test decides them.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inByteOrder } from '../registry-client.ts'

export interface ObjectServerOptions {
  /** Waits before an answer; the argument is between 0 and 1. */
  readonly delay: (share: number) => Promise<void>
  /** Between 0 and 1, from a seed. */
  readonly random: () => number
  /** Ms since the epoch. */
  readonly now: () => number
  /** How long lists lag behind, ms. */
  readonly listLagMs: number
}

interface Version {
  /** Undefined: removed. */
  readonly bytes: Buffer | undefined
  readonly at: number
  readonly tag: string
}

export class ObjectServer {
  readonly #options: ObjectServerOptions
  /** Every version of each key, the newest last. */
  readonly #versions = new Map<string, Version[]>()
  readonly #server: Server
  #lastTag = 0
  /** Requests by method, so that a test sees that bytes came from here. */
  readonly requests: Record<string, number> = {}

  private constructor(options: ObjectServerOptions) {
    this.#options = options
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        response.writeHead(500).end(String(error))
      })
    })
  }

  static async start(options: ObjectServerOptions): Promise<ObjectServer> {
    const server = new ObjectServer(options)
    await new Promise<void>((resolve) => {
      server.#server.listen(0, '127.0.0.1', resolve)
    })
    return server
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  close(): Promise<void> {
    this.#server.closeAllConnections()
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
    })
  }

  /** Without a request: for tests that look, and that damage what is stored. */
  get(key: string): Buffer | undefined {
    return this.#versions.get(key)?.at(-1)?.bytes
  }

  put(key: string, bytes: Buffer | undefined): void {
    this.#lastTag += 1
    const versions = this.#versions.get(key) ?? []
    versions.push({ bytes, at: this.#options.now(), tag: String(this.#lastTag) })
    this.#versions.set(key, versions.slice(-2))
  }

  keys(prefix: string): string[] {
    return [...this.#versions.keys()]
      .filter((key) => key.startsWith(prefix) && this.get(key) !== undefined)
      .sort(inByteOrder)
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', headers } = request
    this.requests[method] = (this.requests[method] ?? 0) + 1
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    await this.#options.delay(this.#options.random())
    const url = new URL(request.url!, 'http://store')
    const key = decodeURIComponent(url.pathname.slice(1))
    if (key === '') return this.#list(url.searchParams, response)
    const version = this.#versions.get(key)?.at(-1)
    switch (method) {
      case 'PUT': {
        const from = headers['x-copy-from']
        const bytes = typeof from === 'string' ? this.get(from) : Buffer.concat(parts)
        if (bytes === undefined) return void response.writeHead(404).end()
        this.put(key, bytes)
        return void response.writeHead(200).end()
      }
      case 'DELETE':
        if (version?.bytes !== undefined) this.put(key, undefined)
        return void response.writeHead(204).end()
    }
    if (version?.bytes === undefined) return void response.writeHead(404).end()
    const { bytes, tag, at } = version
    const sizes = { 'X-Size': bytes.byteLength, ETag: tag, 'X-Stored-At': at }
    const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '')
    const body = range === null ? bytes : bytes.subarray(Number(range[1]), Number(range[2]) + 1)
    response.writeHead(200, { ...sizes, 'Content-Length': body.byteLength })
    response.end(method === 'HEAD' ? undefined : body)
  }

  /** As it was some time ago: what is new is missing in it, what is gone may be in it. */
  #list(query: URLSearchParams, response: ServerResponse): void {
    const before = this.#options.now() - this.#options.listLagMs
    const after = query.get('after') ?? ''
    const known = [...this.#versions].flatMap(([key, versions]) => {
      const seen = versions.filter(({ at }) => at <= before).at(-1)
      if (seen?.bytes === undefined) return []
      return [{ key, sizeBytes: seen.bytes.byteLength, at: seen.at }]
    })
    const found = known
      .filter(({ key }) => key.startsWith(query.get('prefix')!) && key > after)
      .sort((one, other) => (one.key < other.key ? -1 : 1))
    response.writeHead(200).end(JSON.stringify(found.slice(0, Number(query.get('limit')))))
  }
}
