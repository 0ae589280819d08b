/**
 * @module A registry that misbehaves on command: serves what it was given, until a fault says
 * otherwise. Counts what it was asked. Imports nothing of vitest.
 */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import { digestOf } from '../../src/registry/hasher.ts'

export interface Asked {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
}

export interface Content {
  readonly bytes: Buffer
  readonly type: string
}

/** Answers a request instead of the registry; false lets the registry answer. */
export type Fault = (
  request: IncomingMessage,
  response: ServerResponse,
  content: Content | undefined,
) => boolean

export interface FaultyOptions {
  readonly tls?: { readonly cert: string; readonly key: string }
  readonly port?: number
}

export class FaultyUpstream {
  readonly asked: Asked[] = []
  fault: Fault | undefined
  /** Answers wait for it. */
  hold: Promise<void> | undefined
  /** 0: as fast as it goes. */
  bytesPerSecond = 0
  /** Called when the first byte of a blob is sent. */
  onFirstByte: ((url: string) => void) | undefined
  readonly #content = new Map<string, Content>()
  readonly #tags = new Map<string, string>()
  readonly #sockets = new Set<Socket>()
  readonly #options: FaultyOptions
  #server: Server | undefined
  port = 0

  constructor(options: FaultyOptions = {}) {
    this.#options = options
  }

  get url(): string {
    return `${this.#options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${this.port}`
  }

  async start(): Promise<void> {
    const { tls } = this.#options
    const listener: RequestListener = (request, response) => void this.#serve(request, response)
    const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      socket.on('error', () => undefined)
    })
    const port = this.port === 0 ? (this.#options.port ?? 0) : this.port
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    this.port = (server.address() as { port: number }).port
    this.#server = server
  }

  /** Stops listening and cuts what is open; `start` takes the same port again. */
  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  addBlob(repository: string, bytes: Buffer): string {
    const digest = digestOf('sha256', bytes)
    this.#content.set(`/v2/${repository}/blobs/${digest}`, {
      bytes,
      type: 'application/octet-stream',
    })
    return digest
  }

  addManifest(repository: string, tag: string | undefined, manifest: object | string): string {
    const bytes = Buffer.from(typeof manifest === 'string' ? manifest : JSON.stringify(manifest))
    const type =
      (JSON.parse(bytes.toString()) as { mediaType?: string }).mediaType ?? 'application/json'
    const digest = digestOf('sha256', bytes)
    this.#content.set(`/v2/${repository}/manifests/${digest}`, { bytes, type })
    if (tag !== undefined) this.#tags.set(`/v2/${repository}/manifests/${tag}`, digest)
    return digest
  }

  /** Gives it the referrers API, with these answers. */
  addReferrers(repository: string, subject: string, manifests: readonly object[]): void {
    const type = 'application/vnd.oci.image.index.v1+json'
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: type, manifests }))
    this.#content.set(`/v2/${repository}/referrers/${subject}`, { bytes, type })
  }

  /** What it has at a path, tags followed. */
  contentOf(path: string): Content | undefined {
    const digest = this.#tags.get(path)
    return this.#content.get(digest === undefined ? path : path.replace(/[^/]*$/, digest))
  }

  removeTag(repository: string, tag: string): void {
    this.#tags.delete(`/v2/${repository}/manifests/${tag}`)
  }

  /** How often it was asked: method and a part of the URL. */
  count(method: string, part: string): number {
    return this.asked.filter((it) => it.method === method && it.url.includes(part)).length
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = request.url ?? ''
    this.asked.push({ method: request.method ?? '', url, headers: request.headers })
    response.on('error', () => undefined)
    if (this.hold !== undefined) await this.hold
    const [path = ''] = url.split('?')
    const content = this.contentOf(path)
    if (this.fault?.(request, response, content) === true) return
    this.#answer(request, response, path, content)
  }

  #answer(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    content: Content | undefined,
  ): void {
    if (path === '/v2/') return void response.writeHead(200, { 'Content-Length': 2 }).end('{}')
    const list = /^\/v2\/(.+)\/tags\/list$/.exec(path)
    if (list !== null) return this.#listTags(response, list[1]!)
    if (content === undefined) return sendJson(response, 404, 'MANIFEST_UNKNOWN', 'not here')
    const digest = digestOf('sha256', content.bytes)
    const headers = { 'Docker-Content-Digest': digest, 'Content-Type': content.type }
    if (request.headers['if-none-match'] === `"${digest}"`) {
      response.writeHead(304, headers).end()
      return
    }
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
    const size = content.bytes.byteLength
    const from = range === null ? 0 : Number(range[1])
    const to = range === null || range[2] === '' ? size : Number(range[2]) + 1
    const body = content.bytes.subarray(from, to)
    response.writeHead(range === null ? 200 : 206, {
      ...headers,
      'Content-Length': body.byteLength,
      ...(range === null ? {} : { 'Content-Range': `bytes ${from}-${to - 1}/${size}` }),
    })
    if (request.method === 'HEAD') response.end()
    else void this.#send(request.url ?? '', response, body)
  }

  async #send(url: string, response: ServerResponse, body: Buffer): Promise<void> {
    this.onFirstByte?.(url)
    const { bytesPerSecond } = this
    if (bytesPerSecond === 0) return void response.end(body)
    const started = performance.now()
    for (let sent = 0; sent < body.byteLength && !response.destroyed; ) {
      const due = ((performance.now() - started) / 1000 + 0.01) * bytesPerSecond
      const piece = body.subarray(sent, Math.max(sent, Math.min(body.byteLength, Math.floor(due))))
      sent += piece.byteLength
      if (piece.byteLength > 0 && !response.write(piece)) {
        await new Promise<void>((resolve) => {
          const go = () => {
            response.off('drain', go)
            response.off('close', go)
            resolve()
          }
          response.on('drain', go)
          response.on('close', go)
        })
      } else await new Promise((resolve) => setTimeout(resolve, 5))
    }
    response.end()
  }

  #listTags(response: ServerResponse, repository: string): void {
    const prefix = `/v2/${repository}/manifests/`
    const tags = [...this.#tags.keys()]
      .filter((path) => path.startsWith(prefix))
      .map((path) => path.slice(prefix.length))
    if (tags.length === 0) return sendJson(response, 404, 'NAME_UNKNOWN', 'no such repository')
    const text = JSON.stringify({ name: repository, tags })
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(text)
  }
}

export function sendJson(
  response: ServerResponse,
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = JSON.stringify({ errors: [{ code, message }] })
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(text)
}

/** Faults that a test can name. Those of bodies leave small things (manifests) alone. */
export const FAULTS = {
  reset: (request) => {
    request.socket.destroy()
    return true
  },
  /** Takes the request and says nothing. */
  silence: () => true,
  unauthorized: (_request, response) => {
    sendJson(response, 401, 'UNAUTHORIZED', 'who are you', {
      'WWW-Authenticate': 'Basic realm="x"',
    })
    return true
  },
  forbidden: (_request, response) => {
    sendJson(response, 403, 'DENIED', 'not you')
    return true
  },
  limited: (_request, response) => {
    sendJson(response, 429, 'TOOMANYREQUESTS', 'slow down', { 'Retry-After': '2' })
    return true
  },
  broken: (_request, response) => {
    sendJson(response, 500, 'UNKNOWN', 'it broke')
    return true
  },
  unavailable: (_request, response) => {
    response.writeHead(503, { 'Content-Type': 'text/html' }).end('<h1>Down for repair</h1>')
    return true
  },
  html: (_request, response) => {
    const text = '<html><body>Please log in</body></html>'
    response
      .writeHead(200, { 'Content-Type': 'text/html', 'Content-Length': text.length })
      .end(text)
    return true
  },
  redirectLoop: (request, response) => {
    response.writeHead(307, { Location: request.url ?? '/' }).end()
    return true
  },
  toMetadata: (_request, response) => {
    response.writeHead(307, { Location: 'http://169.254.169.254/latest/meta-data/' }).end()
    return true
  },
  gzip: (_request, response, content) => {
    if (content === undefined) return false
    response.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Type': content.type })
    response.end(Buffer.from('1f8b08000000000000030300000000000000000000', 'hex'))
    return true
  },
  wrongBytes: (request, response, content) => {
    if (content === undefined || request.method === 'HEAD') return false
    const bytes = Buffer.from(content.bytes)
    bytes[bytes.byteLength >> 1]! ^= 1
    response.writeHead(200, {
      'Content-Length': bytes.byteLength,
      'Content-Type': content.type,
      'Docker-Content-Digest': digestOf('sha256', content.bytes),
    })
    response.end(bytes)
    return true
  },
  /** Promises everything and closes in the middle, each time. */
  short: (request, response, content) => {
    if (content === undefined || request.method === 'HEAD') return false
    response.writeHead(200, {
      'Content-Length': content.bytes.byteLength,
      'Content-Type': content.type,
    })
    response.write(content.bytes.subarray(0, content.bytes.byteLength >> 1), () =>
      request.socket.destroy(),
    )
    return true
  },
  /** A length that is honest about too few bytes. */
  wrongLength: (request, response, content) => {
    if (content === undefined || request.method === 'HEAD') return false
    const bytes = content.bytes.subarray(0, content.bytes.byteLength - 10)
    response
      .writeHead(200, { 'Content-Length': bytes.byteLength, 'Content-Type': content.type })
      .end(bytes)
    return true
  },
  /** No length, and no end. */
  endless: (request, response, content) => {
    if (content === undefined || request.method === 'HEAD') return false
    response.writeHead(200, { 'Content-Type': content.type })
    const piece = Buffer.alloc(64 * 1024)
    const more = (): void => {
      if (!response.destroyed) response.write(piece, () => setTimeout(more, 1))
    }
    more()
    return true
  },
  /** Half of it, and nothing more. */
  stall: (request, response, content) => {
    if (content === undefined || request.method === 'HEAD') return false
    response.writeHead(200, {
      'Content-Length': content.bytes.byteLength,
      'Content-Type': content.type,
    })
    response.write(content.bytes.subarray(0, content.bytes.byteLength >> 1))
    return true
  },
  drip: (request, response, content) => {
    if (content === undefined || request.method === 'HEAD') return false
    response.writeHead(200, {
      'Content-Length': content.bytes.byteLength,
      'Content-Type': content.type,
    })
    let sent = 0
    const timer = setInterval(() => {
      if (response.destroyed) clearInterval(timer)
      else response.write(content.bytes.subarray(sent, ++sent))
    }, 50)
    return true
  },
} satisfies Readonly<Record<string, Fault>>
