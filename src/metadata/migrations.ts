/**
 * @module The version row of the metadata: written by the first start, compared by every other. A
 * store of an older version is brought up to date step by step; one of a newer version is refused,
 * because this program would not know what it overwrites.
 */

import { numberAndIndex } from './migrate-numbers.ts'
import type { MetadataStore } from './port.ts'
import { schemaVersion } from './schema.ts'
import type { Change } from './transaction.ts'

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

/** One for each version after the first, in order. */
const MIGRATIONS: readonly Migration[] = [
  { to: 2, run: indexManifestHolders },
  // From here on the writer keeps the index of candidates. What was written before is not in it:
  // the first collection walks everything once, and says so in `system` (`fullWalkAt`).
  { to: 3, run: async () => undefined },
  { to: 4, run: numberAndIndex },
]

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
      changes: [
        { change: 'put', in: 'system', key: 'schemaVersion', row: version },
        // Nothing was ever written without the index of candidates.
        { change: 'put', in: 'system', key: 'fullWalkAt', row: 0 },
      ],
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

/** Manifests put together in one transaction. */
const manifestsAtOnce = 1_000

/** Version 2 knows which repositories have a manifest, so that its bytes can go with the last. */
async function indexManifestHolders(metadata: MetadataStore): Promise<void> {
  for (const repository of allRepositories(metadata)) {
    let last: string | undefined
    while (true) {
      const keys = metadata.keys('manifests', [repository], last, manifestsAtOnce)
      if (keys.length === 0) break
      last = keys.at(-1)![1]
      const changes = keys.map(
        ([name, digest]): Change => ({
          change: 'put',
          in: 'manifestHolders',
          key: [digest, name],
          row: 'stored',
        }),
      )
      await metadata.commit({ checks: [], changes })
    }
  }
}

function* allRepositories(metadata: MetadataStore): Generator<string> {
  let last: string | undefined
  while (true) {
    const names = metadata.keys('repositories', [], last, manifestsAtOnce)
    if (names.length === 0) return
    yield* names
    last = names.at(-1)
  }
}
