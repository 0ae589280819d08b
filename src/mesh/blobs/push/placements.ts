/**
 * @module What has become of the blobs that clients have pushed here: counted, and said in the log where they have
 * fewer copies than they should.
 * @apart what is counted and said is no part of how copies are made, nor of how the mesh's parts are put together
 */
import type { SharedCounts } from '../../../blobs/shared-port.ts'
import type { Clock } from '../../../runtime/clock.ts'
import type { Placement } from './spread.ts'

/** Between two lines of the log, ms. */
const saidEveryMs = 60_000

export class Placements implements SharedCounts {
  readonly placements = new Map<Placement, number>()
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #log: { warn(fields: object, message: string): void }
  #saidAt: number | undefined

  constructor(
    clock: Pick<Clock, 'monotonic'>,
    log: { warn(fields: object, message: string): void },
  ) {
    this.#clock = clock
    this.#log = log
  }

  count(outcome: Placement): void {
    const count = (this.placements.get(outcome) ?? 0) + 1
    this.placements.set(outcome, count)
    if (outcome !== 'degraded') return
    const now = this.#clock.monotonic()
    if (this.#saidAt !== undefined && now - this.#saidAt < saidEveryMs) return
    this.#saidAt = now
    this.#log.warn(
      { event: 'mesh', sinceStart: count },
      'blobs are acknowledged with fewer copies than mesh.write_copies: nodes are away',
    )
  }
}
