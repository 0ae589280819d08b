/**
 * @module The HTTP engine on uWebSockets.js: the product's. Listeners, connections, shutdown; what
 * happens inside one exchange is `uws-exchange.ts`. Facts about the native side that the code
 * leans on are in native-notes.md.
 */
import type { EngineOptions, HttpEngine, ListenAddress } from './engine.ts'
import { listenError, probeListen, readTls } from './engine-address.ts'
import { EngineCore } from './engine-exchange.ts'
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
  private listenSockets: object[] = []

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
    const app = await this.appFor(address)
    const socket = await this.open(app, address)
    if (socket === false) throw listenError(address, await probeListen(address))
    this.listenSockets.push(socket)
    return this.uws.us_socket_local_port(socket)
  }

  /**
   * Idle connections close by the native side's 10 s timeout; it has no call for them alone. Busy
   * ones carry `Connection: close` in their answer.
   */
  stopListening(): void {
    this.core.isDraining = true
    for (const socket of this.listenSockets) this.uws.us_listen_socket_close(socket)
    this.listenSockets = []
  }

  close(): void {
    this.stopListening()
    for (const app of this.apps) app.close()
  }

  private async appFor({ tls }: ListenAddress): Promise<UwsApp> {
    if (tls === undefined) {
      this.plainApp ??= this.prepare(this.uws.App(), false)
      return this.plainApp
    }
    await readTls(tls)
    return this.prepare(this.uws.SSLApp({ key_file_name: tls.key, cert_file_name: tls.cert }), true)
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

  /** Exclusive: the default would share the port with another process without a word. */
  private open(app: UwsApp, { host, port }: ListenAddress): Promise<UwsListenSocket> {
    const exclusive = this.uws.LIBUS_LISTEN_EXCLUSIVE_PORT
    return new Promise((resolve) => {
      if (host === '') app.listen(port, exclusive, resolve)
      else app.listen(host, port, exclusive, resolve)
    })
  }
}
