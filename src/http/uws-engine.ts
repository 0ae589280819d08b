/**
 * @module The HTTP engine on uWebSockets.js: the product's. Listeners, connections, shutdown; what
 * happens inside one exchange is `uws-exchange.ts`. Facts about the native side that the code
 * leans on are in native-notes.md.
 */
import { unsentBytesMax, unsentTlsBytesMax } from '../registry/limits.ts'
import type { EngineOptions, HttpEngine, ListenAddress, TlsFiles } from './engine.ts'
import { listenError, probeListen } from './engine-address.ts'
import { EngineCore } from './engine-exchange.ts'
import { type LoadedPair, type LoadedTls, readTls, strongCiphers } from './tls-files.ts'
import { UwsExchange } from './uws-exchange.ts'
import { UwsKeeper } from './uws-keeper.ts'
import type { UwsApp, UwsListenSocket, UwsModule, UwsResponse } from './uws-types.ts'

export class UwsEngine implements HttpEngine {
  readonly kind = 'uws'
  private readonly core: EngineCore
  private readonly uws: UwsModule
  private readonly keeper = new UwsKeeper()
  /** Plain listeners share one app; each TLS listener has two of its own. */
  private plainApp: UwsApp | undefined = undefined
  private readonly apps: UwsApp[] = []
  private plainSockets: object[] = []
  private secure: SecureListener[] = []

  constructor(options: EngineOptions, uws: UwsModule) {
    this.core = new EngineCore(options)
    this.uws = uws
  }

  get openConnections(): number {
    return this.core.openConnections
  }

  get openRequests(): number {
    return this.core.openRequests
  }

  async listen(address: ListenAddress): Promise<number> {
    const { tls } = address
    if (tls === undefined) {
      this.plainApp ??= this.prepare(this.uws.App(), false)
      const socket = await this.open(this.plainApp, address, this.uws.LIBUS_LISTEN_EXCLUSIVE_PORT)
      if (socket === false) throw listenError(address, await probeListen(address))
      this.plainSockets.push(socket)
      this.keeper.bounds.boundUnsent(unsentBytesMax)
      return this.uws.us_socket_local_port(socket)
    }
    const files = await readTls(tls)
    const acceptor = this.uws.SSLApp(sslOptions(files))
    this.apps.push(acceptor)
    const app = this.secureApp(files)
    acceptor.addChildAppDescriptor(app.getDescriptor())
    const socket = await this.open(acceptor, address, this.uws.LIBUS_LISTEN_EXCLUSIVE_PORT)
    if (socket === false) throw listenError(address, await probeListen(address))
    this.secure.push({ tls, acceptor, app, socket })
    this.keeper.bounds.boundUnsent(unsentTlsBytesMax)
    return this.uws.us_socket_local_port(socket)
  }

  /**
   * An app cannot change its certificate. So the one that listens only hands what it accepts to
   * another, and to the next one from now on: no listener is ever closed, which would reset the
   * connections in its queue. The old app keeps its connections to their end.
   */
  async reloadTls(): Promise<void> {
    const loaded = await Promise.all(this.secure.map(({ tls }) => readTls(tls)))
    if (this.core.isDraining) return
    const apps = loaded.map((files) => this.secureApp(files))
    // In one turn: the native side takes turns among the apps, and must never meet two.
    for (const [index, app] of apps.entries()) {
      const listener = this.secure[index]!
      listener.acceptor.addChildAppDescriptor(app.getDescriptor())
      listener.acceptor.removeChildAppDescriptor(listener.app.getDescriptor())
      listener.app = app
    }
  }

  /**
   * Idle connections close by the native side's 10 s timeout; it has no call for them alone. Busy
   * ones carry `Connection: close` in their answer.
   */
  stopListening(): void {
    this.core.isDraining = true
    for (const socket of this.plainSockets) this.uws.us_listen_socket_close(socket)
    for (const { socket } of this.secure) this.uws.us_listen_socket_close(socket)
    this.plainSockets = []
    this.secure = []
  }

  close(): void {
    this.stopListening()
    for (const app of this.apps) app.close()
  }

  private secureApp(tls: LoadedTls): UwsApp {
    const app = this.prepare(this.uws.SSLApp(sslOptions(tls)), true)
    for (const pair of tls.sni) {
      for (const name of pair.names) app.addServerName(name, sslOptions(pair))
    }
    return app
  }

  private prepare(app: UwsApp, isTls: boolean): UwsApp {
    const { core, keeper } = this
    const count = (res: UwsResponse, delta: number): void => {
      core.openConnections += delta
      if (delta > 0 && core.openConnections > core.options.maxConnections) res.close()
    }
    app.filter(count)
    app.any('/*', (res, req) => new UwsExchange(core, keeper, isTls, res).accept(res, req))
    this.apps.push(app)
    return app
  }

  /** Without the exclusive option another process could share the port without a word. */
  private open(app: UwsApp, { host, port }: ListenAddress, option: number) {
    return new Promise<UwsListenSocket>((resolve) => {
      if (host === '') app.listen(port, option, resolve)
      else app.listen(host, port, option, resolve)
    })
  }
}

/** A TLS listener: the app that accepts, and the one that serves with the certificates of now. */
interface SecureListener {
  readonly tls: TlsFiles
  readonly acceptor: UwsApp
  app: UwsApp
  readonly socket: object
}

function sslOptions({ files }: LoadedPair) {
  return {
    key_file_name: files.key,
    cert_file_name: files.cert,
    ssl_ciphers: strongCiphers,
  }
}
