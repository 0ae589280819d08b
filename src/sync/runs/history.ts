/**
 * @module A source that tells what changed, in a run: what its history says since the place that is kept is done, some
 * of it at a time, and only then the place is kept. A crash in between lets some of it be done again. What fails is
 * written in the rows of its repository and its tags: the place goes on, and the next run tries these again.
 *
 *   place ──► changes ──► repositories, and those that are unfinished ──► all ended, written ──► place
 *     └─────► too old, or there is none: the place of now ──► all is listed ──► all ended ──► place
 */
import type { SyncStateRow } from '../../metadata/rows/upstream.ts'
import type { ChangedRepository } from '../port.ts'
import { patiently, type RunScope } from './scope.ts'

/** Answers of one run, each of up to 20,000 events: a peer that always has more keeps none going for ever. */
const partsMax = 500

export interface HistoryHow {
  /** All is listed, whatever the history says. */
  readonly isFull: boolean
  /** Begins to do what is told of a repository; undefined: what is left of it. */
  readonly look: (name: string, told: ChangedRepository | undefined) => Promise<void>
  /** Resolves when all that was begun has ended. */
  readonly ended: () => Promise<void>
  readonly keep: (some: Partial<SyncStateRow>) => Promise<void>
  /** Names that were looked at: emptied for each part, as the next one may tell more of them. */
  readonly seen: Set<string>
}

export interface Followed {
  /** Everything has to be listed. */
  readonly isFull: boolean
  /** The place to go on with after that; undefined: the one that is kept, or there is none. */
  readonly cursor?: string | undefined
  /** For the operator. */
  readonly message?: string
}

export class History {
  readonly #scope: RunScope
  readonly #how: HistoryHow

  constructor(scope: RunScope, how: HistoryHow) {
    this.#scope = scope
    this.#how = how
  }

  /** Does what the history tells. Throws as the source does; then the place is the one up to which all is done. */
  async follow(): Promise<Followed> {
    const { parts, tally, soft } = this.#scope
    const { isFull, look, ended, seen } = this.#how
    let cursor = isFull ? undefined : this.#place()
    tally.phase = 'listing'
    for (let part = 0; ; part += 1) {
      const from = cursor
      const told = await patiently(this.#scope, () => parts.upstream.changes!(from, soft))
      if (told.kind === 'full-pass') {
        const { message } = told
        if (told.cursor === undefined) return { isFull: true, message }
        return { isFull: true, cursor: told.cursor, ...(from === undefined ? {} : { message }) }
      }
      seen.clear()
      for (const repository of told.repositories) await look(repository.name, repository)
      if (part === 0) await this.#left()
      await ended()
      await this.keep({}, told.cursor)
      cursor = told.cursor
      if (!told.hasMore) return { isFull: this.#isFullDue() }
      if (part + 1 < partsMax) continue
      tally.leftOut()
      return { isFull: this.#isFullDue(), message: 'the history goes on: the next run follows it' }
    }
  }

  /** Keeps a place once all that was noted before is on disk. */
  async keep(some: Partial<SyncStateRow>, cursor: string | undefined): Promise<void> {
    const { parts, soft } = this.#scope
    soft.throwIfAborted()
    await parts.journal.flush()
    const place = cursor === undefined ? {} : { cursor, cursorFingerprint: parts.fingerprint }
    await this.#how.keep({ ...some, ...place })
  }

  /** What earlier runs could not finish. */
  async #left(): Promise<void> {
    const { journal, config, selection } = this.#scope.parts
    const names: string[] = []
    for await (const { repository, row } of journal.repositories(config.name)) {
      const isLeft = row.unfinished !== undefined && selection.isSelected(repository)
      if (isLeft) names.push(repository)
    }
    for (const name of names) if (!this.#how.seen.has(name)) await this.#how.look(name, undefined)
  }

  /** Of other filters, or of another registry: it says nothing. */
  #place(): string | undefined {
    const { journal, config, fingerprint } = this.#scope.parts
    const state = journal.state(config.name)
    return state?.cursorFingerprint === fingerprint ? state.cursor : undefined
  }

  #isFullDue(): boolean {
    const { journal, config, clock } = this.#scope.parts
    const { fullPassAt } = journal.state(config.name) ?? {}
    const age = fullPassAt === undefined ? undefined : clock.now() - fullPassAt
    // Below 0: the clock was set back.
    return age === undefined || age < 0 || age >= config.fullEveryMs
  }
}
