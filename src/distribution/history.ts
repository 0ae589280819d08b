/**
 * @module The history: one row an action, written by the very transaction that does it, so that it is
 * never wrong and never missing. Keys sort by time. Old rows go by collection.
 */
import { type Random, randomHexId, systemRandom } from '../runtime/random.ts'
import type { EventRow } from '../storage/schema-cleanup.ts'
import type { Change } from '../storage/transaction.ts'

export class History {
  readonly #run: string
  #count = 0

  constructor(random: Random = systemRandom) {
    this.#run = randomHexId(random).slice(0, 8)
  }

  /** A new key: unique, and after every key of an earlier millisecond. */
  key(at: number): string {
    this.#count += 1
    return `${timeKey(at)}-${this.#count.toString(36).padStart(8, '0')}${this.#run}`
  }

  /** The change that writes an event down. */
  write(row: EventRow): Change {
    return { change: 'put', in: 'events', key: this.key(row.at), row }
  }
}

/** First part of the keys of a time: before it lies all that is older. */
export function timeKey(at: number): string {
  return Math.max(0, Math.floor(at)).toString().padStart(15, '0')
}
