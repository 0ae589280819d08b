/**
 * @module Reads of the metadata as the collection needs them, on whichever thread: the memory map of
 * a worker, or the store of the main thread (`explain`).
 */
import type { DatabaseName, Databases } from '../../metadata/schema.ts'

export interface Entry<N extends DatabaseName> {
  readonly key: Databases[N]['key']
  readonly row: Databases[N]['row']
}

export interface Rows {
  get<N extends DatabaseName>(
    database: N,
    key: Databases[N]['key'],
  ): Databases[N]['row'] | undefined
  /** Every row whose key starts with these components, in order. */
  below<N extends DatabaseName>(database: N, prefix: readonly string[]): Iterable<Entry<N>>
  /** The same without the rows. */
  keysBelow<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
  ): Iterable<Databases[N]['key']>
}
