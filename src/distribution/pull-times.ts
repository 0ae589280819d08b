/**
 * @module When each tag and manifest was last pulled: noted in memory by the pull itself (one
 * comparison once it was noted), written down in batches in the background. May lag by seconds and
 * be lost in a crash, which nothing that is acknowledged may (invariant 8).
 */

import type { MetadataStore } from '../metadata/port.ts'
import type { Change } from '../metadata/transaction.ts'
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Clock } from '../runtime/clock.ts'

/** How often what was noted is written down, ms. */
const writeEveryMs = 10_000

/** Pulls noted between two writes; further ones are not noted. */
const notedMax = 50_000

/** In a mesh each write goes through the log of all nodes: one in ten minutes is enough, ms. */
export const pullsLagMs = 600_000

/** Rows of one transaction: a pull must not wait behind thousands of them. */
const rowsAtOnce = 500

/** What is pulled; `notedIn` belongs to this module. */
export interface Pulled {
  readonly repository: RepositoryName
  /** As in the path: tag or digest. */
  readonly reference: string
  readonly digest: Digest
  notedIn: number
}

export class PullTimes {
  readonly #metadata: MetadataStore
  readonly #clock: Clock
  readonly #againMs: number
  #noted: Pulled[] = []
  #writing: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  /** The interval that is being noted: what carries its number has been noted in it. */
  interval = 1

  /** `againMs`: a stored time is written over when it is older than that; 0: always. */
  constructor(metadata: MetadataStore, clock: Clock, againMs = 0) {
    this.#metadata = metadata
    this.#clock = clock
    this.#againMs = againMs
  }

  start(): void {
    this.#timer = setInterval(() => void this.write(), writeEveryMs)
    this.#timer.unref()
  }

  /** The whole cost of a pull that was noted in this interval already is the comparison. */
  note(pulled: Pulled): void {
    if (pulled.notedIn === this.interval) return
    pulled.notedIn = this.interval
    if (this.#noted.length < notedMax) this.#noted.push(pulled)
  }

  /** Writes down what was noted. What the disk refuses is lost: it is only a time. */
  write(): Promise<void> {
    const noted = this.#noted
    this.#noted = []
    this.interval += 1
    if (noted.length > 0) {
      this.#writing = this.#writing.then(() => this.#write(noted)).catch(() => undefined)
    }
    return this.#writing
  }

  async #write(noted: readonly Pulled[]): Promise<void> {
    const at = this.#clock.now()
    for (let start = 0; start < noted.length; start += rowsAtOnce) {
      const changes = noted.slice(start, start + rowsAtOnce).flatMap((it) => this.#rows(it, at))
      if (changes.length > 0) await this.#metadata.commit({ checks: [], changes })
    }
  }

  #rows({ repository, reference, digest }: Pulled, at: number): Change[] {
    const names = reference === digest ? [digest] : [digest, reference]
    const due = this.#againMs === 0 ? names : names.filter((it) => this.#isDue(repository, it, at))
    return due.map((it) => ({ change: 'put', in: 'pulls', key: [repository, it], row: at }))
  }

  #isDue(repository: RepositoryName, name: string, at: number): boolean {
    const stored = this.#metadata.get('pulls', [repository, name])
    return stored === undefined || at - stored >= this.#againMs
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.write()
  }
}
