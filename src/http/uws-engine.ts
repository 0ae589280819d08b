/**
 * @module The HTTP engine on uWebSockets.js: the product's. Listeners, connections, shutdown; what
 * happens inside one exchange is `uws-exchange.ts`. Facts about the native side that the code
 * leans on are in native-notes.md.
 */
import type { EngineOptions, HttpEngine, ListenAddress, TlsFiles } from './engine.ts'
import { freePort, listenError, probeListen } from './engine-address.ts'
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
  /** Plain listeners share one app; each TLS listener has its own, for its own certificate. */
  private plainApp: UwsApp | undefined = undefined
  private readonly apps: UwsApp[] = []
  private plainSockets: object[] = []
  private secure: SecureListener[] = []
  private readonly retiring = new Set<object>()

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
      this.keeper.bounds.boundUnsent()
      return this.uws.us_socket_local_port(socket)
    }
    const app = this.secureApp(await readTls(tls))
    // The port is shared only among listeners of this process, one after the other: see reloadTls.
    // The native side never shares a port that the system chose, so it is chosen before.
    const port = address.port === 0 ? await freePort(address) : address.port
    const fixed = { ...address, port, tls }
    const busy = await probeListen(fixed)
    const socket = busy === undefined && (await this.open(app, fixed, 0))
    if (socket === false) throw listenError(fixed, busy ?? (await probeListen(fixed)))
    this.secure.push({ address: fixed, socket })
    this.keeper.bounds.boundUnsent()
    return port
  }

  /**
   * A listener cannot change its certificate, so another one is opened beside it on the same port
   * and then takes its place. The old app keeps its connections to their end.
   */
  async reloadTls(): Promise<void> {
    const loaded = await Promise.all(this.secure.map(({ address }) => readTls(address.tls)))
    if (this.core.isDraining) return
    // In one turn, so that no stop can come between.
    for (const [index, tls] of loaded.entries()) {
      const listener = this.secure[index]!
      const socket = this.openNow(this.secureApp(tls), listener.address)
      if (socket === false) throw listenError(listener.address, undefined)
      this.retiring.add(listener.socket)
      listener.socket = socket
    }
    this.keeper.bounds.boundUnsent()
    // What waits in an old queue would be reset: they are closed right after the loop has accepted.
    await new Promise((resolve) => setTimeout(() => setImmediate(resolve), acceptMs))
    this.closeRetiring()
  }

  /** Sockets of a closed app are gone: using one then would touch freed memory. */
  private closeRetiring(): void {
    for (const socket of this.retiring) this.uws.us_listen_socket_close(socket)
    this.retiring.clear()
  }

  /**
   * Idle connections close by the native side's 10 s timeout; it has no call for them alone. Busy
   * ones carry `Connection: close` in their answer.
   */
  stopListening(): void {
    this.core.isDraining = true
    for (const socket of this.plainSockets) this.uws.us_listen_socket_close(socket)
    for (const { socket } of this.secure) this.uws.us_listen_socket_close(socket)
    this.closeRetiring()
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

  /** The native side calls back before `listen` returns. */
  private openNow(app: UwsApp, { host, port }: ListenAddress): UwsListenSocket {
    let opened: UwsListenSocket = false
    const take = (socket: UwsListenSocket) => {
      opened = socket
    }
    if (host === '') app.listen(port, 0, take)
    else app.listen(host, port, 0, take)
    return opened
  }

  /** Without the exclusive option another process could share the port without a word. */
  private open(app: UwsApp, { host, port }: ListenAddress, option: number) {
    return new Promise<UwsListenSocket>((resolve) => {
      if (host === '') app.listen(port, option, resolve)
      else app.listen(host, port, option, resolve)
    })
  }
}

/** Time for the loop to accept what a listener that is replaced still has in its queue, ms. */
const acceptMs = 20

/** A TLS listener: which files it has, on which port it is. */
interface SecureListener {
  readonly address: ListenAddress & { readonly tls: TlsFiles }
  socket: object
}

function sslOptions({ files }: LoadedPair) {
  return {
    key_file_name: files.key,
    cert_file_name: files.cert,
    ssl_ciphers: strongCiphers,
  }
}
