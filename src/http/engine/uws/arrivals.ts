/**
 * @module Which client has which of the connections that were handed on. The native side says that a
 * connection has closed, but not which: so those of a client that has all it may are looked at, and of
 * the others a few with every new one. A look is a system call (1 µs).
 */

import { formatAddress } from '../address.ts'
import { ClientConnections, type Counted, sharerOf } from '../client-connections.ts'
import type { EngineCore } from '../exchange.ts'
import type { LoadedUws } from './loader.ts'

/** Looks with each new connection, where more are remembered than can be open. */
const looksEach = 4
const slack = 256

/** A client that has all it may is not looked at again at once, ms. */
const lookAgainMs = 50

/** A connection that was accepted. Whoever gets it closes the descriptor. */
export interface Arrival {
  /** Another one only after it was taken from the native side and its number was taken meanwhile. */
  descriptor: number
  /** The other end, in short form; empty when it has gone. */
  readonly address: string
  readonly port: number
  /** What a PROXY protocol header said of the client. */
  client: string | undefined
  /** A balancer stands in front: its header was read. */
  isProxied: boolean
}

export class UwsArrivals {
  readonly #core: EngineCore
  readonly #sockets: LoadedUws['sockets']
  readonly #clients: ClientConnections<Arrival>
  /** All that are counted, each looked at in its turn: to the end again while it is open. */
  readonly #all = new Set<Counted<Arrival>>()
  readonly #lookedAt = new WeakMap<ReadonlySet<Counted<Arrival>>, number>()

  constructor(core: EngineCore, sockets: LoadedUws['sockets']) {
    this.#core = core
    this.#sockets = sockets
    this.#clients = new ClientConnections(core.options.maxConnections)
  }

  /** Counts a connection; false when its client has as many as it may. */
  admit(arrival: Arrival): boolean {
    const client = sharerOf(this.#core.options, arrival.address, arrival.client)
    if (client === undefined) return true
    this.#lookAtSome()
    let taken = this.#clients.take(client, arrival)
    if ('full' in taken) {
      this.#lookAt(taken.full)
      taken = this.#clients.take(client, arrival)
    }
    if ('full' in taken) return false
    this.#all.add(taken)
    return true
  }

  #lookAt(some: ReadonlySet<Counted<Arrival>>): void {
    const now = performance.now()
    if (now < (this.#lookedAt.get(some) ?? 0)) return
    this.#lookedAt.set(some, now + lookAgainMs)
    for (const counted of [...some]) if (!this.#isOpen(counted.of)) this.#forget(counted)
  }

  #lookAtSome(): void {
    let looks = looksEach
    while (looks > 0 && this.#all.size > 2 * this.#core.openConnections + slack) {
      looks -= 1
      const counted = this.#all.values().next().value!
      if (this.#isOpen(counted.of)) {
        this.#all.delete(counted)
        this.#all.add(counted)
      } else {
        this.#forget(counted)
      }
    }
  }

  #forget(counted: Counted<Arrival>): void {
    this.#all.delete(counted)
    this.#clients.give(counted)
  }

  #isOpen({ descriptor, address, port }: Arrival): boolean {
    const peer = this.#sockets.peer(descriptor)
    return peer?.port === port && formatAddress(peer.address) === address
  }
}
