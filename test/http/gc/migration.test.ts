/**
 * @module A store that an earlier version has written: rows as versions 1 and 2 left them, images and
 * garbage that were there before there were the indexes that collection reads today.
 */
import { expect, test } from 'vitest'
import { storagePaths } from '../../../src/blobs/files/layout.ts'
import { LmdbEnvironment, prefixRange } from '../../../src/metadata/lmdb/environment.ts'
import { schemaVersion } from '../../../src/metadata/schema.ts'
import { collect, pushOwnImage } from '../../support/admin.ts'
import { RegistryClient } from '../../support/registry-client.ts'
import { startRegistry } from '../../support/start-registry.ts'

const config = {
  storage: { gc: { enabled: false, grace: '0s', undelete_window: '0s', keep_recent: 0 } },
  log: { access: false },
}

/** What a version did not have. */
async function makeOlder(storage: string, version: number): Promise<void> {
  const environment = new LmdbEnvironment(storagePaths(storage).metadata, false)
  const databases = version === 1 ? ['candidates', 'manifestHolders'] : ['candidates']
  environment.writeSync(() => {
    for (const database of databases as ('candidates' | 'manifestHolders')[]) {
      for (const key of [...environment.keys(database, prefixRange([]))]) {
        environment.delete(database, key)
      }
    }
    environment.delete('system', 'fullWalkAt')
    environment.put('system', 'schemaVersion', version)
  })
  await environment.close()
}

test.each([1, 2])(
  'a store of version %i is brought up to date and collected whole',
  async (version) => {
    const registry = await startRegistry({ config })
    try {
      let client = new RegistryClient(registry.port)
      const kept = await pushOwnImage(client, 'old/app', 'v1', 'kept')
      const gone = await pushOwnImage(client, 'old/app', 'v2', 'gone')
      const orphan = await client.pushBlob('old/app', 'of no use '.repeat(10_000))
      await client.delete('/v2/old/app/manifests/v2')
      client.close()
      await registry.terminate()
      await makeOlder(registry.storage, version)
      await registry.restart()
      client = new RegistryClient(registry.port)
      const { job } = await collect(client)
      expect(job.counts).toMatchObject({ 'removed-manifest': 1, 'removed-blob': 3 })
      for (const digest of [gone.layer.digest, gone.config.digest, orphan.digest]) {
        expect((await client.get(`/v2/old/app/blobs/${digest}`)).status).toBe(404)
      }
      expect((await client.get('/v2/old/app/manifests/v1')).text).toBe(kept.body)
      expect((await client.get(`/v2/old/app/blobs/${kept.layer.digest}`)).status).toBe(200)
      // From here on the index says what to look at.
      await client.delete('/v2/old/app/manifests/v1')
      const second = await collect(client)
      expect(second.job.counts).toMatchObject({ 'removed-manifest': 1, 'removed-blob': 2 })
      client.close()
      await registry.terminate()
      const environment = new LmdbEnvironment(storagePaths(registry.storage).metadata, false)
      expect(environment.get('system', 'schemaVersion')).toBe(schemaVersion)
      expect([...environment.keys('manifestBytes', prefixRange([]))]).toEqual([])
      await environment.close()
    } finally {
      await registry.stop()
    }
  },
)
