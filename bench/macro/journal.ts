/**
 * @module The rows of a run on disk as each ends: a run takes an hour of a quiet machine, and one that was ended
 * goes on behind the rows that it has.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { RowResult } from './bench.ts'

/** How a row ended. */
export type RowOutcome =
  | { readonly kind: 'measured'; readonly row: RowResult }
  | { readonly kind: 'failed' | 'skipped'; readonly id: string; readonly reason: string }

export class RowJournal {
  readonly #file: string | undefined
  readonly #kept = new Map<string, RowOutcome>()

  /**
   * `run` says what was measured, where and how, in one line. A file of another run is begun anew. Without a file
   * nothing is kept. Throws when the file cannot be written.
   */
  constructor(file: string | undefined, run: string) {
    this.#file = file
    if (file === undefined) return
    const [first, ...lines] = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
    if (first !== run) {
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, `${run}\n`)
      return
    }
    // Behind the last newline is nothing, or what was being written when the run was ended.
    const whole = lines.slice(0, -1)
    writeFileSync(file, `${[run, ...whole].join('\n')}\n`)
    for (const line of whole) {
      const outcome = JSON.parse(line) as RowOutcome
      // What failed is tried again.
      if (outcome.kind !== 'failed') this.#kept.set(idOf(outcome), outcome)
    }
  }

  /** What an earlier part of this run has of a row; undefined: it has to be measured. */
  get(id: string): RowOutcome | undefined {
    return this.#kept.get(id)
  }

  add(outcome: RowOutcome): void {
    if (this.#file !== undefined) appendFileSync(this.#file, `${JSON.stringify(outcome)}\n`)
  }
}

const idOf = (outcome: RowOutcome): string =>
  outcome.kind === 'measured' ? outcome.row.id : outcome.id
