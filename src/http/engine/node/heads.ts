/**
 * @module Connections of node:http on which a request has begun and its head does not end: given up
 * after about 10 s. Node's own timer cannot tell them from those that are idle, which live longer.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Keeper, type Kept, tickMs } from '../keeper.ts'
import type { RequestLine } from './request-line.ts'

/** After how many looks at half a head it is given up: 8 to 12 s. */
const looksMax = Math.floor(10_000 / tickMs)

/** Bytes behind a request that begin none: an empty line. */
const emptyLineBytes = 2

interface Watched {
  readonly socket: Socket
  /** Bytes that came before the first request: a balancer's header. */
  readonly bytesBefore: number
  looks: number
}

export class NodeHeads implements Kept {
  readonly #watched = new Set<Watched>()
  readonly #keeper: Keeper
  readonly #lineOf: (socket: Duplex) => RequestLine | undefined
  readonly #giveUp: (socket: Socket) => void

  constructor(
    keeper: Keeper,
    lineOf: (socket: Duplex) => RequestLine | undefined,
    giveUp: (socket: Socket) => void,
  ) {
    this.#keeper = keeper
    this.#lineOf = lineOf
    this.#giveUp = giveUp
  }

  /** Until it closes. */
  watch(socket: Socket): void {
    const watched = { socket, bytesBefore: socket.bytesRead, looks: 0 }
    if (this.#watched.size === 0) this.#keeper.add(this)
    this.#watched.add(watched)
    socket.once('close', () => {
      this.#watched.delete(watched)
      if (this.#watched.size === 0) this.#keeper.delete(this)
    })
  }

  tick(): void {
    for (const watched of this.#watched) {
      const line = this.#lineOf(watched.socket)
      const used = line === undefined ? watched.bytesBefore : line.bytesUsed
      const hasBegun = line?.isBusy !== true && watched.socket.bytesRead > used + emptyLineBytes
      watched.looks = hasBegun ? watched.looks + 1 : 0
      if (watched.looks > looksMax) this.#giveUp(watched.socket)
    }
  }
}
