/**
 * @module GETs of blobs on sockets of our own: bytes are read into one buffer that stays in the
 * processor's cache and go to the reader from there. undici copies each 64 KiB into its parser and
 * allocates it anew: 0.9 s of CPU a GB on the main thread against 0.35 (measured).
 *
 * Knows GET, answers with a length, in chunks or up to the end of the connection, and connections
 * that are used again. Everything else is undici's.
 */
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { PendingAnswer } from './answer.ts'
import { BulkConnection } from './bulk-connection.ts'
import { UpstreamError } from './error.ts'

export interface BulkClientOptions {
  readonly connectMs: number
  readonly lookup: LookupFunction
  /** Certificates that are trusted; undefined: Node's own. */
  readonly ca?: readonly string[]
}

export interface BulkCall {
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
}

/** Read at once, bytes: libuv reads no more, and twice as much falls out of the second-level cache. */
const readBytes = 64 * 1024

/** Unused connections: how many an origin, and for how long. Servers close theirs after 5 s and more. */
const idleMax = 8
const idleMs = 4_000

export class BulkClient {
  readonly #options: BulkClientOptions
  /** Shared by all connections: what is read is used up before the next read. */
  readonly #buffer = Buffer.allocUnsafeSlow(readBytes)
  readonly #idle = new Map<string, BulkConnection[]>()
  readonly #all = new Set<BulkConnection>()
  #isClosed = false

  constructor(options: BulkClientOptions) {
    this.#options = options
  }

  send(call: BulkCall, pending: PendingAnswer): void {
    const used = this.#idle.get(call.url.origin)?.pop()
    const connection = used ?? this.#connect(call.url)
    const onLost = (error: Error) => {
      // Closed by the other side just when it was used again: that is no answer, so ask once more.
      const isUnheard = !pending.isOver && !pending.hasHead && !(error instanceof UpstreamError)
      if (used !== undefined && isUnheard && !this.#isClosed) {
        this.#carry(this.#connect(call.url), call, pending, (again) => pending.fail(again))
      } else pending.fail(error)
    }
    this.#carry(connection, call, pending, onLost)
  }

  #carry(
    connection: BulkConnection,
    call: BulkCall,
    pending: PendingAnswer,
    onLost: (error: Error) => void,
  ): void {
    try {
      connection.ask(requestText(call), pending, onLost)
    } catch (error) {
      pending.fail(error)
    }
  }

  #connect(url: URL): BulkConnection {
    const { connectMs, lookup, ca } = this.#options
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const isTls = url.protocol === 'https:'
    let connection: BulkConnection
    const onread = {
      buffer: this.#buffer,
      callback: (count: number): boolean => {
        connection.take(this.#buffer.subarray(0, count))
        return true
      },
    }
    const target = { host, lookup, onread, noDelay: true, keepAlive: true }
    const socket: Socket = isTls
      ? connectTls({
          ...target,
          port: Number(url.port || 443),
          servername: isIP(host) === 0 ? host : '',
          ALPNProtocols: ['http/1.1'],
          ...(ca === undefined ? {} : { ca: [...ca] }),
        })
      : connectTcp({ ...target, port: Number(url.port || 80) })
    connection = new BulkConnection(socket, {
      onIdle: () => this.#keep(url.origin, connection),
      onClosed: () => this.#forget(url.origin, connection),
    })
    this.#all.add(connection)
    const timer = setTimeout(() => {
      const { host: named } = url
      connection.destroy(
        new UpstreamError('timeout', `${named}: no connection in time`, { host: named }),
      )
    }, connectMs)
    socket.once(isTls ? 'secureConnect' : 'connect', () => clearTimeout(timer))
    socket.once('close', () => clearTimeout(timer))
    return connection
  }

  #keep(origin: string, connection: BulkConnection): void {
    const idle = this.#idle.get(origin) ?? []
    if (this.#isClosed || idle.length >= idleMax) return connection.destroy()
    idle.push(connection)
    this.#idle.set(origin, idle)
    connection.rest(idleMs)
  }

  #forget(origin: string, connection: BulkConnection): void {
    this.#all.delete(connection)
    const idle = this.#idle.get(origin)?.filter((it) => it !== connection)
    if (idle === undefined || idle.length === 0) this.#idle.delete(origin)
    else this.#idle.set(origin, idle)
  }

  close(): void {
    this.#isClosed = true
    for (const connection of this.#all) connection.destroy()
  }
}

/** Throws where a value would end its line. */
function requestText({ url, headers }: BulkCall): string {
  const fields = Object.entries({ Host: url.host, ...headers, Connection: 'keep-alive' })
  const lines = fields.map(([name, value]) => {
    if (/[\r\n\0]/.test(value)) throw new UpstreamError('garbage', `${name} cannot be sent`)
    return `${name}: ${value}\r\n`
  })
  return `GET ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join('')}\r\n`
}
