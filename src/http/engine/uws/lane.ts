/**
 * @module An app of the native side and the connections that it was given. From 20.69 on the native
 * side does not know the address of a connection that it did not accept itself, but the port at its
 * other end: so an app holds one connection of each port, and whoever has the same port from another
 * address goes to the next.
 */
import type { SocketCalls } from '../../../runtime/socket-calls.ts'
import { formatAddress } from '../address.ts'
import type { Arrival } from './arrivals.ts'
import type { LoadedUws } from './loader.ts'
import type { UwsApp, UwsResponse } from './types.ts'

/** Entries beyond twice those that are alive are looked through: a look is a system call each. */
const sweepFrom = 1024

export class UwsLane {
  readonly app: UwsApp
  readonly isTls: boolean
  readonly #sockets: SocketCalls
  readonly #byPort = new Map<number, Arrival>()
  /** Whether this binary tells the port, and so which connection a request came on. */
  readonly hasPorts: boolean
  #sweepAt = sweepFrom

  constructor(app: UwsApp, isTls: boolean, { sockets, hasPorts }: LoadedUws) {
    this.app = app
    this.isTls = isTls
    this.#sockets = sockets
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

  #isOpen(known: Arrival, arrival: Arrival): boolean {
    // The kernel has given the descriptor anew: the old one was closed.
    if (known.descriptor === arrival.descriptor) return false
    const peer = this.#sockets.peer(known.descriptor)
    return peer?.port === known.port && formatAddress(peer.address) === known.address
  }

  #sweep(arrival: Arrival): void {
    for (const [port, known] of this.#byPort) {
      if (known !== arrival && !this.#isOpen(known, arrival)) this.#byPort.delete(port)
    }
    this.#sweepAt = Math.max(sweepFrom, 2 * this.#byPort.size)
  }
}
