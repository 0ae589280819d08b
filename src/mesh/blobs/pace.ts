/**
 * @module How fast files of blobs are brought in line in the background: what is read or fetched for it is paid for,
 * so pulls and pushes have the rest of the disk.
 */
import type { Clock } from '../../runtime/clock.ts'
import { Rate } from '../../runtime/token-bucket.ts'

/** What one kind of such work reads or fetches in a second where nothing else is said, bytes. */
export const paceBytesPerSecond = 64 * 1024 * 1024
/** Between two looks at whether it goes on, ms. */
const waitMsMax = 1_000

export class Pace {
  readonly #rate: Rate
  readonly #goesOn: () => boolean

  /**
   * `saved`: what can be used at once. `goesOn`: asked about once a second while it waits. `perSecond`: bytes; 0: no
   * bound.
   */
  constructor(
    clock: Clock,
    saved: 'all' | 'nothing',
    goesOn: () => boolean,
    perSecond = paceBytesPerSecond,
  ) {
    this.#rate = new Rate(perSecond, clock, saved)
    this.#goesOn = goesOn
  }

  /** Resolves when the next bytes may be used, or when it does not go on. */
  async pay(bytes: number, isWanted: () => boolean = () => true): Promise<void> {
    let waitMs = this.#rate.take(bytes)
    while (waitMs > 0 && this.#goesOn() && isWanted()) {
      const restMs = Math.min(waitMs, waitMsMax)
      await new Promise((resolve) => setTimeout(resolve, restMs))
      waitMs = this.#rate.take(0)
    }
  }
}
