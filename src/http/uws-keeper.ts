/**
 * @module Keeps slow clients connected. The native side closes a connection whose client sends less
 * than 160 KB, or takes nothing, for about 10 s, and has no setting for it. Pausing and resuming a
 * socket starts that timer anew, so whoever waits for a slow client is refreshed here until it has
 * stood still for as long as we say.
 */

import { SocketBounds } from './uws-socket-bounds.ts'

/** Well below the 8 s after which the native timer, which counts in steps of 4 s, can fire. */
const tickMs = 4_000

/** A client that moves no byte for so many ticks (two minutes) is left to the native timer. */
export const stalledTicksMax = 30

/** An exchange that may wait for its client. Must not throw. */
export interface Kept {
  tick(): void
}

/** All exchanges of one engine that have a body to receive or a blocked answer. */
export class UwsKeeper {
  readonly bounds = new SocketBounds()
  private readonly kept = new Set<Kept>()
  private timer: NodeJS.Timeout | undefined = undefined

  add(exchange: Kept): void {
    this.kept.add(exchange)
    if (this.timer !== undefined) return
    this.timer = setInterval(this.run, tickMs)
    this.timer.unref()
  }

  delete(exchange: Kept): void {
    this.kept.delete(exchange)
  }

  /** The timer stops when a tick finds nobody: short requests do not start and stop it each. */
  private readonly run = (): void => {
    if (this.kept.size === 0) {
      clearInterval(this.timer)
      this.timer = undefined
    }
    for (const exchange of this.kept) exchange.tick()
  }
}
