/**
 * @module The chain: a hash over all entries of the log, what they were found to be, and every shared row that
 * they wrote. Two nodes with the same chain at the same index have the same rows. One that differs has lost an
 * entry, has other rules, or let a clock into apply.
 */
import { createHash, type Hash } from 'node:crypto'
import { Packr } from 'msgpackr'
import type { AppliedEntry } from '../entry.ts'
import type { RowAccess } from '../row-access.ts'
import { DATABASES, type DatabaseName } from '../schema.ts'
import type { LogEntry } from './port.ts'

/** Before the first entry. */
export const chainStart: Uint8Array = new Uint8Array(32)

const packr = new Packr({ useRecords: false, variableMapSize: true })

/** The rows of a store, with the hash of what one entry writes into them. */
export class ChainedRows implements RowAccess {
  readonly #rows: RowAccess
  readonly #hash: Hash

  constructor(rows: RowAccess, before: Uint8Array, { bytes }: LogEntry) {
    this.#rows = rows
    this.#hash = createHash('sha256').update(before).update(bytes)
  }

  get(database: DatabaseName, key: unknown): unknown {
    return this.#rows.get(database, key)
  }

  put(database: DatabaseName, key: unknown, row: unknown): void {
    if (DATABASES[database].scope === 'shared') this.#add([database, key, row])
    this.#rows.put(database, key, row)
  }

  delete(database: DatabaseName, key: unknown): void {
    if (DATABASES[database].scope === 'shared') this.#add([database, key])
    this.#rows.delete(database, key)
  }

  firstKeys(database: DatabaseName, prefix: readonly string[], limit?: number): unknown[] {
    return this.#rows.firstKeys(database, prefix, limit)
  }

  keysFrom(database: DatabaseName, start: readonly string[], limit: number): (readonly string[])[] {
    return this.#rows.keysFrom(database, start, limit)
  }

  /** The chain behind the entry; nothing can be written through this afterwards. */
  end({ fate, outcomes, done }: AppliedEntry): Uint8Array {
    this.#add([fate, done, outcomes.map(({ applied }) => applied)])
    return this.#hash.digest()
  }

  #add(value: unknown): void {
    this.#hash.update(packr.pack(value))
  }
}

/** The chain of a member behind an entry. */
export interface SaidChain {
  readonly at: number
  readonly hash: Uint8Array
}

/**
 * Compares the chain here with those that other members say in their beats. Who disagrees with as many as could be a
 * majority has lost an entry or has other rules, and must answer nothing more; of two that disagree, neither knows
 * which.
 */
export class ChainWatch {
  /** Members whose last comparable beat said another chain. */
  readonly #differ = new Set<number>()

  /**
   * A member has said its chain; `own`: the one here behind the same entry, undefined when that is not known.
   * `present`: how many members there are, this one too. Returns whether the two differ for the first time, and
   * whether this node is to go.
   */
  hear(
    member: number,
    said: SaidChain,
    own: Uint8Array | undefined,
    present: number,
  ): { readonly isNew: boolean; readonly isFenced: boolean } {
    if (own === undefined) return { isNew: false, isFenced: false }
    if (Buffer.compare(said.hash, own) === 0) {
      this.#differ.delete(member)
      return { isNew: false, isFenced: false }
    }
    const isNew = !this.#differ.has(member)
    this.#differ.add(member)
    return { isNew, isFenced: this.#differ.size * 2 >= present }
  }
}
