/**
 * @module The version row of the metadata: written by the first start, compared by every other.
 */
import type { MetadataStore } from './ports.ts'
import { schemaVersion } from './schema.ts'

/** Throws with what to do when the store was written by a newer version. */
export async function checkSchemaVersion(metadata: MetadataStore): Promise<void> {
  const found = metadata.get('system', 'schemaVersion')
  if (found === undefined) {
    await metadata.commit({
      checks: [{ check: 'absent', in: 'system', key: 'schemaVersion' }],
      changes: [{ change: 'put', in: 'system', key: 'schemaVersion', row: schemaVersion }],
    })
    return
  }
  if (found > schemaVersion) {
    throw new Error(
      `the store has schema version ${found}, this program knows up to ${schemaVersion}; ` +
        'start it with the version that wrote the store, or a newer one',
    )
  }
}
