/**
 * `kill -9` beside fills, evictions, collections and pushes, again and again: after every start what
 * is pulled has its digest, nothing is served short, local content is whole; and in the end the
 * stopped store agrees with itself.
 *
 *     FASTREGISTRY_MIRROR_CRASH_CYCLES=50 FASTREGISTRY_CRASH_SEED=7 npm run test:crash
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { FaultyUpstream } from '../support/faulty-upstream.ts'
import { until } from '../support/in-process.ts'
import { imageManifest, RegistryClient, sha256, someBytes } from '../support/registry-client.ts'
import { startRegistry } from '../support/start-registry.ts'
import { inspectStore } from './support/inspect-store.ts'
import { Seeded } from './support/seeded.ts'

const cycles = Number(process.env['FASTREGISTRY_MIRROR_CRASH_CYCLES'] ?? 6)
const seed = Number(process.env['FASTREGISTRY_CRASH_SEED'] ?? Date.now() % 1_000_000)

/** From what lives in the metadata to what takes several chunks of a worker. */
const sizes = [3_000, 60_000, 70_000, 400_000, 1_500_000, 3_000_000] as const
const manifestType = 'application/vnd.oci.image.manifest.v1+json'

test(`mirrors through ${cycles} kills (seed ${seed})`, async () => {
  const upstream = new FaultyUpstream()
  await upstream.start()
  const blobs = sizes.map((size, index) => someBytes(size, index + 1))
  for (const bytes of blobs) upstream.addBlob('app', bytes)
  const descriptors = blobs.map((bytes) => ({
    mediaType: 'application/x-layer',
    digest: sha256(bytes),
    size: bytes.byteLength,
  }))
  const manifest = JSON.stringify(imageManifest(descriptors[0]!, descriptors.slice(1)))
  upstream.addManifest('app', 'v1', manifest)
  const registry = await startRegistry({
    config: {
      log: { access: false },
      storage: {
        gc: { enabled: false, grace: '0s', undelete_window: '0s', keep_recent: 0 },
      },
      // Less than the image: fills and evictions go on side by side.
      mirrors: [{ name: 'hub', upstream: upstream.url, max_bytes: '4MiB' }],
    },
  })
  let client = new RegistryClient(registry.port)
  const uploads = async () =>
    (await Promise.all(registry.storages.map((it) => readdir(join(it, 'uploads'))))).flat()
  try {
    // A local image of two of the same blobs: whatever the mirror does with its own, these stay.
    for (const bytes of [blobs[0]!, blobs[3]!]) await client.pushBlob('local/app', bytes)
    const local = JSON.stringify(imageManifest(descriptors[0]!, [descriptors[3]!]))
    await client.putManifest('local/app', 'v1', local, { 'Content-Type': manifestType })

    const pullAll = async () => {
      const tag = await client.get('/v2/hub/app/manifests/v1')
      expect(tag.text).toBe(manifest)
      await Promise.all(
        blobs.map(async (bytes) => {
          const { status, body } = await client.get(`/v2/hub/app/blobs/${sha256(bytes)}`)
          expect(status).toBe(200)
          expect(sha256(body)).toBe(sha256(bytes))
        }),
      )
    }
    let interrupted = 0
    for (let cycle = 0; cycle < cycles; cycle += 1) {
      const draw = new Seeded(seed, cycle)
      upstream.bytesPerSecond = draw.between(1, 20) * 1_000_000
      const work = [
        client.get('/v2/hub/app/manifests/v1'),
        ...blobs.flatMap((bytes) => {
          const path = `/v2/hub/app/blobs/${sha256(bytes)}`
          const from = draw.between(0, bytes.byteLength - 1)
          return [client.get(path), client.get(path, { Range: `bytes=${from}-` })]
        }),
        client.request('POST', '/admin/gc', {
          headers: { 'Content-Type': 'application/json' },
          body: '{"wait":true}',
        }),
      ].map((answer) => answer.catch(() => undefined))
      // One of them is in the middle of a fill for certain; the others come when they come.
      if (cycle === 0) await until(async () => (await uploads()).length > 0)
      else await new Promise((resolve) => setTimeout(resolve, draw.between(5, 600)))
      if ((await uploads()).length > 0) interrupted += 1
      await registry.kill9()
      const answers = await Promise.all(work)
      // Cut or whole, never short and never wrong.
      for (const [index, bytes] of blobs.entries()) {
        const whole = answers[1 + 2 * index]
        if (whole?.status === 200) expect(sha256(whole.body)).toBe(sha256(bytes))
      }
      client.close()
      await registry.restart()
      client = new RegistryClient(registry.port)
      upstream.bytesPerSecond = 0
      await pullAll()
      expect((await client.get('/v2/local/app/manifests/v1')).text).toBe(local)
      for (const bytes of [blobs[0]!, blobs[3]!]) {
        const { body } = await client.get(`/v2/local/app/blobs/${sha256(bytes)}`)
        expect(sha256(body)).toBe(sha256(bytes))
      }
      // What is left of the killed fills goes with the reconciliation behind the start.
      await until(async () => (await uploads()).length === 0)
    }
    expect(interrupted).toBeGreaterThan(0)
    client.close()
    await registry.terminate()
    expect(await inspectStore(registry.storages, new Set())).toEqual([])
  } finally {
    client.close()
    await registry.stop()
    await upstream.stop()
  }
})
