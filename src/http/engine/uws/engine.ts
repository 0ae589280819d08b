/**
 * @module The HTTP engine on uWebSockets.js: the product's. Listeners, connections, shutdown; what
 * happens inside one exchange is `http/engine/uws/exchange.ts`. Facts about the native side that the code
 * leans on are in native-notes.md. What it cannot serve goes to a node engine in the same process,
 * which is loaded with the first such connection.
 */
import { unsentBytesMax, unsentTlsBytesMax } from '../../../registry/limits.ts'
import { EngineCore } from '../exchange.ts'
import { statusLine } from '../framing.ts'
import type { Intake, NodeEngine } from '../node/engine.ts'
import type { EngineOptions, HttpEngine, ListenAddress, TlsFiles } from '../port.ts'
import { type LoadedPair, type LoadedTls, readTls, strongCiphers } from '../tls-files.ts'
import { UwsAcceptor } from './acceptor.ts'
import { type Arrival, UwsArrivals } from './arrivals.ts'
import { UwsExchange } from './exchange.ts'
import { UwsKeeper } from './keep-alive.ts'
import { UwsLane } from './lane.ts'
import type { LoadedUws } from './loader.ts'
import type { UwsApp } from './types.ts'

/** Apps of a listener, for connections whose ports at the other end are equal. See `http/engine/uws/lane.ts`. */
const plainLanesMax = 8
/** Over TLS each is a context with certificates, made before it is needed. */
const secureLanes = 2

export class UwsEngine implements HttpEngine {
  readonly kind = 'uws'
  private readonly core: EngineCore
  private readonly loaded: LoadedUws
  private readonly keeper = new UwsKeeper()
  private readonly arrivals: UwsArrivals
  private readonly apps: UwsApp[] = []
  private readonly listeners: Listener[] = []
  private node: Promise<NodeEngine> | undefined = undefined

  constructor(options: EngineOptions, loaded: LoadedUws) {
    this.core = new EngineCore(options)
    this.loaded = loaded
    this.arrivals = new UwsArrivals(this.core, loaded.sockets)
    // The timer fires at the second or third look after the last byte.
    loaded.sweep.repeat(Math.ceil(options.idleTimeoutMs / 2))
    refuseInJson(options, loaded)
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
    const { tls } = address
    const isTls = tls !== undefined
    const lanes = isTls ? this.secureLanes(await readTls(tls)) : [this.lane(this.loaded.uws.App())]
    const acceptor = new UwsAcceptor({
      sockets: this.loaded.sockets,
      core: this.core,
      isTls,
      arrivals: this.arrivals,
      toNative: (arrival) => this.adopt(listener, arrival),
      toNode: (arrival, fault) => void this.handOver(listener, arrival, fault),
    })
    const listener: Listener = { tls, acceptor, lanes, intake: undefined }
    const port = await acceptor.listen(address)
    this.listeners.push(listener)
    this.keeper.bounds.boundUnsent(isTls ? unsentTlsBytesMax : unsentBytesMax)
    return port
  }

  /** An app cannot change its certificate: connections from now on go to others. */
  async reloadTls(): Promise<void> {
    const secure = this.listeners.filter((listener) => listener.tls !== undefined)
    const loaded = await Promise.all(secure.map(({ tls }) => readTls(tls!)))
    if (this.core.isDraining) return
    for (const [index, files] of loaded.entries()) secure[index]!.lanes = this.secureLanes(files)
    await (await this.node)?.reloadTls()
  }

  stopListening(): void {
    this.core.isDraining = true
    for (const { acceptor } of this.listeners) acceptor.close()
    void this.node?.then((node) => node.stopListening())
  }

  close(): void {
    this.stopListening()
    for (const app of this.apps) app.close()
    for (const connection of this.keeper.lent) connection.close()
    void this.node?.then((node) => node.close())
  }

  private adopt(listener: Listener, arrival: Arrival): boolean {
    const { lanes } = listener
    // Where a header spoke for the client, a request must be known by its connection.
    if (arrival.isProxied && !this.loaded.hasPorts) return false
    if (lanes.some((lane) => lane.adopt(arrival))) return true
    if (listener.tls !== undefined || lanes.length >= plainLanesMax) return false
    lanes.push(this.lane(this.loaded.uws.App()))
    return lanes.at(-1)!.adopt(arrival)
  }

  /** Never rejects: a connection that cannot be handed over is closed. */
  private async handOver(listener: Listener, arrival: Arrival, fault?: string): Promise<void> {
    try {
      this.node ??= import('../node/engine.ts').then(
        ({ NodeEngine: Engine }) => new Engine(this.core.options, this.core),
      )
      const node = await this.node
      listener.intake ??= node.prepare(listener.tls)
      const intake = await listener.intake
      const { Socket } = await import('node:net')
      if (this.core.isDraining) this.loaded.sockets.close(arrival.descriptor)
      else intake(new Socket({ fd: arrival.descriptor, allowHalfOpen: true }), arrival, fault)
    } catch {
      this.loaded.sockets.close(arrival.descriptor)
    }
  }

  private secureLanes(tls: LoadedTls): UwsLane[] {
    return Array.from({ length: secureLanes }, () => {
      const app = this.loaded.uws.SSLApp(sslOptions(tls))
      for (const pair of tls.sni) {
        for (const name of pair.names) app.addServerName(name, sslOptions(pair))
      }
      return this.lane(app, true)
    })
  }

  private lane(app: UwsApp, isTls = false): UwsLane {
    const { core, keeper } = this
    const lane = new UwsLane(app, isTls, this.loaded)
    const count = (_res: unknown, delta: number): void => {
      core.openConnections += delta
    }
    app.filter(count)
    app.any('/*', (res, req) => new UwsExchange(core, keeper, lane, res).accept(res, req))
    this.apps.push(app)
    return lane
  }
}

interface Listener {
  readonly tls: TlsFiles | undefined
  readonly acceptor: UwsAcceptor
  lanes: UwsLane[]
  /** The node engine's side of it, once it was needed. */
  intake: Promise<Intake> | undefined
}

function sslOptions({ files }: LoadedPair) {
  return {
    key_file_name: files.key,
    cert_file_name: files.cert,
    ssl_ciphers: strongCiphers,
  }
}

/** What the native side says by itself, and how that begins as it comes. */
const NATIVE_REFUSALS: Readonly<Record<number, string>> = {
  400: 'the request could not be parsed',
  431: 'the request headers are too large; 64 KiB are taken',
  505: 'a connection that began with HTTP/1.1 goes on so, with paths as targets; let the proxy speak HTTP/1.1 (nginx: proxy_http_version 1.1)',
}

/** Once for the process: the first engine's words stay. */
function refuseInJson({ refusal }: EngineOptions, { binary, alias }: LoadedUws): void {
  const texts = new Map<string, string>()
  for (const [code, message] of Object.entries(NATIVE_REFUSALS)) {
    const status = Number(code)
    const { head, body } = refusal(status, message)
    const lines = head.headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    const framing = `Connection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`
    texts.set(
      `HTTP/1.1 ${statusLine(status)}\r\nConnection: close\r\n\r\n<h1>`,
      `HTTP/1.1 ${statusLine(status)}\r\n${lines}${framing}${body}`,
    )
  }
  binary.replaceTexts(`/${alias}/uws.node`, texts)
}
