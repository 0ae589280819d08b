/**
 * @module The LMDB environment: opens it and its databases, for the main thread (reads), the writer
 * worker and workers that read. The only user of lmdb-js.
 *
 * Writes run as `transactionSync` in the one writer thread, which returns when the pages are on
 * disk; the event loop only ever reads the memory map. (lmdb-js's own asynchronous transactions
 * never call back under Node 20 with the prebuilt binary; see native-notes.md.)
 */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { type Database, type GetOptions, open, type RootDatabase, type Transaction } from 'lmdb'
import { justAfter, lastText } from '../key-order.ts'
import { DATABASES, type DatabaseName, type Table } from '../schema.ts'

/** Address space reserved for the map, bytes. Only what is stored takes memory or disk. */
const mapBytesMin = 256 * 1024 ** 3
/** So many times what is stored at the start. */
const mapFactor = 4

/**
 * Room for what comes until the next start. Not more than is needed: some machines (ARM with addresses of 39 bits) have
 * no more than 512 GiB for all.
 */
export function mapBytesFor(storedBytes: number): number {
  return Math.max(mapBytesMin, mapFactor * storedBytes)
}

export interface RangeOptions {
  /** First key to return, inclusive. */
  readonly start: readonly string[] | string
  /** Key to stop before. */
  readonly end: readonly string[] | string
  readonly limit?: number
  /** From `start`, which lies behind `end`, towards the first key. */
  readonly reverse?: true
  /** Leaves `start` itself out. */
  readonly exclusiveStart?: true
}

export class LmdbEnvironment {
  readonly #root: RootDatabase
  readonly #databases: Record<string, Database>
  #mayWriteMuch = false
  /** What reads are given to show one state of the store; undefined: that of the event loop's turn. */
  #pinned: { readonly transaction: Transaction } | undefined

  /** Creates the folder's databases where they are missing. `isRelaxed`: see `writeSync`. */
  constructor(path: string, isRelaxed: boolean) {
    this.#root = open({
      path,
      maxDbs: 64,
      mapSize: mapBytesFor(statSync(join(path, 'data.mdb'), { throwIfNoEntry: false })?.size ?? 0),
      maxReaders: 254,
      noMetaSync: isRelaxed,
    })
    this.#databases = {}
    for (const [name, table] of Object.entries(DATABASES)) {
      this.#databases[name] = this.#root.openDB({ name, ...encodingOf(table) })
    }
  }

  get(database: DatabaseName, key: unknown): unknown {
    return this.#databases[database]!.get(key as string, this.#pinned)
  }

  /** Bytes of a binary row, valid only until the next read: use them before any await. */
  getBytes(database: DatabaseName, key: string): Uint8Array | undefined {
    const shared = this.#binaryFast(database, key)
    // lmdb-js hands out its one read buffer with `length` overwritten: only that can be believed.
    return shared && new Uint8Array(shared.buffer, shared.byteOffset, shared.length)
  }

  /** Bytes of a value as it is stored; 0 where there is none. Decodes nothing. */
  valueLength(database: DatabaseName, key: unknown): number {
    const shared = this.#binaryFast(database, key as string)
    return shared === undefined ? 0 : shared.length
  }

  /** Its types leave out the options, which `get` hands on to it. */
  #binaryFast(database: DatabaseName, key: string): Buffer | undefined {
    const table = this.#databases[database] as {
      getBinaryFast(key: string, options?: GetOptions): Buffer | undefined
    }
    return table.getBinaryFast(key, this.#pinned)
  }

  put(database: DatabaseName, key: unknown, row: unknown): void {
    void this.#databases[database]!.put(key as string, row)
  }

  delete(database: DatabaseName, key: unknown): void {
    void this.#databases[database]!.remove(key as string)
  }

  firstKeys(database: DatabaseName, prefix: readonly string[], limit?: number): unknown[] {
    const range = { start: [...prefix], end: [...prefix, lastText], ...this.#pinned }
    const options = limit === undefined ? range : { ...range, limit }
    return [...this.#databases[database]!.getKeys(options)]
  }

  keysFrom(database: DatabaseName, start: readonly string[], limit: number): (readonly string[])[] {
    const range = { ...mutable({ start, end: lastText, limit }), ...this.#pinned }
    return [...this.#databases[database]!.getKeys(range)] as unknown as string[][]
  }

  /** Keys in byte order. Iterate to the end at once: the cursor lives in this turn's snapshot. */
  keys(database: DatabaseName, range: RangeOptions): Iterable<unknown> {
    return this.#databases[database]!.getKeys({ ...mutable(range), ...this.#pinned })
  }

  /** Keys and rows in byte order. */
  entries(database: DatabaseName, range: RangeOptions): Iterable<{ key: unknown; value: unknown }> {
    return this.#databases[database]!.getRange({ ...mutable(range), ...this.#pinned })
  }

  /**
   * Runs `work` in the one write transaction; on disk when it returns (opened relaxed: the last
   * transaction may be undone by a power loss, never torn). Throws what LMDB throws, with nothing
   * applied. Blocks its thread: only the writer worker calls it.
   */
  writeSync<T>(work: () => T): T {
    if (!this.#mayWriteMuch) this.#beginSmall()
    return this.#root.transactionSync(work)
  }

  /**
   * Gives a copied environment its first free pages. A compacting copy has none, and lmdb 3.5.6 corrupts
   * memory when the first transaction on it is large (some thousand overwrites or deletes: SIGSEGV or a
   * failed assertion, each time). After one small commit it never did; see native-notes.md.
   */
  #beginSmall(): void {
    this.#mayWriteMuch = true
    const { free } = this.#root.getStats() as { free: { entryCount: number } }
    if (free.entryCount > 0) return
    this.#root.transactionSync(() => {
      this.put('system', 'firstWrite', 1)
      this.delete('system', 'firstWrite')
    })
  }

  /** Makes reads of this thread see what other threads have committed. */
  refresh(): void {
    this.#pinned?.transaction.done()
    this.#root.resetReadTxn()
    if (this.#pinned !== undefined) this.pin()
  }

  /**
   * From now on reads of this thread show one state of the store, until the next `refresh`. The writer keeps the
   * pages of that state meanwhile.
   */
  pin(): void {
    this.#pinned = { transaction: this.#root.useReadTransaction() }
  }

  count(database: DatabaseName): number {
    return (this.#databases[database]!.getStats() as { entryCount: number }).entryCount
  }

  /**
   * Writes a consistent copy of everything committed so far into a folder, beside running writes. Its
   * first transaction is to be small: `writeSync` sees to it.
   */
  async copyTo(folder: string): Promise<void> {
    await this.#root.backup(folder, true)
  }

  async close(): Promise<void> {
    this.#pinned?.transaction.done()
    this.#pinned = undefined
    await this.#root.close()
  }
}

/** Rows of other shapes than these are stored with the names of their fields: they never add a shape. */
function encodingOf({ values, shapes }: Table): object {
  if (shapes === undefined) return { encoding: values }
  // The encoder writes into what it is given.
  const getStructures = () => shapes.map((fields) => [...fields])
  return { encoding: values, getStructures, maxSharedStructures: shapes.length }
}

function mutable(range: RangeOptions): { start: string[]; end: string[]; limit?: number } {
  return range as { start: string[]; end: string[]; limit?: number }
}

/**
 * The range of all keys that start with these components, after `last` when given. No component
 * and no `last` holds U+0001, so appending it means "just after".
 */
export function prefixRange(prefix: readonly string[], last?: string): RangeOptions {
  const after = last === undefined ? undefined : justAfter(last)
  if (prefix.length === 0) return { start: after ?? '', end: lastText }
  const end = [...prefix, lastText]
  return after === undefined ? { start: prefix, end } : { start: [...prefix, after], end }
}

/** The range of all keys that start with these components, before `before` when given, last first. */
export function backwardRange(prefix: readonly string[], before?: string): RangeOptions {
  const end = prefix.length === 0 ? '' : prefix
  const last = before ?? lastText
  const start = prefix.length === 0 ? last : [...prefix, last]
  return { start, end, reverse: true, exclusiveStart: true }
}
