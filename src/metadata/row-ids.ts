/**
 * @module Ids of jobs and plans: unique, and in the order in which they were made, also where the
 * clock was set back since. Begin with the time for people; nobody reads a time out of them.
 */

import type { Clock } from '../runtime/clock.ts'
import { type Random, randomHexId, systemRandom } from '../runtime/random.ts'
import type { MetadataReader } from './port.ts'

export class RowIds {
  readonly #metadata: MetadataReader
  readonly #database: 'jobs' | 'plans' | 'syncPlans'
  readonly #clock: Clock
  readonly #run: string
  #count = 0
  #last = 0

  constructor(
    metadata: MetadataReader,
    database: 'jobs' | 'plans' | 'syncPlans',
    clock: Clock,
    random: Random = systemRandom,
  ) {
    this.#metadata = metadata
    this.#database = database
    this.#clock = clock
    this.#run = randomHexId(random).slice(0, 8)
  }

  /** Sorts behind every id that was made here and every one that is stored. */
  next(): string {
    const [stored] = this.#metadata.keysBackward(this.#database, [], undefined, 1)
    const newest = Number(stored?.slice(0, timeDigits) ?? 0)
    // One millisecond later than what an earlier run has stored: its counter is not known.
    const isOwn = stored?.endsWith(this.#run) === true
    const at = Math.max(this.#clock.now(), this.#last, isOwn ? newest : newest + 1)
    this.#last = Math.max(0, Math.floor(at))
    this.#count += 1
    const count = this.#count.toString(36).padStart(8, '0')
    return `${this.#last.toString().padStart(timeDigits, '0')}-${count}${this.#run}`
  }
}

const timeDigits = 15

/** About when an id was made, ms since 1970; undefined: it is none. */
export function idTime(id: string): number | undefined {
  const digits = id.slice(0, timeDigits)
  return /^\d{15}$/.test(digits) && id[timeDigits] === '-' ? Number(digits) : undefined
}
