/**
 * @module Upload sessions that are kept in memory between requests: those whose worker holds a file, so
 * that the next chunk goes on without hashing the prefix anew, and small ones, so that the request which
 * ends them need not read back what the one before has written. Both are bounded: the one that was used
 * longest ago makes room. What is not kept goes on from its row.
 */
import {
  adoptedSessionsMax,
  smallSessionsBytesMax,
  smallSessionsMax,
} from '../../registry/limits.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { UploadSession } from './session.ts'

/** Sessions nobody wrote to for this long are let go, ms. */
const parkAfterMs = 60_000

interface Kept {
  readonly session: UploadSession
  readonly usedAt: number
}

export class KeptSessions {
  readonly #clock: Clock
  /** Whether a request uses the session now. */
  readonly #isHeld: (id: string) => boolean
  readonly #smallMax: number
  /** Both: oldest use first. */
  readonly #adopted = new Map<string, Kept>()
  readonly #small = new Map<string, Kept>()

  /** `inlineLimitBytes`: what a session without a worker may have in memory. */
  constructor(clock: Clock, isHeld: (id: string) => boolean, inlineLimitBytes: number) {
    this.#clock = clock
    this.#isHeld = isHeld
    const roomFor = Math.floor(smallSessionsBytesMax / Math.max(1, inlineLimitBytes))
    this.#smallMax = Math.min(smallSessionsMax, roomFor)
  }

  get(id: string): UploadSession | undefined {
    return (this.#adopted.get(id) ?? this.#small.get(id))?.session
  }

  /** Whether a worker holds a file for the session. */
  isAdopted(id: string): boolean {
    return this.#adopted.has(id)
  }

  /** Remembers a session after a request. */
  keep(session: UploadSession): void {
    this.delete(session.id)
    const [sessions, max] = session.isAdopted
      ? [this.#adopted, adoptedSessionsMax]
      : [this.#small, this.#smallMax]
    sessions.set(session.id, { session, usedAt: this.#clock.monotonic() })
    if (sessions.size <= max) return
    for (const [id, oldest] of sessions) {
      if (this.#isHeld(id)) continue
      this.park(oldest.session)
      return
    }
  }

  /** Lets it go, and gives its worker back; row and file go on. */
  park(session: UploadSession): void {
    session.park()
    this.delete(session.id)
  }

  parkIdle(): void {
    for (const sessions of [this.#adopted, this.#small]) {
      for (const [id, { session, usedAt }] of sessions) {
        if (this.#clock.monotonic() - usedAt < parkAfterMs) break
        if (!this.#isHeld(id)) this.park(session)
      }
    }
  }

  /** It has ended. */
  delete(id: string): void {
    this.#adopted.delete(id)
    this.#small.delete(id)
  }

  parkAll(): void {
    for (const { session } of this.#adopted.values()) session.park()
    this.#adopted.clear()
    this.#small.clear()
  }
}
