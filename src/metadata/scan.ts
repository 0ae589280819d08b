/**
 * @module Long reads of the metadata in short turns: at most `scanEntriesPerTurn` keys, or some rows and
 * bytes, between two visits of the event loop, so that a list of a million never stalls a pull.
 */

import { scanEntriesPerTurn } from '../registry/limits.ts'
import { nextTurn } from '../runtime/next-turn.ts'
import type { MetadataReader } from './port.ts'
import type { DatabaseName, Databases } from './schema.ts'

/** Rows read in one turn, and bytes of stored values: each row costs a few look-ups. */
const rowsPerTurn = 200
const bytesPerTurn = 64 * 1024

/** Up to `limit` keys below `prefix` after `last`, in byte order; only those that `keep` wants. */
export async function listKeys<N extends DatabaseName>(
  metadata: MetadataReader,
  database: N,
  prefix: readonly string[],
  last: string | undefined,
  limit: number,
  keep?: (key: Databases[N]['key']) => boolean,
): Promise<Databases[N]['key'][]> {
  const found: Databases[N]['key'][] = []
  let after = last
  while (found.length < limit) {
    const wanted =
      keep === undefined ? Math.min(scanEntriesPerTurn, limit - found.length) : scanEntriesPerTurn
    const keys = metadata.keys(database, prefix, after, wanted)
    for (const key of keys) {
      if (found.length < limit && (keep === undefined || keep(key))) found.push(key)
    }
    if (keys.length < wanted) break
    after = lastComponent(keys.at(-1)!)
    if (found.length < limit) await nextTurn()
  }
  return found
}

/** Every key below `prefix`. For ranges whose size the content bounds (one manifest's edges). */
export function listAll<N extends DatabaseName>(
  metadata: MetadataReader,
  database: N,
  prefix: readonly string[],
): Promise<Databases[N]['key'][]> {
  return listKeys(metadata, database, prefix, undefined, Number.POSITIVE_INFINITY)
}

/** Every key below a prefix, after `after` when given, some a turn: an array each. */
export async function* keyPages<N extends DatabaseName>(
  metadata: MetadataReader,
  database: N,
  prefix: readonly string[],
  after?: string,
): AsyncGenerator<Databases[N]['key'][]> {
  let last = after
  while (true) {
    const keys = metadata.keys(database, prefix, last, rowsPerTurn)
    if (keys.length > 0) yield keys
    if (keys.length < rowsPerTurn) return
    last = lastComponent(keys.at(-1)!)
    await nextTurn()
  }
}

/**
 * Every row below a prefix that is one component shorter than the keys, a few a turn. A row that is
 * larger than a turn's bytes has a turn for itself.
 */
export async function* inTurns<N extends DatabaseName>(
  metadata: MetadataReader,
  database: N,
  prefix: readonly string[],
  after?: string,
): AsyncGenerator<{ key: Databases[N]['key']; row: Databases[N]['row'] }> {
  let last = after
  while (true) {
    const batch = metadata.entriesWithin(database, prefix, last, rowsPerTurn, bytesPerTurn)
    for (const { key, row = metadata.get(database, key) } of batch) {
      if (row !== undefined) yield { key, row }
    }
    if (batch.length === 0) return
    last = lastComponent(batch.at(-1)!.key)
    await nextTurn()
  }
}

function lastComponent(key: string | readonly string[]): string {
  return typeof key === 'string' ? key : key.at(-1)!
}
