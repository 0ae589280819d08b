/**
 * @module Looks every few seconds at those exchanges that wait for their client, in both engines: one
 * that stands still, or that is so slow that it only holds a connection, is cut.
 */

/** How often each is looked at, ms. */
export const tickMs = 4_000

/** A client that moves no byte for so many ticks (two minutes) is given up. */
export const stalledTicksMax = 30

/** What a client that is waited for has to move in so many ticks, bytes: 1 KiB a second. */
const windowTicks = 30
export const windowBytesMin = 120 * 1024

/** An exchange that may wait for its client. Must not throw. */
export interface Kept {
  tick(): void
}

export class Keeper {
  protected readonly kept = new Set<Kept>()
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

/** How one exchange has moved, tick by tick. */
export class Progress {
  private moved = 0
  private stalledTicks = 0
  private windowMoved = 0
  private ticks = 0

  /**
   * Whether the client is given up. `moved`: bytes so far, of both directions; `isAwaited`: we wait for
   * the client, not he for us.
   */
  isTooSlow(moved: number, isAwaited: boolean): boolean {
    if (!isAwaited) {
      this.stalledTicks = 0
      this.ticks = 0
      this.moved = moved
      this.windowMoved = moved
      return false
    }
    this.stalledTicks = moved === this.moved ? this.stalledTicks + 1 : 0
    this.moved = moved
    this.ticks += 1
    if (this.stalledTicks > stalledTicksMax) return true
    if (this.ticks <= windowTicks) return false
    const isSlow = moved - this.windowMoved < windowBytesMin
    this.ticks = 0
    this.windowMoved = moved
    return isSlow
  }
}
