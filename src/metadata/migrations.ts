/**
 * @module The version row of the metadata: written by the first start, compared by every other. A
 * store of an older version is brought up to date step by step; one of a newer version is refused,
 * because this program would not know what it overwrites.
 */

import type { MetadataStore } from './port.ts'
import { schemaVersion } from './schema.ts'

/** The step from one version to the next. */
export interface Migration {
  /** The version that the store has afterwards. */
  readonly to: number
  /**
   * Rewrites rows in as many transactions as it likes. It may have been interrupted at any point
   * by a crash and then runs again from the beginning: what it has done must not harm it.
   */
  readonly run: (metadata: MetadataStore) => Promise<void>
}

/** One for each version after the first, in order. No release has needed one. */
const MIGRATIONS: readonly Migration[] = []

/** Brings the store to this program's version. Throws with what to do when that cannot be. */
export async function checkSchemaVersion(
  metadata: MetadataStore,
  version = schemaVersion,
  migrations = MIGRATIONS,
): Promise<void> {
  const found = metadata.get('system', 'schemaVersion')
  if (found === undefined) {
    await metadata.commit({
      checks: [{ check: 'absent', in: 'system', key: 'schemaVersion' }],
      changes: [{ change: 'put', in: 'system', key: 'schemaVersion', row: version }],
    })
    return
  }
  if (found > version) {
    throw new Error(
      `the store has schema version ${found}, this program knows up to ${version}; ` +
        'start it with the version that wrote the store, or a newer one',
    )
  }
  for (let from = found; from < version; from += 1) await migrate(metadata, from, migrations)
}

async function migrate(
  metadata: MetadataStore,
  from: number,
  migrations: readonly Migration[],
): Promise<void> {
  const migration = migrations.find(({ to }) => to === from + 1)
  if (migration === undefined) {
    throw new Error(
      `the store has schema version ${from}, and this program has no way from there; ` +
        'start an older version of it first',
    )
  }
  await migration.run(metadata)
  await metadata.commit({
    checks: [{ check: 'unchanged', in: 'system', key: 'schemaVersion', row: from }],
    changes: [{ change: 'put', in: 'system', key: 'schemaVersion', row: from + 1 }],
  })
}
