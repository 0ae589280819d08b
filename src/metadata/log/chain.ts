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
