/**
 * @module Accepts connections in front of the native engine. It looks at the first bytes of each, which
 * stay where they are, and hands the descriptor to the native engine or to the node engine: what the
 * native parser refuses by itself, in HTML, is decided here. Nothing of it is left on the path of a
 * request.
 *
 * The kernel hands a connection on when its first bytes are there (TCP_DEFER_ACCEPT), so one look is
 * enough; the rest waits in an epoll set of its own, which is looked at every few milliseconds for as
 * long as there is anybody in it.
 */
import { createServer, type Server } from 'node:net'
import type { SocketCalls } from '../../../runtime/socket-calls.ts'
import { formatAddress, listenOn } from '../address.ts'
import type { EngineCore } from '../exchange.ts'
import { emptyLineBytes, firstBytesMax, judgeRequest, readOffer } from '../first-bytes.ts'
import type { ListenAddress } from '../port.ts'
import { headerless, readProxyHeader } from '../proxy-header.ts'
import type { Arrival, UwsArrivals } from './arrivals.ts'

export interface AcceptorOptions {
  readonly sockets: SocketCalls
  readonly core: EngineCore
  readonly isTls: boolean
  /** Of all listeners of the engine. */
  readonly arrivals: UwsArrivals
  /** False when the native engine cannot take it now. */
  readonly toNative: (arrival: Arrival) => boolean
  /** `fault`: refuse it, for this reason. */
  readonly toNode: (arrival: Arrival, fault?: string) => void
}

/** After this the kernel hands on connections that have sent nothing, s. */
const deferSeconds = 1

const backlog = 4096

/**
 * Connections that are taken in one turn of the event loop (about 0.4 ms). libuv takes one: on a busy
 * server, whose turns take 3 ms, four hundred new clients then waited for more than a second.
 */
const acceptsPerTurnMax = 16

/** A connection that has begun a head, and does not end it, is closed after this, ms. */
const beginningMsMax = 10_000

/** How often those that wait are looked at: soon after something happened, and later, ms. */
const soonMs = 10
const laterMs = 50
const soonUntilMs = 2_000

/** How often all that wait are looked through for those that have waited for too long, ms. */
const sweepMs = 1_000

interface Waiting {
  readonly arrival: Arrival
  readonly since: number
  begunAt: number
}

/** What node keeps to itself of a listener; `onconnection` is called with each handle. */
interface ServerHandle {
  readonly fd: number
  onconnection?: (error: number, client?: { readonly fd: number; close(): void }) => void
}

/** One buffer for all looks: nothing is kept of it. */
const looked = Buffer.alloc(firstBytesMax)

export class UwsAcceptor {
  readonly #options: AcceptorOptions
  readonly #server: Server
  readonly #waiting = new Map<number, Waiting>()
  #watch: number | undefined = undefined
  #timer: NodeJS.Timeout | undefined = undefined
  #lastChangeAt = 0
  #nextSweepAt = 0

  constructor(options: AcceptorOptions) {
    this.#options = options
    this.#server = createServer({ pauseOnConnect: true }, (socket) => {
      // Only where node has changed inside: as good, and slower.
      const { fd } = (socket as unknown as { _handle: ServerHandle })._handle
      this.#acceptCopy(fd)
      socket.destroy()
    })
  }

  /** Resolves to the port; rejects with what to do. */
  async listen(address: ListenAddress): Promise<number> {
    const port = await listenOn(this.#server, address, backlog)
    const handle = (this.#server as unknown as { _handle: ServerHandle })._handle
    this.#options.sockets.deferAccept(handle.fd, deferSeconds)
    // A socket object for each connection would cost a third of the rate (22,000 a second).
    if (typeof handle.onconnection === 'function') {
      handle.onconnection = (_error, client) => {
        if (client === undefined) return
        this.#acceptCopy(client.fd)
        client.close()
        this.#acceptMore(handle.fd)
      }
    }
    return port
  }

  /** Connections that have not begun a request are closed. */
  close(): void {
    this.#server.close()
    clearTimeout(this.#timer)
    for (const { arrival } of this.#waiting.values()) this.#drop(arrival)
    this.#waiting.clear()
    if (this.#watch !== undefined) this.#options.sockets.close(this.#watch)
    this.#watch = undefined
  }

  #acceptMore(listening: number): void {
    for (let taken = 1; taken < acceptsPerTurnMax; taken += 1) {
      const descriptor = this.#options.sockets.accept(listening)
      if (descriptor === undefined) return
      this.#accept(descriptor)
    }
  }

  #acceptCopy(descriptor: number): void {
    try {
      this.#accept(this.#options.sockets.duplicate(descriptor))
    } catch {
      // No descriptor is left: the connection closes with the one that node has.
    }
  }

  #accept(descriptor: number): void {
    const { core, sockets, arrivals } = this.#options
    if (core.openConnections >= core.options.maxConnections) {
      sockets.close(descriptor)
      return
    }
    const peer = sockets.peer(descriptor)
    core.openConnections += 1
    const arrival = {
      descriptor,
      address: peer === undefined ? '' : formatAddress(peer.address),
      port: peer?.port ?? 0,
      client: undefined,
      isProxied: false,
    }
    if (arrivals.admit(arrival)) this.#look(arrival)
    else this.#drop(arrival)
  }

  #look(arrival: Arrival): void {
    const { sockets, core, toNative, toNode } = this.#options
    const { descriptor } = arrival
    const verdict = this.#judge(arrival)
    if (verdict === 'more' || verdict === 'nothing') {
      this.#wait(arrival, verdict === 'more')
      return
    }
    if (this.#waiting.delete(descriptor)) sockets.unwatch(this.#watch!, descriptor)
    if (verdict === 'gone') {
      this.#drop(arrival)
      return
    }
    core.openConnections -= 1
    if (verdict === 'native' && toNative(arrival)) return
    if (verdict === 'headerless') toNode(arrival, headerless)
    else toNode(arrival)
  }

  #judge(arrival: Arrival): 'native' | 'node' | 'more' | 'nothing' | 'gone' | 'headerless' {
    const { sockets, isTls, core } = this.#options
    const { descriptor, address } = arrival
    for (;;) {
      const count = sockets.peek(descriptor, looked)
      if (count === undefined) return 'nothing'
      if (count <= 0) return 'gone'
      const bytes = looked.subarray(0, count)
      if (!arrival.isProxied && core.options.isBalancer?.(address) === true) {
        const header = readProxyHeader(bytes)
        if (header === 'more') return 'more'
        if (header === 'none') return 'headerless'
        arrival.isProxied = true
        arrival.client = header.client
        sockets.discard(descriptor, header.bytes)
        // Only now it is known whose it is.
        if (header.client !== undefined && !this.#options.arrivals.admit(arrival)) return 'gone'
      } else if (isTls) {
        return this.#judgeTls(bytes, arrival)
      } else {
        const empty = emptyLineBytes(bytes)
        if (empty > 0) sockets.discard(descriptor, empty)
        else
          return judgeRequest(
            bytes,
            count < looked.length ? count : sockets.queuedBytes(descriptor),
          )
      }
    }
  }

  /**
   * The version of a request is inside the encryption. So the node engine gets clients that offer
   * HTTP/1.0, and trusted proxies that offer nothing at all, as nginx does.
   */
  #judgeTls(bytes: Buffer, { address, client }: Arrival): 'native' | 'node' | 'more' {
    const offer = readOffer(bytes)
    if (offer === 'more') return 'more'
    if (offer === undefined) {
      return this.#options.core.options.isTrustedProxy?.(client ?? address) === true
        ? 'node'
        : 'native'
    }
    return offer !== 'none' && offer.includes('http/1.0') && !offer.includes('http/1.1')
      ? 'node'
      : 'native'
  }

  #wait(arrival: Arrival, hasBegun: boolean): void {
    const now = performance.now()
    this.#lastChangeAt = now
    const known = this.#waiting.get(arrival.descriptor)
    if (known !== undefined) {
      if (hasBegun && known.begunAt === 0) known.begunAt = now
      return
    }
    const { sockets } = this.#options
    try {
      this.#watch ??= sockets.openWatch()
    } catch {
      // No descriptor is left.
      this.#drop(arrival)
      return
    }
    this.#waiting.set(arrival.descriptor, { arrival, since: now, begunAt: hasBegun ? now : 0 })
    sockets.watch(this.#watch, arrival.descriptor)
    if (this.#timer === undefined) this.#schedule()
  }

  #schedule(): void {
    const isSoon = performance.now() - this.#lastChangeAt < soonUntilMs
    this.#timer = setTimeout(this.#tick, isSoon ? soonMs : laterMs)
    this.#timer.unref()
  }

  readonly #tick = (): void => {
    for (const { descriptor, hasEnded } of this.#options.sockets.readyOf(this.#watch!)) {
      const waiting = this.#waiting.get(descriptor)
      if (waiting === undefined) continue
      this.#look(waiting.arrival)
      // Half a request stays readable after its client has gone, and nothing more will be told.
      if (hasEnded && this.#waiting.delete(descriptor)) this.#drop(waiting.arrival)
    }
    const now = performance.now()
    if (now >= this.#nextSweepAt) this.#sweep(now)
    this.#timer = undefined
    if (this.#waiting.size > 0) this.#schedule()
  }

  #sweep(now: number): void {
    this.#nextSweepAt = now + sweepMs
    const { idleTimeoutMs } = this.#options.core.options
    for (const [descriptor, { arrival, since, begunAt }] of this.#waiting) {
      const isLate = begunAt > 0 ? now - begunAt > beginningMsMax : now - since > idleTimeoutMs
      if (!isLate) continue
      this.#waiting.delete(descriptor)
      this.#drop(arrival)
    }
  }

  #drop({ descriptor }: Arrival): void {
    this.#options.core.openConnections -= 1
    this.#options.sockets.close(descriptor)
  }
}
