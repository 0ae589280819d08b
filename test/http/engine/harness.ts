/**
 * @module What the engine suite stands on: an engine on a free port with a handler of the test's
 * own, a record of what it reported, and sources with chosen faults.
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, expect } from 'vitest'
import {
  type ByteSource,
  ClientGone,
  type EngineOptions,
  type Handler,
  type HttpEngine,
  type HttpRequest,
  type HttpResponse,
  type ListenAddress,
  ResponseHead,
} from '../../../src/http/engine/port.ts'
import { RawClient, type RawOptions } from '../../support/raw-http.ts'

export type MakeEngine = (options: EngineOptions) => HttpEngine

export const MiB = 1024 * 1024
export const ok = new ResponseHead(200, [['Content-Type', 'text/plain']])

const file = (name: string) => fileURLToPath(new URL(`../../support/tls/${name}`, import.meta.url))
/** A certificate that no client should trust. */
export const testTls = { cert: file('cert.pem'), key: file('key.pem') }

const failed = new ResponseHead(500, [['X-Failed', 'yes']])
const refusedHead = new ResponseHead(400, [['Content-Type', 'application/json']])

export interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

export function deferred<T = void>(): Deferred<T> {
  let resolve: (value: T) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<T>((settle, refuse) => {
    resolve = settle
    reject = refuse
  })
  promise.catch(() => {})
  return { promise, resolve, reject }
}

export interface Exchange {
  readonly path: string
  readonly state: HttpResponse['state']
  readonly status: number
  readonly bytesSent: number
}

export class Served {
  readonly engine: HttpEngine
  readonly exchanges: Exchange[] = []
  readonly errors: unknown[] = []
  port = 0
  /** What `connect` speaks when it is not told. */
  isTls = false
  /** What `connect` offers over TLS. */
  alpn: readonly string[] | undefined = undefined
  private readonly clients: RawClient[] = []

  constructor(make: MakeEngine, handler: Handler, idleTimeoutMs = 120_000) {
    this.engine = make({
      handler,
      onError: (_request, response, error) => {
        this.errors.push(error)
        response.send(failed, 'failed')
      },
      refusal: (status, message) => ({
        head: status === 400 ? refusedHead : new ResponseHead(status, refusedHead.headers),
        body: JSON.stringify({ errors: [{ code: 'REFUSED', message }] }),
      }),
      maxConnections: 400,
      idleTimeoutMs,
      onExchange: (request: HttpRequest, response: HttpResponse) => {
        const { state, status, bytesSent } = response
        this.exchanges.push({ path: request.path, state, status, bytesSent })
      },
    })
    opened.push(this)
  }

  async connect(options: RawOptions = {}): Promise<RawClient> {
    const client = await RawClient.connect(this.port, {
      isTls: this.isTls,
      ...(this.alpn === undefined ? {} : { alpn: this.alpn }),
      ...options,
    })
    this.clients.push(client)
    return client
  }

  /** A few whole requests on another connection: time enough for anything already on its way. */
  async settle(): Promise<void> {
    const client = await this.connect()
    for (let round = 0; round < 20; round += 1) {
      await client.request('GET', '/settle')
      await client.readResponse()
    }
    client.close()
  }

  close(): void {
    for (const client of this.clients) client.close()
    this.engine.close()
  }
}

const opened: Served[] = []
afterEach(() => {
  for (const served of opened.splice(0)) served.close()
})

/** Starts an engine; `/settle` is answered by the harness. Closed after the test. */
export async function serve(
  make: MakeEngine,
  handler: Handler,
  address: Partial<ListenAddress> = {},
): Promise<Served> {
  const served = new Served(make, (request, response) => {
    if (request.path !== '/settle') return handler(request, response)
    response.send(ok, 'settled')
    return undefined
  })
  served.isTls = address.tls !== undefined
  served.port = await served.engine.listen({ host: '', port: 0, ...address })
  return served
}

/** Waits for a condition that other events bring about; the test's time limit bounds it. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

/** Bytes whose order shows: a repeated block would be noticed. */
export function pattern(sizeBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(sizeBytes)
  for (let index = 0; index < sizeBytes; index += 1)
    bytes[index] = (index * 31 + (index >> 11)) & 255
  return bytes
}

/** A source over memory that counts its closes; overrides bring the faults. */
export class MemorySource implements ByteSource {
  readonly sizeBytes: number
  closes = 0
  /** Furthest offset asked for so far. */
  offset = 0
  protected readonly bytes: Uint8Array

  constructor(bytes: Uint8Array, sizeBytes = bytes.length) {
    this.bytes = bytes
    this.sizeBytes = sizeBytes
  }

  ready(offset: number, length: number): number | Promise<void> {
    this.offset = offset
    return length
  }

  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    return callback(this.bytes.subarray(offset, offset + length))
  }

  close(): void {
    this.closes += 1
  }
}

/** The error of a connection attempt; fails when there is none. */
export async function connectError(port: number): Promise<string> {
  try {
    const client = await RawClient.connect(port)
    client.close()
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? ''
  }
  return expect.fail('the connection was accepted')
}

export function expectClientGone(error: unknown): void {
  expect(error).toBeInstanceOf(ClientGone)
}

export async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}

/** Bytes in the send queue of the connection that was accepted on the port. */
export async function queuedBytes(port: number): Promise<number> {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const established = '01'
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'utf8')),
  )
  for (const line of tables.join('').split('\n')) {
    const [, here = '', , state, queues = ''] = line.trim().split(/\s+/)
    if (here.endsWith(local) && state === established) return Number.parseInt(queues, 16)
  }
  return 0
}
