/**
 * @module `kill -9` in the middle of collections, again and again: what is kept is whole after every
 * start, what is garbage is gone in the end, an interrupted run goes on, and a deleted image can
 * still be brought back byte for byte.
 *
 *     FASTREGISTRY_GC_CRASH_CYCLES=100 npm run test:crash
 */
import { expect, test } from 'vitest'
import { adminJson, collect, pushOwnImage } from '../support/admin.ts'
import { RegistryClient } from '../support/registry-client.ts'
import { startRegistry } from '../support/start-registry.ts'

const cycles = Number(process.env['FASTREGISTRY_GC_CRASH_CYCLES'] ?? 12)

test('a killed collection harms nothing and goes on', async () => {
  const registry = await startRegistry({
    config: {
      storage: { gc: { enabled: false, grace: '0s', undelete_window: '1h', keep_recent: 0 } },
      log: { access: false },
    },
  })
  let client = new RegistryClient(registry.port)
  const kept: { tag: string; body: string; layer: string; text: string }[] = []
  try {
    let resumed = 0
    for (let cycle = 0; cycle < cycles; cycle += 1) {
      const keep = `keep ${cycle}`
      const image = await pushOwnImage(client, 'crash/app', `keep-${cycle}`, keep)
      const text = `layer ${keep} `.repeat(10_000)
      kept.push({ tag: `keep-${cycle}`, body: image.body, layer: image.layer.digest, text })
      for (let number = 0; number < 8; number += 1) {
        await pushOwnImage(client, 'crash/app', 'moving', `gone ${cycle} ${number}`)
      }
      // The answer may never come: the process dies somewhere on its way.
      const running = client
        .request('POST', '/admin/gc', {
          headers: { 'Content-Type': 'application/json' },
          body: '{"wait":true}',
        })
        .catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, 40 + ((cycle * 37) % 160)))
      await registry.kill9()
      await running
      client.close()
      await registry.restart()
      client = new RegistryClient(registry.port)
      if (registry.logs().some((line) => line.includes('collection goes on'))) resumed += 1
      for (const it of kept.slice(-4)) {
        expect((await client.get(`/v2/crash/app/manifests/${it.tag}`)).text).toBe(it.body)
        expect((await client.get(`/v2/crash/app/blobs/${it.layer}`)).text).toBe(it.text)
      }
      // What goes on now may still run: the next cycle meets it, or waits for its end here.
      while (
        (await adminJson<{ running?: string }>(client, 'GET', '/admin/gc')).running !== undefined
      ) {
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    expect(resumed).toBeGreaterThan(0)
    await collect(client)
    for (const it of kept) {
      expect((await client.get(`/v2/crash/app/manifests/${it.tag}`)).text).toBe(it.body)
      expect((await client.get(`/v2/crash/app/blobs/${it.layer}`)).text).toBe(it.text)
    }
    const { deleted } = await adminJson<{ deleted: { kind: string; digest: string }[] }>(
      client,
      'GET',
      '/admin/repositories/crash/app/deleted?limit=1000',
    )
    expect(deleted.length).toBe(cycles * 8 - 1)
    const { digest } = deleted[0]!
    const restored = await adminJson<{ manifests: string[] }>(client, 'POST', '/admin/undelete', {
      repository: 'crash/app',
      digest,
    })
    expect(restored.manifests).toEqual([digest])
    const manifest = (await client.get(`/v2/crash/app/manifests/${digest}`)).json as {
      layers: { digest: string; size: number }[]
    }
    const [layer] = manifest.layers
    const bytes = await client.get(`/v2/crash/app/blobs/${layer!.digest}`)
    expect(bytes.status).toBe(200)
    expect(bytes.body.byteLength).toBe(layer!.size)
  } finally {
    client.close()
    await registry.stop()
  }
}, 600_000)
