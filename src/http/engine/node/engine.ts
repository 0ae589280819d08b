/**
 * @module The HTTP engine on node:http and node:https: serves where no uWebSockets.js binary loads
 * (arm64, macOS, old glibc), and beside it what the native side cannot serve. Slower, with the same
 * meaning; one test suite covers both.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import { Server as NetServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { unsentBytesMax, unsentTlsBytesMax } from '../../../registry/limits.ts'
import { listenOn, shortAddress } from '../address.ts'
import { ClientConnections, type Counted, sharerOf } from '../client-connections.ts'
import { EngineCore } from '../exchange.ts'
import { statusLine } from '../framing.ts'
import type { EngineOptions, HttpEngine, ListenAddress, TlsFiles } from '../port.ts'
import { headerless, readProxyHeader } from '../proxy-header.ts'
import { type LoadedTls, readTls, strongCiphers } from '../tls-files.ts'
import { SocketBounds } from '../uws/socket-bounds.ts'
import { NodeExchange } from './exchange.ts'
import { NodeHeads } from './heads.ts'
import { RequestLine } from './request-line.ts'

const serverOptions = {
  maxHeaderSize: 64 * 1024,
  // Uploads take as long as they take.
  requestTimeout: 0,
  insecureHTTPParser: false,
  // Refused by us, in JSON.
  requireHostHeader: false,
  highWaterMark: 256 * 1024,
}

/** What a balancer in front has said of a connection that it passes on. */
export interface Introduction {
  /** Its PROXY protocol header was read. */
  readonly isProxied: boolean
  readonly client: string | undefined
}

/** Takes a connection that was accepted elsewhere; `fault`: refuses it, for this reason. */
export type Intake = (socket: Socket, introduction: Introduction, fault?: string) => void

export class NodeEngine implements HttpEngine {
  readonly kind = 'node'
  private readonly core: EngineCore
  private readonly servers: Server[] = []
  private readonly listeners: NetServer[] = []
  private readonly secure: { readonly server: TlsServer; readonly tls: TlsFiles }[] = []
  private readonly lines = new WeakMap<Duplex, RequestLine>()
  /** Clients that balancers have named, by the connection; over TLS by the one beneath it. */
  private readonly clients = new WeakMap<Duplex, string>()
  private readonly clientsBeneath = new Map<string, string>()
  /** Undefined where another engine accepts, and counts, the connections. */
  private readonly counts: ClientConnections<Duplex> | undefined
  private readonly heads: NodeHeads
  private readonly bounds = new SocketBounds()

  constructor(options: EngineOptions, core?: EngineCore) {
    this.core = core ?? new EngineCore(options)
    this.counts = core === undefined ? new ClientConnections(options.maxConnections) : undefined
    this.heads = new NodeHeads(
      this.core.keeper,
      (socket) => this.lines.get(socket),
      (socket) => this.refuseBytes('ERR_HTTP_REQUEST_TIMEOUT', socket),
    )
  }

  get isStopping(): boolean {
    return this.core.isDraining
  }

  get openConnections(): number {
    return this.core.openConnections
  }

  get openRequests(): number {
    return this.core.openRequests
  }

  get finishedRequests(): number {
    return this.core.finishedRequests
  }

  async listen(address: ListenAddress): Promise<number> {
    const server = await this.open(address.tls)
    if (this.core.options.isBalancer === undefined) {
      const port = await listenOn(server, address)
      this.bounds.boundUnsent(address.tls === undefined ? unsentBytesMax : unsentTlsBytesMax)
      this.listeners.push(server)
      return port
    }
    const intake = this.intakeOf(server, address.tls !== undefined)
    const listener = new NetServer({ allowHalfOpen: true }, (socket) => {
      this.greet(socket, intake, address.tls !== undefined)
    })
    const port = await listenOn(listener, address)
    this.bounds.boundUnsent(address.tls === undefined ? unsentBytesMax : unsentTlsBytesMax)
    this.listeners.push(listener)
    return port
  }

  /** A listener's side of connections that somebody else accepts. */
  async prepare(tls: TlsFiles | undefined): Promise<Intake> {
    return this.intakeOf(await this.open(tls), tls !== undefined)
  }

  async reloadTls(): Promise<void> {
    const loaded = await Promise.all(this.secure.map(({ tls }) => readTls(tls)))
    for (const [index, tls] of loaded.entries()) useCertificates(this.secure[index]!.server, tls)
  }

  private async open(tls: TlsFiles | undefined): Promise<Server> {
    const { idleTimeoutMs } = this.core.options
    const options = {
      ...serverOptions,
      keepAliveTimeout: idleTimeoutMs,
      headersTimeout: idleTimeoutMs + 5_000,
    }
    const server = tls === undefined ? createServer(options) : await this.secureServer(tls, options)
    server.on('connection', (socket: Socket) => {
      this.connected(socket)
      if (tls === undefined) this.heads.watch(socket)
    })
    server.on('request', (req, res) => this.accept(req, res, tls !== undefined))
    // Node would answer 417 by itself, without a body; nothing is expected that we could not do.
    server.on('checkExpectation', (req, res) => this.accept(req, res, tls !== undefined))
    server.on('connect', (_req, socket: Duplex) => {
      this.refuse(socket, 405, 'CONNECT is for proxies: this is a registry')
    })
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      this.refuseBytes(error.code, socket)
    })
    this.servers.push(server)
    return server
  }

  private async secureServer(tls: TlsFiles, options: object): Promise<TlsServer> {
    const loaded = await readTls(tls)
    const protocols = { ALPNProtocols: ['http/1.1', 'http/1.0'] }
    const server = createTlsServer({
      ...options,
      ...protocols,
      ...secureOptions(loaded),
      handshakeTimeout: handshakeMsMax,
    })
    useCertificates(server, loaded)
    server.on('secureConnection', (socket) => {
      const client = this.clientsBeneath.get(ends(socket))
      if (client !== undefined) this.clients.set(socket, client)
      this.heads.watch(socket)
    })
    this.secure.push({ server, tls })
    return server
  }

  private intakeOf(server: Server, isTls: boolean): Intake {
    return (socket, { client }, fault) => {
      if (client !== undefined && isTls) {
        const key = ends(socket)
        this.clientsBeneath.set(key, client)
        socket.once('close', () => this.clientsBeneath.delete(key))
      } else if (client !== undefined) {
        this.clients.set(socket, client)
      }
      if (fault === undefined) {
        server.emit('connection', socket)
      } else if (isTls) {
        socket.destroy()
      } else {
        this.connected(socket)
        this.refuse(socket, 400, fault)
      }
    }
  }

  /** Reads what a balancer says before it passes bytes on. */
  private greet(socket: Socket, intake: Intake, isTls: boolean): void {
    if (this.core.options.isBalancer?.(shortAddress(socket.remoteAddress)) !== true) {
      intake(socket, { isProxied: false, client: undefined })
      return
    }
    let bytes: Buffer = Buffer.alloc(0)
    const timer = setTimeout(() => socket.destroy(), headerMsMax)
    const onError = () => socket.destroy()
    const onData = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      const header = readProxyHeader(bytes)
      if (header === 'more') return
      clearTimeout(timer)
      socket.off('data', onData)
      socket.off('error', onError)
      socket.pause()
      if (header === 'none') {
        intake(socket, { isProxied: false, client: undefined }, headerless)
        return
      }
      if (bytes.length > header.bytes) socket.unshift(bytes.subarray(header.bytes))
      intake(socket, { isProxied: true, client: header.client })
      if (!isTls) socket.resume()
    }
    socket.on('data', onData)
    socket.on('error', onError)
    socket.once('close', () => clearTimeout(timer))
  }

  /** Idle connections may begin one more request, which is told to be the last. */
  stopListening(): void {
    this.core.isDraining = true
    // That of node:http would cut them.
    for (const listener of this.listeners) NetServer.prototype.close.call(listener)
  }

  close(): void {
    this.stopListening()
    for (const server of this.servers) server.closeAllConnections()
  }

  private connected(socket: Socket): void {
    const counted = this.count(socket)
    this.core.openConnections += 1
    // One listener a request that is not answered yet; a client may pipeline many.
    socket.setMaxListeners(0)
    socket.once('close', () => {
      this.core.openConnections -= 1
      if (counted !== undefined && !('full' in counted)) this.counts?.give(counted)
    })
    const isFull = counted !== undefined && 'full' in counted
    if (isFull || this.core.openConnections > this.core.options.maxConnections) socket.destroy()
  }

  /** Undefined where it is nobody's share. */
  private count(socket: Socket): Counted<Duplex> | { readonly full: object } | undefined {
    if (this.counts === undefined) return undefined
    const named = this.clients.get(socket) ?? this.clientsBeneath.get(ends(socket))
    const client = sharerOf(this.core.options, shortAddress(socket.remoteAddress), named)
    return client === undefined ? undefined : this.counts.take(client, socket)
  }

  private accept(req: IncomingMessage, res: ServerResponse, isTls: boolean): void {
    const { socket } = req
    let line = this.lines.get(socket)
    if (line === undefined) {
      line = new RequestLine((request, response) => {
        const client = this.clients.get(socket)
        const exchange = new NodeExchange(this.core, isTls, request, response, client)
        const fault = exchange.copyRequest()
        if (!VERSIONS.has(request.httpVersion)) return { exchange, fault: versions, status: 505 }
        return { exchange, fault, status: 400 }
      })
      this.lines.set(socket, line)
    }
    line.add(req, res)
  }

  /** Bytes that node's parser refused: answered when nobody else is writing to the socket. */
  private refuseBytes(code: string | undefined, socket: Duplex): void {
    const line = this.lines.get(socket)
    if (code === 'ECONNRESET' || !socket.writable || line?.isReading === true) socket.destroy()
    else if (line?.isBusy === true) line.closeAfterAll()
    else if (code === 'HPE_HEADER_OVERFLOW') {
      this.refuse(socket, 431, 'the request headers are too large; 64 KiB are taken')
    } else if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
      this.refuse(socket, 408, 'the request has not come whole in time')
    } else if (code === 'HPE_INVALID_VERSION') {
      this.refuse(socket, 505, versions)
    } else {
      this.refuse(socket, 400, 'the request could not be parsed')
    }
  }

  private refuse(socket: Duplex, status: number, message: string): void {
    this.lines.get(socket)?.stop()
    const { head, body } = this.core.options.refusal(status, message)
    const lines = head.headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    const length = `Connection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`
    socket.on('error', () => {})
    // What still comes is not read: at the end of ours the connection is over.
    socket.end(`HTTP/1.1 ${statusLine(status)}\r\n${lines}${length}${body}`, () => {
      socket.destroy()
    })
  }
}

const VERSIONS: ReadonlySet<string> = new Set(['1.1', '1.0'])
const versions = 'HTTP/1.1 and HTTP/1.0 are served'

/** A balancer sends its header at once, ms. */
const headerMsMax = 10_000

/** What a client may take for a TLS handshake, ms. */
const handshakeMsMax = 10_000

/** Both ends of a connection, which nobody else has while it is open. */
function ends({ remoteAddress, remotePort, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localPort}`
}

function secureOptions({ cert, key }: { readonly cert: Buffer; readonly key: Buffer }) {
  return { cert, key, minVersion: 'TLSv1.2', ciphers: strongCiphersOfAll } as const
}

/** Node has one list for all versions of TLS. */
const strongCiphersOfAll = `TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:${strongCiphers}`

/** Later contexts of a name win over earlier ones, so a reload simply adds its own. */
function useCertificates(server: TlsServer, tls: LoadedTls): void {
  server.setSecureContext(secureOptions(tls))
  for (const pair of tls.sni) {
    for (const name of pair.names) server.addContext(name, secureOptions(pair))
  }
}
