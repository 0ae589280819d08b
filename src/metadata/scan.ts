/**
 * @module Long reads of the metadata in short turns: at most `scanEntriesPerTurn` keys between two
 * visits of the event loop, so that a list of a million never stalls a pull.
 */

import { scanEntriesPerTurn } from '../registry/limits.ts'
import type { MetadataReader } from './port.ts'
import type { DatabaseName, Databases } from './schema.ts'

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
    if (found.length < limit) await new Promise((resolve) => setImmediate(resolve))
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

function lastComponent(key: string | readonly string[]): string {
  return typeof key === 'string' ? key : key.at(-1)!
}
