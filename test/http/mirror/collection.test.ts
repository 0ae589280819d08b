/**
 * Collection and mirrors side by side: collection takes nothing that a mirror owns, a mirror takes
 * nothing that a local repository uses, and what both hold lasts as long as either.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { collect } from '../../support/admin.ts'
import { FaultyUpstream } from '../../support/faulty-upstream.ts'
import { dispose, type InProcessRegistry, startInProcess, until } from '../../support/in-process.ts'
import { imageManifest, sha256, someBytes } from '../../support/registry-client.ts'

const layer = someBytes(300_000, 1)
const alone = someBytes(200_000, 2)
const garbage = someBytes(150_000, 3)
const small = Buffer.from('{"small":true}')
const manifestType = { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' }

let upstream: FaultyUpstream
let registry: InProcessRegistry

afterEach(async () => {
  await dispose(registry)
  await upstream.stop()
})

function manifestOf(seed: string): string {
  const config = {
    mediaType: 'application/x-config',
    digest: sha256(small),
    size: small.byteLength,
  }
  const layers = [
    { mediaType: 'application/x-layer', digest: sha256(layer), size: layer.byteLength },
  ]
  return JSON.stringify(imageManifest(config, layers, { annotations: { seed } }))
}

const get = (path: string) => registry.client.get(path)
const statusOf = async (path: string) => (await get(path)).status
const blobOf = (repository: string, bytes: Buffer) => `/v2/${repository}/blobs/${sha256(bytes)}`

/** A mirrored image whose tag has moved, and a blob that no manifest is known of. */
async function begin(): Promise<void> {
  upstream = new FaultyUpstream()
  await upstream.start()
  upstream.addManifest('app', 'v1', manifestOf('old'))
  for (const bytes of [layer, alone, small]) upstream.addBlob('app', bytes)
  registry = await startInProcess({
    engine: 'uws',
    config: {
      storage: {
        gc: { enabled: false, grace: '0s', undelete_window: '0s', keep_recent: 0 },
      },
    },
    mirrors: [
      {
        name: 'hub',
        upstream: upstream.url,
        tags: [{ pattern: '*', freshness: 'always' }],
      },
    ],
  })
  for (const path of [
    '/v2/hub/app/manifests/v1',
    blobOf('hub/app', layer),
    blobOf('hub/app', alone),
    blobOf('hub/app', small),
  ]) {
    expect(await statusOf(path), path).toBe(200)
  }
  upstream.addManifest('app', 'v1', manifestOf('new'))
  expect((await get('/v2/hub/app/manifests/v1')).text).toBe(manifestOf('new'))
  await until(async () => (await registry.blobFiles()).length === 2)
}

async function pushLocal(): Promise<void> {
  const { client } = registry
  await client.pushBlob('local/app', layer)
  await client.pushBlob('local/app', small)
  await client.putManifest('local/app', 'v1', manifestOf('local'), manifestType)
}

async function expectMirrorWhole(): Promise<void> {
  await upstream.stop()
  expect((await get('/v2/hub/app/manifests/v1')).text).toBe(manifestOf('new'))
  expect((await get(`/v2/hub/app/manifests/${sha256(manifestOf('old'))}`)).text).toBe(
    manifestOf('old'),
  )
  for (const bytes of [layer, alone, small]) {
    expect(sha256((await get(blobOf('hub/app', bytes))).body)).toBe(sha256(bytes))
  }
}

describe('collection', () => {
  test('takes no tag, no untagged manifest and no blob of a mirror', async () => {
    await begin()
    await collect(registry.client)
    await collect(registry.client)
    await expectMirrorWhole()
  })

  test('of a local image leaves the mirror what both held', async () => {
    await begin()
    await pushLocal()
    const { client } = registry
    const deleted = await client.request('DELETE', '/v2/local/app/manifests/v1')
    expect(deleted.status).toBe(202)
    // It does collect: what nothing refers to is gone.
    await client.pushBlob('local/app', garbage)
    expect(await registry.blobFiles()).toContain(sha256(garbage).slice(7))
    await collect(client)
    await collect(client)
    expect(await statusOf('/v2/local/app/manifests/v1')).toBe(404)
    expect(await registry.blobFiles()).not.toContain(sha256(garbage).slice(7))
    await expectMirrorWhole()
  })

  test('keeps what a local repository holds when the mirror lets it go', async () => {
    await begin()
    await pushLocal()
    const { client } = registry
    const purged = await client.request('POST', '/admin/mirrors/hub/purge', {
      headers: { 'Content-Type': 'application/json' },
      body: '{}',
    })
    expect(purged.status).toBe(200)
    await collect(client)
    await collect(client)
    await upstream.stop()
    expect((await get('/v2/local/app/manifests/v1')).text).toBe(manifestOf('local'))
    for (const bytes of [layer, small]) {
      expect(sha256((await get(blobOf('local/app', bytes))).body)).toBe(sha256(bytes))
    }
    expect(await registry.blobFiles()).toEqual([sha256(layer).slice(7)])
    expect(await statusOf(blobOf('hub/app', layer))).toBe(502)
  })
})
