/**
 * @module What is stored, in sums, and long walks over rows in short turns of the event loop: bounded
 * in rows and in bytes, because clients choose how large some rows are.
 */
import type { MetadataReader } from '../metadata/port.ts'
import type { DatabaseName, Databases } from '../metadata/schema.ts'

/** Rows read in one turn, and bytes of stored values: each row costs a few look-ups. */
const rowsPerTurn = 200
const bytesPerTurn = 64 * 1024

export interface StorageUse {
  /** What is stored, each blob once. */
  readonly physicalBytes: number
  /** What it would be if repositories shared nothing. */
  readonly logicalBytes: number
  readonly blobs: number
  readonly trashBytes: number
  readonly trashBlobs: number
}

/** Sums over the whole store, as the writer keeps them. */
export function storageUse(metadata: MetadataReader): StorageUse {
  const sum = (name: string) => metadata.get('totals', name) ?? 0
  return {
    physicalBytes: sum('blobBytes'),
    logicalBytes: sum('linkedBytes'),
    blobs: metadata.count('blobs'),
    trashBytes: sum('trashBytes'),
    trashBlobs: metadata.count('trash'),
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
    const key = batch.at(-1)!.key as string | readonly string[]
    last = typeof key === 'string' ? key : key.at(-1)!
    await new Promise((resolve) => setImmediate(resolve))
  }
}
