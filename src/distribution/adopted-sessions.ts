/**
 * @module Upload sessions whose worker is kept between requests, so that the next chunk goes on without
 * hashing the prefix anew. Bounded: the one that was used longest ago makes room.
 */
import { adoptedSessionsMax } from '../registry/limits.ts'
import type { Clock } from '../runtime/clock.ts'
import type { UploadSession } from './upload-session.ts'

/** Sessions nobody wrote to for this long give their worker back, ms. */
const parkAfterMs = 60_000

export class AdoptedSessions {
  readonly #clock: Clock
  /** Whether a request uses the session now. */
  readonly #isHeld: (id: string) => boolean
  /** Oldest use first. */
  readonly #sessions = new Map<string, { session: UploadSession; usedAt: number }>()

  constructor(clock: Clock, isHeld: (id: string) => boolean) {
    this.#clock = clock
    this.#isHeld = isHeld
  }

  get(id: string): UploadSession | undefined {
    return this.#sessions.get(id)?.session
  }

  /** Remembers a session after a request, if a worker goes on with it. */
  keep(session: UploadSession): void {
    this.#sessions.delete(session.id)
    if (!session.isAdopted) return
    this.#sessions.set(session.id, { session, usedAt: this.#clock.monotonic() })
    if (this.#sessions.size <= adoptedSessionsMax) return
    for (const [id, oldest] of this.#sessions) {
      if (this.#isHeld(id)) continue
      this.park(oldest.session)
      return
    }
  }

  /** Gives its worker back; row and file go on. */
  park(session: UploadSession): void {
    session.park()
    this.#sessions.delete(session.id)
  }

  parkIdle(): void {
    for (const [id, { session, usedAt }] of this.#sessions) {
      if (this.#clock.monotonic() - usedAt < parkAfterMs) return
      if (!this.#isHeld(id)) this.park(session)
    }
  }

  /** It has ended. */
  delete(id: string): void {
    this.#sessions.delete(id)
  }

  parkAll(): void {
    for (const { session } of this.#sessions.values()) session.park()
    this.#sessions.clear()
  }
}
