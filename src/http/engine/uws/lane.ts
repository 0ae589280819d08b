/**
 * @module An app of the native side and the connections that it was given. From 20.69 on the native
 * side does not know the address of a connection that it did not accept itself, but the port at its
 * other end: so an app holds one connection of each port, and whoever has the same port from another
 * address goes to the next.
 */
import type { LoadedBinary } from '../../../runtime/loaded-binary.ts'
import type { SocketCalls } from '../../../runtime/socket-calls.ts'
import { formatAddress } from '../address.ts'
import type { Arrival } from './arrivals.ts'
import type { LoadedUws } from './loader.ts'
import type { UwsApp, UwsResponse } from './types.ts'

/** Entries beyond twice those that are alive are looked through: a look is a system call each. */
const sweepFrom = 1024

/** Connections among which one is looked for: each costs about 3 µs. */
const searchedMax = 256

/** A connection that the native side has forgotten, with a second descriptor for whoever reads its body. */
export interface Detached {
  readonly arrival: Arrival
  readonly borrowed: number
}

export class UwsLane {
  readonly app: UwsApp
  readonly isTls: boolean
  readonly sockets: SocketCalls
  readonly binary: LoadedBinary
  readonly #byPort = new Map<number, Arrival>()
  /** Whether this binary tells the port, and so which connection a request came on. */
  readonly hasPorts: boolean
  #sweepAt = sweepFrom

  constructor(app: UwsApp, isTls: boolean, { sockets, binary, hasPorts }: LoadedUws) {
    this.app = app
    this.isTls = isTls
    this.sockets = sockets
    this.binary = binary
    this.hasPorts = hasPorts
  }

  /** False when a connection from this port is open here. */
  adopt(arrival: Arrival): boolean {
    if (this.hasPorts) {
      const known = this.#byPort.get(arrival.port)
      if (known !== undefined && this.#isOpen(known, arrival)) return false
      this.#byPort.set(arrival.port, arrival)
      if (this.#byPort.size > this.#sweepAt) this.#sweep(arrival)
    }
    this.app.adoptSocket(arrival.descriptor)
    return true
  }

  /** The connection of a request; undefined where the binary does not tell. */
  connectionOf(res: UwsResponse): Arrival | undefined {
    return this.hasPorts ? this.#byPort.get(res.getRemotePort!()) : undefined
  }

  /**
   * Takes the connection of a request away from the native side, which closes its own descriptor and
   * reports that the request is aborted. Undefined, and nothing done, where it is not known which it is,
   * or the process has no more descriptors. `open`: connections that are open now.
   */
  detach(res: UwsResponse, open: number): Detached | undefined {
    const arrival = this.hasPorts ? this.connectionOf(res) : this.#find(res, open)
    if (arrival === undefined || !this.#isPeer(arrival)) return undefined
    const { descriptor } = arrival
    const borrowed = this.#copyOf(descriptor)
    const own = borrowed === undefined ? undefined : this.#copyOf(descriptor)
    if (borrowed === undefined || own === undefined) {
      if (borrowed !== undefined) this.sockets.close(borrowed)
      return undefined
    }
    res.close()
    // The same number, so that whoever knows the connection by it still does.
    const same = this.#copyOf(own, descriptor)
    if (same !== undefined) this.sockets.close(own)
    arrival.descriptor = same ?? own
    return { arrival, borrowed }
  }

  #copyOf(descriptor: number, from = 0): number | undefined {
    try {
      return this.sockets.duplicate(descriptor, from)
    } catch {
      return undefined
    }
  }

  /** A binary that does not tell: the descriptor that is not waited for any more when it pauses. */
  #find(res: UwsResponse, open: number): Arrival | undefined {
    if (open > searchedMax) return undefined
    const before = this.binary.watchedDescriptors()
    res.pause()
    const after = this.binary.watchedDescriptors()
    res.resume()
    const paused = [...before].filter((descriptor) => !after.has(descriptor))
    const [descriptor] = paused
    const peer = descriptor === undefined ? undefined : this.sockets.peer(descriptor)
    if (peer === undefined || paused.length !== 1) return undefined
    const address = formatAddress(peer.address)
    return {
      descriptor: descriptor!,
      address,
      port: peer.port,
      client: undefined,
      isProxied: false,
    }
  }

  #isPeer({ descriptor, address, port }: Arrival): boolean {
    const peer = this.sockets.peer(descriptor)
    return peer?.port === port && formatAddress(peer.address) === address
  }

  #isOpen(known: Arrival, arrival: Arrival): boolean {
    // The kernel has given the descriptor anew: the old one was closed.
    if (known.descriptor === arrival.descriptor) return false
    return this.#isPeer(known)
  }

  #sweep(arrival: Arrival): void {
    for (const [port, known] of this.#byPort) {
      if (known !== arrival && !this.#isOpen(known, arrival)) this.#byPort.delete(port)
    }
    this.#sweepAt = Math.max(sweepFrom, 2 * this.#byPort.size)
  }
}
