/**
 * @module A connection that the native side has forgotten because the rest of a body is read elsewhere:
 * the answer is written here, and then the native side gets the connection back.
 */
import { Socket } from 'node:net'
import type { EngineCore } from '../exchange.ts'
import type { ResponseHead } from '../port.ts'
import type { Arrival } from './arrivals.ts'
import { wireOf } from './heads.ts'
import type { UwsKeeper } from './keep-alive.ts'
import type { UwsLane } from './lane.ts'

/** How long a client may go on sending what nobody reads after an answer that ends the connection, ms. */
const lingerMs = 5_000

export class LentConnection {
  readonly #arrival: Arrival
  readonly #lane: UwsLane
  readonly #core: EngineCore
  readonly #keeper: UwsKeeper
  readonly #onAbort: () => void
  #state: 'lent' | 'lingering' | 'over' = 'lent'
  #lingering: Socket | undefined

  /** `onAbort` is called when it is closed before the answer. */
  constructor(
    arrival: Arrival,
    lane: UwsLane,
    core: EngineCore,
    keeper: UwsKeeper,
    onAbort: () => void,
  ) {
    this.#onAbort = onAbort
    this.#arrival = arrival
    this.#lane = lane
    this.#core = core
    this.#keeper = keeper
    // The native side counts those that it has.
    core.openConnections += 1
    keeper.lent.add(this)
  }

  /** Bytes that have come and that nobody has read yet. */
  get queuedBytes(): number {
    return this.#state === 'lent' ? this.#lane.sockets.queuedBytes(this.#arrival.descriptor) : 0
  }

  /**
   * Sends a whole answer, and ends the connection or gives it back. `length` is the header's; undefined:
   * an answer without a body.
   */
  answer(
    head: ResponseHead,
    body: string | Uint8Array,
    length: number | undefined,
    closes: boolean,
  ): void {
    if (this.#state !== 'lent') return
    const bytes = wireOf(head, body, length, closes)
    const sent = this.#lane.sockets.send(this.#arrival.descriptor, bytes)
    if (!closes && sent === bytes.length && this.#lane.adopt(this.#arrival)) this.#isOver()
    else this.#linger(bytes.subarray(Math.max(0, sent)))
  }

  /** Ends it at once, whatever was sent. */
  close(): void {
    if (this.#state === 'over') return
    const wasLent = this.#state === 'lent'
    if (wasLent) this.#lane.sockets.close(this.#arrival.descriptor)
    this.#lingering?.destroy()
    this.#isOver()
    if (wasLent) this.#onAbort()
  }

  /** Closed at once, unread bytes would make the kernel break the connection, and the answer with it. */
  #linger(rest: Uint8Array): void {
    const socket = new Socket({ fd: this.#arrival.descriptor, allowHalfOpen: true })
    this.#state = 'lingering'
    this.#lingering = socket
    const timer = setTimeout(() => socket.destroy(), lingerMs)
    timer.unref()
    socket.on('error', () => {})
    socket.on('end', () => socket.destroy())
    socket.on('close', () => {
      clearTimeout(timer)
      this.close()
    })
    socket.end(rest)
    socket.resume()
  }

  #isOver(): void {
    this.#state = 'over'
    this.#core.openConnections -= 1
    this.#keeper.lent.delete(this)
  }
}
