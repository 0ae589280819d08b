/**
 * @module What every tag of a run waits at: a host that wants to be left alone, a disk at its reserve, the
 * time of the day, a thread that others need.
 */
import type { Room } from '../../../blobs/port.ts'
import type { Clock } from '../../../runtime/clock.ts'
import { nextTurn } from '../../../runtime/next-turn.ts'
import { isOpenAt, opensAt, type Windows } from '../../windows.ts'
import type { Sleep } from '../parts.ts'

/** How often a full disk is looked at, ms. */
const spaceMs = 60_000

/** Where a host does not say when, it is asked again after this, ms. */
const limitedMs = 60_000

/** Longest that a run waits for a host, whatever it says, ms. */
export const waitMsMax = 6 * 3_600_000

/** Longest wait before the clock is looked at again: it may be set, ms. */
const lookMs = 60_000

/** Delay of a turn of the event loop from which on no tag is begun, and the pauses for it, ms. */
const turnMsMax = 20
const pauseMs = 100
const pausesMax = 5

export interface GateParts {
  readonly clock: Clock
  readonly sleep: Sleep
  readonly space: Pick<Room, 'freeBytes' | 'reserveBytes'>
  /** Undefined: the run may go on at any time. */
  readonly windows: Windows | undefined
  /** Ends every wait. */
  readonly signal: AbortSignal
  /** Why it waits; undefined: it no longer does. */
  readonly onWait: (message: string | undefined) => void
}

export class Gate {
  readonly #parts: GateParts
  /** ms on the monotonic clock. */
  #limitedUntil = 0
  #hasNoSpace = false

  constructor(parts: GateParts) {
    this.#parts = parts
  }

  /** A host wants to be left alone until then, ms since 1970. */
  holdUntil(at: number | undefined): void {
    const { clock } = this.#parts
    const ms = at === undefined ? limitedMs : Math.max(0, at - clock.now())
    const until = clock.monotonic() + Math.min(waitMsMax, ms)
    this.#limitedUntil = Math.max(this.#limitedUntil, until)
  }

  /** Whether the disk has more than its reserve: what does not fit then is too large by itself. */
  get hasRoom(): boolean {
    const { freeBytes, reserveBytes } = this.#parts.space
    return freeBytes > reserveBytes
  }

  /** The disk has reached its reserve. */
  holdForSpace(): void {
    this.#hasNoSpace = true
  }

  /** Resolves when the next tag may begin. Throws the reason that the signal was aborted with. */
  async pass(): Promise<void> {
    const { signal } = this.#parts
    signal.throwIfAborted()
    let hasWaited = false
    for (let wait = this.#wait(); wait !== undefined; wait = this.#wait()) {
      hasWaited = true
      this.#parts.onWait(wait.message)
      await this.#parts.sleep(wait.ms, signal)
      signal.throwIfAborted()
      if (this.hasRoom) this.#hasNoSpace = false
    }
    if (hasWaited) this.#parts.onWait(undefined)
    await this.#yieldToPulls()
  }

  #wait(): { readonly ms: number; readonly message: string } | undefined {
    const { clock, windows } = this.#parts
    const now = clock.now()
    if (this.#hasNoSpace) return { ms: spaceMs, message: 'waiting for space' }
    const limitedMs = this.#limitedUntil - clock.monotonic()
    if (limitedMs > 0) return { ms: Math.min(lookMs, limitedMs), message: 'waiting for quota' }
    if (windows === undefined || isOpenAt(windows, now)) return undefined
    const ms = Math.min(lookMs, Math.max(1, opensAt(windows, now) - now))
    return { ms, message: 'waiting for its window' }
  }

  /** A thread that is late has clients that wait. */
  async #yieldToPulls(): Promise<void> {
    const { clock, sleep, signal } = this.#parts
    for (let pause = 0; pause < pausesMax; pause += 1) {
      const before = clock.monotonic()
      await nextTurn()
      if (clock.monotonic() - before < turnMsMax) return
      await sleep(pauseMs, signal)
      signal.throwIfAborted()
    }
  }
}
