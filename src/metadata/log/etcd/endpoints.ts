/**
 * @module The endpoints of one etcd: which of them is asked, for how long, and which one is next. A call is
 * one try of one endpoint; `ask` is for questions that may be put again.
 */
import type { Connect, EtcdConnection, EtcdTls, StreamEnd } from './connection.ts'
import { EtcdError, type EtcdErrorCode, errorOf } from './errors.ts'
import { ASK_MS, ROUND_PAUSE_MS, TRY_MS } from './limits.ts'
import type { Time } from './time.ts'

/** No other endpoint would say anything else. */
const FINAL: ReadonlySet<EtcdErrorCode> = new Set([
  'no-space',
  'changed',
  'missing',
  'too-large',
  'compacted',
  'closed',
])

export class Endpoints {
  readonly #names: string[] = []
  readonly #connections: EtcdConnection[] = []
  readonly #connectTo: (name: string) => EtcdConnection
  readonly #time: Time
  /** Ends what is under way. */
  readonly #pending = new Set<() => void>()
  #current = 0
  #isClosed = false

  /** Throws RangeError without an endpoint. */
  constructor(
    names: readonly string[],
    tls: EtcdTls | undefined,
    { connect, time }: { readonly connect: Connect; readonly time: Time },
  ) {
    if (names.length === 0) throw new RangeError('no endpoints of etcd')
    this.#time = time
    this.#connectTo = (name) => connect(name, tls)
    this.add(names)
  }

  get names(): readonly string[] {
    return this.#names
  }

  /** Others beside those that are known: an endpoint keeps its place, so it is never taken away. */
  add(names: readonly string[]): void {
    if (this.#isClosed) return
    for (const name of names) {
      if (this.#names.includes(name)) continue
      this.#names.push(name)
      this.#connections.push(this.#connectTo(name))
    }
  }

  /** The endpoint that questions go to: one that answered, as far as is known. */
  get current(): number {
    return this.#current
  }

  after(at: number): number {
    return (at + 1) % this.names.length
  }

  /** The endpoint has failed: the next question goes to the one behind it, unless it does so already. */
  leave(at: number): void {
    if (this.#current === at) this.#current = this.after(at)
  }

  /** One request to one endpoint, once. Rejects with an EtcdError: without an answer after `ms`, too. */
  call(at: number, method: string, request: Uint8Array, ms = TRY_MS): Promise<Uint8Array> {
    return this.#pendingUntil((resolve, reject) => {
      const name = this.names[at]!
      const giveUp = this.#connections[at]!.call(method, request, {
        onAnswer: resolve,
        onFailure: (failure) => reject(errorOf(failure, name)),
      })
      const stopTimer = this.#time.after(ms, () => {
        reject(new EtcdError('no-quorum', `etcd at ${name}: no answer in ${ms} ms`))
      })
      return () => {
        stopTimer()
        giveUp()
      }
    })
  }

  /** Like `call`, to the current endpoint. It is left when it fails, and the caller hears of that. */
  async once(method: string, request: Uint8Array): Promise<Uint8Array> {
    const at = this.#current
    try {
      return await this.call(at, method, request)
    } catch (error) {
      if (!isFinal(error)) this.leave(at)
      throw error
    }
  }

  /**
   * Puts a question to one endpoint after the other until one of them answers, for ASK_MS at most: `work`
   * is given the endpoint and the time that it has. What is wrong with more than the network is known after
   * a round.
   */
  async ask<T>(work: (at: number, ms: number) => Promise<T>): Promise<T> {
    const end = this.#time.monotonic() + ASK_MS
    for (let tries = 1; ; tries += 1) {
      const at = this.#current
      try {
        return await work(at, Math.min(TRY_MS, Math.max(1, end - this.#time.monotonic())))
      } catch (error) {
        if (isFinal(error)) throw error
        this.leave(at)
        const hasGoneRound = tries % this.names.length === 0
        if (hasGoneRound && (error as EtcdError).code !== 'no-quorum') throw error
        if (hasGoneRound) await this.pause(ROUND_PAUSE_MS)
        if (this.#time.monotonic() >= end) throw error
      }
    }
  }

  /** Rejects when the endpoints are closed meanwhile. */
  pause(ms: number): Promise<void> {
    return this.#pendingUntil((resolve) => this.#time.after(ms, () => resolve()))
  }

  /** Opens a stream to one endpoint; the returned function ends it without a word. */
  stream(at: number, method: string, request: Uint8Array, end: StreamEnd): () => void {
    return this.#connections[at]!.stream(method, request, end)
  }

  /** Rejects all that is under way with `closed`, and all that comes. */
  close(): void {
    this.#isClosed = true
    for (const end of [...this.#pending]) end()
    for (const connection of this.#connections) connection.close()
  }

  /** A promise that `close` rejects. `start` returns how to stop what it began. */
  #pendingUntil<T>(
    start: (resolve: (value: T) => void, reject: (error: EtcdError) => void) => () => void,
  ): Promise<T> {
    if (this.#isClosed) return Promise.reject(closed())
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        if (!this.#pending.delete(end)) return
        stop()
        act()
      }
      const end = () => settle(() => reject(closed()))
      this.#pending.add(end)
      const stop = start(
        (value) => settle(() => resolve(value)),
        (error) => settle(() => reject(error)),
      )
    })
  }
}

function closed(): EtcdError {
  return new EtcdError('closed', 'the log was closed')
}

/** Whether no other endpoint is worth a try; a mistake of ours is not either. */
function isFinal(error: unknown): boolean {
  return !(error instanceof EtcdError) || FINAL.has(error.code)
}
