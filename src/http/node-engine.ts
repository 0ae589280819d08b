/**
 * @module The HTTP engine on node:http and node:https: serves where no uWebSockets.js binary loads
 * (arm64, macOS, old glibc). Slower, with the same meaning; one test suite covers both.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { EngineOptions, HttpEngine, ListenAddress, TlsFiles } from './engine.ts'
import { listenError } from './engine-address.ts'
import { EngineCore } from './engine-exchange.ts'
import { statusLine } from './engine-framing.ts'
import { NodeExchange } from './node-exchange.ts'
import { type LoadedTls, readTls, strongCiphers } from './tls-files.ts'

/** How long an idle connection is kept, ms: longer than the 120 s of common load balancers. */
const keepAliveMs = 125_000

const serverOptions = {
  maxHeaderSize: 64 * 1024,
  // Uploads take as long as they take.
  requestTimeout: 0,
  keepAliveTimeout: keepAliveMs,
  headersTimeout: keepAliveMs + 5_000,
  insecureHTTPParser: false,
  highWaterMark: 256 * 1024,
}

export class NodeEngine implements HttpEngine {
  readonly kind = 'node'
  private readonly core: EngineCore
  private readonly servers: Server[] = []
  private readonly secure: { readonly server: TlsServer; readonly tls: TlsFiles }[] = []
  /** The exchange that a connection is busy with, for errors that the parser finds later. */
  private readonly current = new WeakMap<Duplex, NodeExchange>()
  /** Connections that get no further request: their framing is in doubt. */
  private readonly refused = new WeakSet<Duplex>()

  constructor(options: EngineOptions) {
    this.core = new EngineCore(options)
  }

  get openConnections(): number {
    return this.core.openConnections
  }

  get openRequests(): number {
    return this.core.openRequests
  }

  async listen(address: ListenAddress): Promise<number> {
    const { tls } = address
    const server = tls === undefined ? createServer(serverOptions) : await this.secureServer(tls)
    server.on('connection', (socket: Duplex) => this.connected(socket))
    server.on('request', (req, res) => this.accept(req, res, tls !== undefined))
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      this.refuseBytes(error.code, socket)
    })
    const port = await listenOn(server, address)
    this.servers.push(server)
    return port
  }

  async reloadTls(): Promise<void> {
    const loaded = await Promise.all(this.secure.map(({ tls }) => readTls(tls)))
    for (const [index, tls] of loaded.entries()) useCertificates(this.secure[index]!.server, tls)
  }

  private async secureServer(tls: TlsFiles): Promise<TlsServer> {
    const loaded = await readTls(tls)
    const server = createTlsServer({ ...serverOptions, ...secureOptions(loaded) })
    useCertificates(server, loaded)
    this.secure.push({ server, tls })
    return server
  }

  stopListening(): void {
    this.core.isDraining = true
    for (const server of this.servers) server.close()
  }

  close(): void {
    this.stopListening()
    for (const server of this.servers) server.closeAllConnections()
  }

  private connected(socket: Duplex): void {
    this.core.openConnections += 1
    // One listener a request that is not answered yet; a client may pipeline many.
    socket.setMaxListeners(0)
    socket.once('close', () => {
      this.core.openConnections -= 1
    })
    if (this.core.openConnections > this.core.options.maxConnections) socket.destroy()
  }

  private accept(req: IncomingMessage, res: ServerResponse, isTls: boolean): void {
    const { socket } = req
    // Requests of the same packet arrive here although the connection is about to close.
    if (this.refused.has(socket)) return
    const exchange = new NodeExchange(this.core, isTls, req, res)
    this.current.set(socket, exchange)
    const fault = exchange.copyRequest()
    if (req.httpVersion === '1.1' && fault === undefined) {
      exchange.serve()
      return
    }
    this.refused.add(socket)
    if (req.httpVersion === '1.1') exchange.refuse(400, fault ?? '')
    else exchange.refuse(505, 'only HTTP/1.1 is served')
  }

  /** Bytes that node's parser refused: answered when nobody else is writing to the socket. */
  private refuseBytes(code: string | undefined, socket: Duplex): void {
    const exchange = this.current.get(socket)
    const isBusy = exchange?.state === 'open' || exchange?.state === 'headersSent'
    this.refused.add(socket)
    if (code === 'ECONNRESET' || !socket.writable || isBusy) {
      socket.destroy()
      return
    }
    const status = code === 'HPE_HEADER_OVERFLOW' ? 431 : 400
    const { head, body } = this.core.options.refusal(status, 'request could not be parsed')
    const lines = head.headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    const length = `Connection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`
    socket.end(`HTTP/1.1 ${statusLine(status)}\r\n${lines}${length}${body}`)
  }
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

function listenOn(server: Server, address: ListenAddress): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(listenError(address, error.code))
    })
    const host = address.host === '' ? undefined : address.host
    server.listen({ host, port: address.port }, () => {
      resolve((server.address() as AddressInfo).port)
    })
  })
}
