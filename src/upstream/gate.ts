/**
 * @module What holds back requests of one class to one host: a rate, and for syncs a window that a host which
 * is asked too much makes narrow. Pulls go before syncs and wait for the rate alone. Without a rate and
 * while nothing was refused, nobody waits here.
 */
import type { Clock } from '../runtime/clock.ts'
import { TokenBucket } from '../runtime/token-bucket.ts'
import type { AskedBy } from './ask.ts'

/** What may be saved up, in seconds' worth: proxies of large hosts allow short bursts only. */
const burstSeconds = 0.25

/** Narrowest window. */
const windowMin = 1

export type Outcome = 'good' | 'congested' | 'unheard'

/** Tells the gate how the request ended, once. */
export type Leave = (outcome: Outcome) => void

interface Waiting {
  readonly enter: (leave: Leave) => void
}

export interface GateOptions {
  /** 0: no limit. */
  readonly perSecond: number
  readonly clock: Pick<Clock, 'monotonic'>
  /** The window is of no use once it has grown to this. */
  readonly windowMax: () => number
  /** How many programs have the limit together at the moment. Default: this one alone. */
  readonly sharers?: (() => number) | undefined
}

export class Gate {
  readonly #options: GateOptions
  #perSecond: number
  #bucket: TokenBucket | undefined
  #window = Number.POSITIVE_INFINITY
  /** Requests of syncs under way. */
  #entered = 0
  /** Requests so far; the first of those whose refusal makes the window narrower again. */
  #count = 0
  #epochFrom = 0
  readonly #lines: Readonly<Record<AskedBy, Set<Waiting>>> = { pull: new Set(), sync: new Set() }
  #timer: NodeJS.Timeout | undefined

  constructor(options: GateOptions) {
    this.#options = options
    this.#perSecond = options.perSecond
    this.#bucket = this.#newBucket()
  }

  /** Requests of syncs that may be under way; infinite: as many as there are slots. */
  get window(): number {
    return Math.floor(this.#window)
  }

  /** At most so many a second from now on; 0 changes nothing. */
  lower(perSecond: number): void {
    if (perSecond === 0 || (this.#perSecond > 0 && perSecond >= this.#perSecond)) return
    this.#perSecond = perSecond
    this.#bucket = this.#newBucket()
  }

  #newBucket(): TokenBucket | undefined {
    const perSecond = this.#perSecond
    if (perSecond === 0) return undefined
    const burst = Math.max(1, perSecond * burstSeconds)
    return new TokenBucket({ burst, perSecond, clock: this.#options.clock })
  }

  /** Resolves when it may be sent; undefined when its time, ms, or its signal has ended before. */
  enter(by: AskedBy, leftMs: number, signal: AbortSignal | undefined): Promise<Leave | undefined> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) return resolve(undefined)
      let timer: NodeJS.Timeout | undefined
      const line = this.#lines[by]
      const settle = (leave: Leave | undefined) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', giveUp)
        line.delete(waiting)
        resolve(leave)
      }
      const giveUp = () => settle(undefined)
      const waiting: Waiting = { enter: settle }
      line.add(waiting)
      this.#admit()
      if (!line.has(waiting)) return
      timer = setTimeout(giveUp, Math.max(1, leftMs))
      signal?.addEventListener('abort', giveUp, { once: true })
    })
  }

  /** A request that did not enter was refused. */
  refused(): void {
    this.#narrow(this.#count)
  }

  #admit(): void {
    while (true) {
      const by = this.#lines.pull.size > 0 ? 'pull' : 'sync'
      if (by === 'sync' && this.#entered >= this.window) return
      const [next] = this.#lines[by]
      if (next === undefined) return
      const waitMs = this.#bucket?.waitMs(1) ?? 0
      if (waitMs > 0) {
        this.#timer ??= setTimeout(() => {
          this.#timer = undefined
          this.#admit()
        }, Math.ceil(waitMs))
        return
      }
      this.#bucket?.take(this.#options.sharers?.() ?? 1)
      if (by === 'sync') this.#entered += 1
      this.#count += 1
      next.enter(this.#leaveOf(this.#count, by))
    }
  }

  #leaveOf(number: number, by: AskedBy): Leave {
    let hasLeft = false
    return (outcome) => {
      if (hasLeft) return
      hasLeft = true
      if (outcome === 'congested') this.#narrow(number)
      if (outcome === 'good') this.#widen()
      if (by === 'sync') this.#entered -= 1
      this.#admit()
    }
  }

  /** Once for all that were on their way together: they were refused for one reason. */
  #narrow(number: number): void {
    if (number < this.#epochFrom) return
    this.#epochFrom = this.#count + 1
    this.#window = Math.max(windowMin, Math.min(this.#window, this.#entered) / 2)
  }

  /** By one for each window of good answers. */
  #widen(): void {
    if (!Number.isFinite(this.#window)) return
    this.#window += 1 / this.#window
    if (this.#window >= this.#options.windowMax()) this.#window = Number.POSITIVE_INFINITY
  }
}
