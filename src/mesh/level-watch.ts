/**
 * @module When the mesh goes by newer rules of the log: the programs of all members know them, and have done so for a
 * while, in which the operator may still go back to the program of before. Seen by the node that acts for all;
 * another one that takes over begins again.
 */
import { levelOf, levelOfRun } from '../metadata/apply/level.ts'
import type { MetadataReader } from '../metadata/port.ts'
import { hasRows } from '../metadata/rows/member-state.ts'
import { allMembers, sessionOf } from './membership/roster.ts'

type Rows = Pick<MetadataReader, 'entries' | 'get'>

/** From the last node that knows newer rules until they are in force, ms. */
export const raiseAfterMs = 10 * 60_000

/** The newest rules that the programs of all members know that have not left; those in force, where none are newer. */
export function levelOfAll(rows: Rows): number {
  const known = allMembers(rows)
    .filter(({ state }) => hasRows(state))
    .map(({ number }) => levelOfRun(sessionOf(rows, number)))
  return Math.max(levelOfRows(rows), known.length === 0 ? 0 : Math.min(...known))
}

/** The rules in force. */
export function levelOfRows(rows: Rows): number {
  return levelOf({ get: (database, key) => rows.get(database, key as never) })
}

export class LevelWatch {
  readonly #afterMs: number
  #seen: { readonly level: number; readonly since: number } | undefined

  constructor(afterMs: number = raiseAfterMs) {
    this.#afterMs = afterMs
  }

  /** Looks at the rows now, ms of a monotonic clock. The level to go by from now on; undefined: it stays. */
  look(rows: Rows, now: number): number | undefined {
    const level = levelOfAll(rows)
    if (level <= levelOfRows(rows)) {
      this.#seen = undefined
      return undefined
    }
    if (this.#seen?.level !== level) this.#seen = { level, since: now }
    return now - this.#seen.since >= this.#afterMs ? level : undefined
  }

  /** This node does not act for all: what it has seen counts no more. */
  forget(): void {
    this.#seen = undefined
  }
}
