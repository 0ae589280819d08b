/**
 * @module Events have numbers: each is one more than the one before, given by the one writer inside
 * the write transaction (`derived-rows.ts`). So whoever has read up to a number has seen everything up
 * to it, whatever clocks say. The last number that was given stands in `totals.sequence`; it outlives
 * the events themselves. A store that is made out of a backup begins at a number that its model
 * cannot have reached (`afterRestore`), because readers may have seen more of that one.
 */

import { numberKey } from './ordered-key.ts'
import type { MetadataReader } from './port.ts'
import type { EventRow } from './schema.ts'

/** The key of the event with this number. */
export const eventKey = numberKey

/** The last number that was given; 0 before the first. */
export function lastEventNumber(metadata: MetadataReader): number {
  return metadata.get('totals', 'sequence') ?? 0
}

/** The number of the oldest event that is kept, or of the next when there is none. */
export function oldestEventNumber(metadata: MetadataReader): number {
  // Read first: an event that comes in between would make the oldest look like a later one.
  const last = lastEventNumber(metadata)
  const [oldest] = metadata.keys('events', [], undefined, 1)
  return oldest === undefined ? last + 1 : Number(oldest)
}

/** The latest time of all events up to this one; never goes back. */
export function eventClock(row: EventRow): number {
  return row.clock ?? row.at
}

/**
 * The last number before the first event that may be of `at` or later: whatever is up to it is older.
 * Some twenty looks, however many events there are.
 */
export function numberBefore(metadata: MetadataReader, at: number): number {
  let low = oldestEventNumber(metadata) - 1
  let high = lastEventNumber(metadata)
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    // The next that is there: numbers may be missing after a restore.
    const [next] = metadata.entries('events', [], eventKey(middle), 1)
    if (next === undefined || eventClock(next.row) >= at) high = middle
    else low = Number(next.key)
  }
  return low
}

/** Numbers that a store may give in a millisecond, and in all of its time since a backup. */
const numbersPerMs = 1_024
const numbersSinceBackup = 2 ** 32

/**
 * The number to go on from in a store that was made out of a backup. By the time, so that two copies
 * of one backup differ; far behind the last number where the clock is behind.
 */
export function afterRestore(sequence: number, now: number): number {
  const byTime = Math.floor(now) * numbersPerMs
  return byTime > sequence ? byTime : sequence + numbersSinceBackup
}
