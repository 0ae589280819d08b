/**
 * @module What an open write transaction lets its changes do, whatever the store is.
 */
import type { DatabaseName } from './schema.ts'

/** The open write transaction of a store. */
export interface RowAccess {
  get(database: DatabaseName, key: unknown): unknown
  put(database: DatabaseName, key: unknown, row: unknown): void
  delete(database: DatabaseName, key: unknown): void
  /** The first keys that start with these components; without `limit` all of them. */
  firstKeys(database: DatabaseName, prefix: readonly string[], limit?: number): unknown[]
  /** Keys of components from this one on. */
  keysFrom(database: DatabaseName, start: readonly string[], limit: number): (readonly string[])[]
}
