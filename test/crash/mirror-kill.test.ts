/**
 * SIGKILL in the middle of a fill: the next pull is right and whole, and nothing of the first is
 * left over.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { FaultyUpstream } from '../support/faulty-upstream.ts'
import { until } from '../support/in-process.ts'
import { sha256, someBytes } from '../support/registry-client.ts'
import { startRegistry } from '../support/start-registry.ts'

test.each([1, 2, 3])('a fill that was killed is done again (%i)', async (seed) => {
  const upstream = new FaultyUpstream()
  await upstream.start()
  upstream.bytesPerSecond = 4_000_000
  const bytes = someBytes(4_000_000, seed)
  const digest = upstream.addBlob('app', bytes)
  const registry = await startRegistry({
    config: { mirrors: [{ name: 'hub', upstream: upstream.url }] },
  })
  const uploads = async () =>
    (await Promise.all(registry.storages.map((it) => readdir(join(it, 'uploads'))))).flat()
  try {
    const url = `${registry.url}/v2/hub/app/blobs/${digest}`
    const cut = fetch(url).then((answer) => answer.arrayBuffer())
    cut.catch(() => undefined)
    await until(async () => (await uploads()).length === 1)
    await new Promise((resolve) => setTimeout(resolve, seed * 200))
    await registry.kill9()
    await expect(cut).rejects.toThrow()
    await registry.restart()
    upstream.bytesPerSecond = 0
    const answer = await fetch(url)
    expect(sha256(new Uint8Array(await answer.arrayBuffer()))).toBe(digest)
    await until(async () => (await uploads()).length === 0)
    // The rows come a moment after the last byte: from then on it is an ordinary local blob.
    await until(async () => {
      const again = await fetch(url)
      expect(sha256(new Uint8Array(await again.arrayBuffer()))).toBe(digest)
      return again.headers.get('x-fastregistry-cache') === null
    })
  } finally {
    await registry.stop()
    await upstream.stop()
  }
})
