/**
 * @module A metadata write as data: checks that must all hold and changes that are applied together
 * or not at all. No code outside `src/storage` opens a transaction of its own; this is what a
 * replicated store can carry unchanged, and what makes races arguable.
 */
import { isDeepStrictEqual } from 'node:util'
import type { DatabaseName, Databases, Timestamp } from './schema.ts'

type Key<N extends DatabaseName> = Databases[N]['key']
type Row<N extends DatabaseName> = Databases[N]['row']

export type Check = {
  [N in DatabaseName]:
    | { readonly check: 'absent'; readonly in: N; readonly key: Key<N> }
    | { readonly check: 'present'; readonly in: N; readonly key: Key<N> }
    /** The row is still what the caller read. */
    | { readonly check: 'unchanged'; readonly in: N; readonly key: Key<N>; readonly row: Row<N> }
    /** No key starts with these components. */
    | { readonly check: 'none'; readonly in: N; readonly prefix: readonly string[] }
}[DatabaseName]

export type Change =
  | {
      [N in DatabaseName]:
        | { readonly change: 'put'; readonly in: N; readonly key: Key<N>; readonly row: Row<N> }
        | {
            readonly change: 'putIfAbsent'
            readonly in: N
            readonly key: Key<N>
            readonly row: Row<N>
          }
        | { readonly change: 'delete'; readonly in: N; readonly key: Key<N> }
    }[DatabaseName]
  /**
   * Raises `linkedAt` of a blob: it is relied on from now. Fails the transaction when the row is
   * gone. This is one half of check-and-touch: collection deletes a row only if it is unchanged.
   */
  | {
      readonly change: 'touch'
      readonly in: 'blobs'
      readonly key: Key<'blobs'>
      readonly at: Timestamp
    }
  /** The same of a manifest in its repository: raises `reliedAt`. */
  | {
      readonly change: 'touch'
      readonly in: 'manifests'
      readonly key: Key<'manifests'>
      readonly at: Timestamp
    }

export interface Transaction {
  readonly checks: readonly Check[]
  readonly changes: readonly Change[]
}

/** Applied, or the first check (or touch) that did not hold; then nothing was changed. */
export type CommitOutcome =
  | { readonly applied: true }
  | { readonly applied: false; readonly failed: Check | Change }

/** The open write transaction of a store, as far as `applyTransaction` needs it. */
export interface RowAccess {
  get(database: DatabaseName, key: unknown): unknown
  put(database: DatabaseName, key: unknown, row: unknown): void
  delete(database: DatabaseName, key: unknown): void
  /** Whether any key starts with these components. */
  hasPrefix(database: DatabaseName, prefix: readonly string[]): boolean
}

/**
 * Checks everything, then changes everything. The caller holds the store's only write transaction,
 * so nothing can come between the two. A `put` of equal content is written all the same.
 */
export function applyTransaction(rows: RowAccess, transaction: Transaction): CommitOutcome {
  for (const check of transaction.checks) {
    if (!holds(rows, check)) return { applied: false, failed: check }
  }
  for (const change of transaction.changes) {
    if (change.change === 'touch' && rows.get(change.in, change.key) === undefined) {
      return { applied: false, failed: change }
    }
  }
  for (const change of transaction.changes) applyChange(rows, change)
  return { applied: true }
}

function holds(rows: RowAccess, check: Check): boolean {
  switch (check.check) {
    case 'absent':
      return rows.get(check.in, check.key) === undefined
    case 'present':
      return rows.get(check.in, check.key) !== undefined
    case 'unchanged':
      return isDeepStrictEqual(rows.get(check.in, check.key), check.row)
    case 'none':
      return !rows.hasPrefix(check.in, check.prefix)
  }
}

function applyChange(rows: RowAccess, change: Change): void {
  switch (change.change) {
    case 'put':
      rows.put(change.in, change.key, change.row)
      return
    case 'putIfAbsent':
      if (rows.get(change.in, change.key) === undefined) {
        rows.put(change.in, change.key, change.row)
      }
      return
    case 'delete':
      rows.delete(change.in, change.key)
      return
    case 'touch':
      touch(rows, change)
      return
  }
}

/** An earlier change of the same transaction may have deleted the row: then nothing is raised. */
function touch(rows: RowAccess, change: Change & { readonly change: 'touch' }): void {
  if (change.in === 'blobs') {
    const row = rows.get('blobs', change.key) as Databases['blobs']['row'] | undefined
    if (row === undefined) return
    rows.put('blobs', change.key, { ...row, linkedAt: Math.max(row.linkedAt, change.at) })
    return
  }
  const row = rows.get('manifests', change.key) as Databases['manifests']['row'] | undefined
  if (row === undefined) return
  rows.put('manifests', change.key, { ...row, reliedAt: Math.max(row.reliedAt ?? 0, change.at) })
}
