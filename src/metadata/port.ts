/**
 * @module What the use cases need of the metadata, as a port: rows to read, transactions to commit, and
 * who hears of what was applied. LMDB implements it for real; a twin in memory serves unit tests.
 */
import type { Digest } from '../registry/digest.ts'
import type { EffectListener } from './effects.ts'
import type { SeenEntry } from './entry.ts'
import type { DatabaseName, Databases } from './schema.ts'
import type { CommitOutcome, Transaction } from './transaction.ts'

export interface MetadataReader {
  /** The row as last committed, straight from the memory map. */
  get<N extends DatabaseName>(
    database: N,
    key: Databases[N]['key'],
  ): Databases[N]['row'] | undefined
  /** Bytes of a binary row: a view that is valid only until the next call. Use it before an await. */
  getBytes(database: 'manifestBytes' | 'blobBytes', key: Digest): Uint8Array | undefined
  /**
   * Keys below `prefix` in byte order, after `last` when given; at most `limit` (bounded by
   * `scanEntriesPerTurn`: longer scans go on in a later turn of the event loop).
   */
  keys<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    last: string | undefined,
    limit: number,
  ): Databases[N]['key'][]
  entries<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    last: string | undefined,
    limit: number,
  ): { key: Databases[N]['key']; row: Databases[N]['row'] }[]
  /**
   * Entries below `prefix` after `last` whose stored values have at most `bytesMax` bytes together,
   * at least one entry; `row` is undefined where a value alone has more: it is not decoded. At most
   * `limit`; fewer do not mean that this was the end.
   */
  entriesWithin<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    last: string | undefined,
    limit: number,
    bytesMax: number,
  ): { key: Databases[N]['key']; row: Databases[N]['row'] | undefined }[]
  /** The same from the end: keys below `prefix` before `before` when given, the last ones first. */
  keysBackward<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    before: string | undefined,
    limit: number,
  ): Databases[N]['key'][]
  entriesBackward<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    before: string | undefined,
    limit: number,
  ): { key: Databases[N]['key']; row: Databases[N]['row'] }[]
  /** Rows of a database, as kept by the store: costs nothing, however many there are. */
  count(database: DatabaseName): number
  /**
   * Brings a binary row into memory from another thread, when it was not read lately: undefined
   * when it is known to be resident, so that the fast path has nothing to wait for.
   */
  pageIn(database: 'manifestBytes' | 'blobBytes', key: Digest): Promise<void> | undefined
}

export interface MetadataStore extends MetadataReader {
  /**
   * Applies all of it or nothing. On disk when it resolves, and visible to every later read.
   * Throws UNAVAILABLE when too much waits, and a 507 or 500 RegistryError when the disk refuses;
   * then nothing was applied.
   */
  commit(transaction: Transaction): Promise<CommitOutcome>
  /** Transactions that were asked for so far, by anybody, on this node; of other nodes those that were applied. */
  readonly commitCount: number
  /**
   * Tells what every applied transaction changed, when reads see it and before its caller hears of it:
   * what was derived from the old rows can be dropped without a gap.
   */
  onApplied(listener: EffectListener): void
  /** Calls back when transactions may have been applied whose outcome nobody learned. */
  onDoubt(listener: () => void): void
  /**
   * Where other nodes change the rows too. To be called before a read of a row that changes. Undefined: the rows
   * here are as new as any answer that was given anywhere. Else when they are; rejects with LOG_SILENT when that
   * cannot be found out.
   */
  fresh?(): Promise<void> | undefined
  /**
   * To be called after the read, before the answer, with what it rests on (`paths.ts`). Undefined: no node gives an
   * older answer. Else resolves when none does any more; rejects with LOG_SILENT.
   */
  settled?(path: string): Promise<void> | undefined
}

/** Which nodes show which entries of the log, as the front end of one of them has to know it. */
export interface ReadGate {
  fresh(): Promise<void> | undefined
  settled(path: string): Promise<void> | undefined
  /** Resolves when reads of all nodes that answer on their own show the entry; undefined: they do. */
  whenStable(index: number): Promise<void> | undefined
  /** Entries were applied, and reads here show them. */
  onSeen(entries: readonly SeenEntry[]): void
  /** Reads here show an entry, which may not have been heard of yet. */
  onShown(index: number): void
  /** Goes out of the set in an orderly way: resolves when no write waits for reads here, or after a second. */
  leave(): Promise<void>
  /** Ends all waiting: it rejects. */
  close(): void
}
