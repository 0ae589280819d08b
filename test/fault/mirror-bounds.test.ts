/**
 * With the settings as they come: an upstream that takes every request and never answers costs a
 * client 40 s at most, whatever it asks for.
 */
import { expect, test } from 'vitest'
import { FAULTS, FaultyUpstream } from '../support/faulty-upstream.ts'
import { dispose, startInProcess } from '../support/in-process.ts'
import { sha256 } from '../support/registry-client.ts'

test('a miss is refused within 40 s', async () => {
  const upstream = new FaultyUpstream()
  await upstream.start()
  upstream.fault = FAULTS.silence
  const registry = await startInProcess({
    engine: 'uws',
    mirrors: [{ name: 'hub', upstream: upstream.url }],
  })
  const { client } = registry
  const started = performance.now()
  const answers = await Promise.all([
    client.get('/v2/hub/app/manifests/v1'),
    client.head('/v2/hub/app/manifests/v2'),
    client.get(`/v2/hub/app/manifests/${sha256('a')}`),
    client.get(`/v2/hub/app/blobs/${sha256('b')}`),
    client.get(`/v2/hub/app/blobs/${sha256('c')}`, { Range: 'bytes=5-' }),
    client.head(`/v2/hub/app/blobs/${sha256('d')}`),
    client.get('/v2/hub/app/tags/list'),
    client.get(`/v2/hub/app/referrers/${sha256('e')}`),
  ])
  expect(performance.now() - started).toBeLessThan(40_000)
  for (const { status } of answers) expect([502, 504]).toContain(status)
  await dispose(registry)
  await upstream.stop()
})
