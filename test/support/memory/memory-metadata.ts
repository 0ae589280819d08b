/**
 * @module The metadata in memory: the same transactions, the same order, nothing on disk. The twin
 * of `metadata/lmdb/store.ts` for unit tests, and the model that the real one is compared with.
 */
import { serialize } from 'node:v8'
import { applyTogether } from '../../../src/metadata/apply/transaction.ts'
import { type EffectListener, tellEffects } from '../../../src/metadata/effects.ts'
import type { MetadataStore } from '../../../src/metadata/port.ts'
import type { RowAccess } from '../../../src/metadata/row-access.ts'
import type { DatabaseName, Databases } from '../../../src/metadata/schema.ts'
import {
  type CommitOutcome,
  type Transaction,
  withOwnBytes,
} from '../../../src/metadata/transaction.ts'
import type { Digest } from '../../../src/registry/digest.ts'

type Key = string | readonly string[]
type Entry<N extends DatabaseName> = { key: Databases[N]['key']; row: Databases[N]['row'] }

export class MemoryMetadataStore implements MetadataStore {
  readonly #tables = new Map<DatabaseName, Table>()
  readonly #listeners: EffectListener[] = []
  commitCount = 0
  /** Thrown by every commit while it is set: a disk that refuses. */
  failure: Error | undefined

  get<N extends DatabaseName>(
    database: N,
    key: Databases[N]['key'],
  ): Databases[N]['row'] | undefined {
    return structuredClone(this.#table(database).get(key)) as Databases[N]['row'] | undefined
  }

  getBytes(database: 'manifestBytes' | 'blobBytes', key: Digest): Uint8Array | undefined {
    return this.get(database, key)
  }

  keys<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    last: string | undefined,
    limit: number,
  ): Databases[N]['key'][] {
    return this.entries(database, prefix, last, limit).map(({ key }) => key)
  }

  entries<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    last: string | undefined,
    limit: number,
  ): Entry<N>[] {
    const found = this.#table(database).range(prefix, last, limit)
    return structuredClone(found) as unknown as Entry<N>[]
  }

  entriesWithin<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    last: string | undefined,
    limit: number,
    bytesMax: number,
  ): { key: Databases[N]['key']; row: Databases[N]['row'] | undefined }[] {
    const found: { key: Databases[N]['key']; row: Databases[N]['row'] | undefined }[] = []
    let bytes = 0
    for (const { key, row } of this.entries(database, prefix, last, limit)) {
      // About what it takes on disk.
      const length = serialize(row).byteLength
      bytes += length
      if (bytes > bytesMax && found.length > 0) break
      found.push({ key, row: length > bytesMax ? undefined : row })
    }
    return found
  }

  keysBackward<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    before: string | undefined,
    limit: number,
  ): Databases[N]['key'][] {
    return this.entriesBackward(database, prefix, before, limit).map(({ key }) => key)
  }

  entriesBackward<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    before: string | undefined,
    limit: number,
  ): Entry<N>[] {
    const all = this.#table(database).range(prefix, undefined, Number.POSITIVE_INFINITY)
    const found = all.filter(({ key }) => {
      if (before === undefined) return true
      const component = typeof key === 'string' ? key : key[prefix.length]!
      return compareBytes(component, before) < 0
    })
    return structuredClone(found.reverse().slice(0, limit)) as unknown as Entry<N>[]
  }

  pageIn(): undefined {
    return undefined
  }

  /** Applied in the order of the calls, known in a later turn of the event loop: as on disk. */
  async commit(transaction: Transaction): Promise<CommitOutcome> {
    this.commitCount += 1
    const copy = withOwnBytes(structuredClone(transaction))
    await new Promise((resolve) => setImmediate(resolve))
    if (this.failure !== undefined) throw this.failure
    const outcome = applyTogether(this.#rows, [[copy]])[0]![0]!
    if (outcome.applied)
      for (const listener of this.#listeners) tellEffects(copy, outcome, listener)
    return outcome
  }

  /** Applies all of them in one turn, as a writer does with what waits. Nobody hears of it. */
  applyBatch(transactions: readonly Transaction[]): CommitOutcome[] {
    return applyTogether(this.#rows, [structuredClone(transactions).map(withOwnBytes)])[0]!
  }

  onApplied(listener: EffectListener): void {
    this.#listeners.push(listener)
  }

  /** Every outcome is known here. */
  onDoubt(): void {}

  count(database: DatabaseName): number {
    return this.#table(database).range([], undefined, Number.POSITIVE_INFINITY).length
  }

  readonly #rows: RowAccess = {
    get: (database, key) => this.#table(database).get(key as Key),
    put: (database, key, row) => this.#table(database).put(key as Key, row),
    delete: (database, key) => this.#table(database).delete(key as Key),
    firstKeys: (database, prefix, limit) =>
      this.#table(database)
        .range(prefix, undefined, limit ?? Number.POSITIVE_INFINITY)
        .map(({ key }) => key),
    keysFrom: (database, start, limit) => this.#table(database).from(start, limit),
  }

  #table(database: DatabaseName): Table {
    let table = this.#tables.get(database)
    if (table === undefined) {
      table = new Table()
      this.#tables.set(database, table)
    }
    return table
  }
}

/** Rows in the order of their keys. */
class Table {
  readonly #entries: { readonly key: Key; row: unknown }[] = []

  get(key: Key): unknown {
    const { index, isFound } = this.#find(key)
    return isFound ? this.#entries[index]!.row : undefined
  }

  put(key: Key, row: unknown): void {
    const { index, isFound } = this.#find(key)
    if (isFound) this.#entries[index]!.row = row
    else this.#entries.splice(index, 0, { key, row })
  }

  delete(key: Key): void {
    const { index, isFound } = this.#find(key)
    if (isFound) this.#entries.splice(index, 1)
  }

  from(start: readonly string[], limit: number): (readonly string[])[] {
    const { index } = this.#find(start)
    const found = this.#entries.slice(index, index + limit)
    return found.map(({ key }) => (typeof key === 'string' ? [key] : key))
  }

  range(prefix: readonly string[], last: string | undefined, limit: number) {
    const found: { readonly key: Key; row: unknown }[] = []
    for (const entry of this.#entries) {
      if (found.length >= limit) break
      const components = typeof entry.key === 'string' ? [entry.key] : entry.key
      if (!prefix.every((component, index) => components[index] === component)) continue
      if (last !== undefined && compareBytes(components[prefix.length]!, last) <= 0) continue
      found.push(entry)
    }
    return found
  }

  /** Where the key is, or where it would be. */
  #find(key: Key): { index: number; isFound: boolean } {
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const order = compareKeys(this.#entries[middle]!.key, key)
      if (order === 0) return { index: middle, isFound: true }
      if (order < 0) low = middle + 1
      else high = middle
    }
    return { index: low, isFound: false }
  }
}

function compareKeys(a: Key, b: Key): number {
  if (typeof a === 'string' || typeof b === 'string') return compareBytes(String(a), String(b))
  for (let index = 0; index < Math.min(a.length, b.length); index += 1) {
    const order = compareBytes(a[index]!, b[index]!)
    if (order !== 0) return order
  }
  return a.length - b.length
}

/** UTF-16 order is not byte order beyond the basic plane. */
function compareBytes(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b))
}
