import { describe, expect, test } from 'vitest'
import { checkSchemaVersion, type Migration } from '../../../src/metadata/migrations.ts'
import { schemaVersion } from '../../../src/metadata/schema.ts'
import { type OpenStore, openStore, temporaryFolder } from '../../support/store.ts'

async function storeOfVersion(version: number): Promise<OpenStore> {
  const store = await openStore(await temporaryFolder())
  await store.storage.metadata.commit({
    checks: [],
    changes: [{ change: 'put', in: 'system', key: 'schemaVersion', row: version }],
  })
  return store
}

/** Adds its version to the trail in the row `trail`; a crash before the end is played by throwing. */
function step(to: number, isInterrupted = () => false): Migration {
  return {
    to,
    run: async (metadata) => {
      const trail = metadata.get('system', 'trail') ?? 0
      const next = trail % 10 === to ? trail : trail * 10 + to
      await metadata.commit({
        checks: [],
        changes: [{ change: 'put', in: 'system', key: 'trail', row: next }],
      })
      if (isInterrupted()) throw new Error('crash')
    },
  }
}

describe('the schema version', () => {
  test('of a new store is that of this program', async () => {
    const { storage } = await openStore(await temporaryFolder())
    expect(storage.metadata.get('system', 'schemaVersion')).toBe(schemaVersion)
  })

  test('of an older store is raised step by step', async () => {
    const { metadata } = (await storeOfVersion(1)).storage
    await checkSchemaVersion(metadata, 4, [step(2), step(3), step(4)])
    expect(metadata.get('system', 'trail')).toBe(234)
    expect(metadata.get('system', 'schemaVersion')).toBe(4)
  })

  test('a step that was interrupted runs again, those before it do not', async () => {
    const { metadata } = (await storeOfVersion(1)).storage
    let isFirst = true
    const interrupted = step(3, () => isFirst)
    const migrations = [step(2), interrupted, step(4)]
    await expect(checkSchemaVersion(metadata, 4, migrations)).rejects.toThrow('crash')
    expect(metadata.get('system', 'schemaVersion')).toBe(2)
    isFirst = false
    await checkSchemaVersion(metadata, 4, migrations)
    expect(metadata.get('system', 'trail')).toBe(234)
  })

  test('without a way from there is refused', async () => {
    const { metadata } = (await storeOfVersion(1)).storage
    await expect(checkSchemaVersion(metadata, 3, [step(3)])).rejects.toThrow(
      'the store has schema version 1, and this program has no way from there',
    )
  })

  test('of a newer store is refused, with what to do', async () => {
    const { metadata } = (await storeOfVersion(schemaVersion + 1)).storage
    await expect(checkSchemaVersion(metadata)).rejects.toThrow(
      `the store has schema version ${schemaVersion + 1}, this program knows up to ${schemaVersion}; start it with the version that wrote the store`,
    )
  })
})
