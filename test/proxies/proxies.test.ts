/**
 * @module Real proxies in front of the registry, as they come and as docs/behind-a-proxy.md recommends:
 * pushes, pulls, who the client is, and connections that are idle for a while.
 *
 *   FASTREGISTRY_PROXY_REQUESTS   requests with gaps in all (a few hundred as it comes)
 *   FASTREGISTRY_PROXY_GAP_MAX    longest gap, s (3)
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { need } from '../clients/support/tools.ts'
import { testTls } from '../http/engine/harness.ts'
import { imageManifest, RegistryClient, sha256, someBytes } from '../support/registry-client.ts'
import { type RunningRegistry, startRegistry } from '../support/start-registry.ts'
import { runIdleLoad } from './support/idle-load.ts'
import { PROXIES, type Settings, startProxy } from './support/proxies.ts'

const SETTINGS: readonly Settings[] = ['as it comes', 'recommended']
const ENGINES = ['auto', 'node'] as const

const { FASTREGISTRY_PROXY_REQUESTS = '600', FASTREGISTRY_PROXY_GAP_MAX = '3' } = process.env
const requestsMax = Number(FASTREGISTRY_PROXY_REQUESTS)
const gapMsMax = 1000 * Number(FASTREGISTRY_PROXY_GAP_MAX)
const cases = PROXIES.flatMap((proxy) => SETTINGS.map((settings) => ({ proxy, settings })))

describe.each(ENGINES)('behind a proxy (%s engine)', (engine) => {
  let registry: RunningRegistry

  beforeAll(async () => {
    registry = await startRegistry({
      engine,
      config: { server: { trusted_proxies: ['127.0.0.1'] } },
    })
  })
  afterAll(async () => {
    await registry.stop()
  })

  test.for(cases)('$proxy, $settings: pushes and pulls', async (given, context) => {
    const { proxy: name, settings } = given
    need(context, name)
    const isRecommended = settings === 'recommended'
    const proxy = await startProxy(name, settings, registry.port)
    const client = new RegistryClient(proxy.port)
    try {
      // As it comes nginx takes no more than 1 MiB.
      const layer = someBytes(isRecommended ? 24 * 1024 * 1024 : 900_000, isRecommended ? 2 : 1)
      const repository = `${name}/${isRecommended ? 'b' : 'a'}`
      const whole = await client.pushBlob(repository, layer)
      const location = await client.open(repository)
      const parts = someBytes(700_000, 3)
      const patched = await client.request('PATCH', location, { body: parts, isChunked: true })
      expect(patched.status).toBe(202)
      const digest = sha256(parts)
      const closed = await client.request('PUT', `${patched.headers['location']}?digest=${digest}`)
      expect(closed.status).toBe(201)
      const config = { ...(await client.pushBlob(repository, '{}')), mediaType: 'application/x' }
      const manifest = imageManifest(config, [whole, { ...whole, digest, size: parts.length }])
      expect((await client.putManifest(repository, 'v1', manifest)).status).toBe(201)
      expect((await client.get(`/v2/${repository}/manifests/v1`)).json).toEqual(manifest)
      const pulled = await client.get(`/v2/${repository}/blobs/${whole.digest}`)
      expect(pulled.body.equals(layer)).toBe(true)
      expect((await client.head(`/v2/${repository}/blobs/${digest}`)).status).toBe(200)
      expect((await client.get(`/v2/${repository}/manifests/none`)).status).toBe(404)
      expect((await client.delete(`/v2/${repository}/manifests/v1`)).status).toBe(202)
      const ranged = await client.get(`/v2/${repository}/blobs/${whole.digest}`, {
        Range: 'bytes=10-19',
      })
      expect(ranged.status).toBe(206)
    } finally {
      client.close()
      await proxy.stop()
    }
  })

  test('the proxies name the client', async (context) => {
    need(context, 'nginx')
    const proxy = await startProxy('nginx', 'recommended', registry.port)
    const client = new RegistryClient(proxy.port)
    try {
      const answer = await client.get('/v2/who/asks/manifests/none', {
        'X-Forwarded-For': '203.0.113.77',
      })
      expect(answer.status).toBe(404)
      await expect
        .poll(() => registry.logs().filter((line) => line.includes('/v2/who/asks')).length)
        .toBe(1)
      const line = registry.logs().find((text) => text.includes('/v2/who/asks'))!
      // 127.0.0.1 is trusted, so what it was told by the client, itself on 127.0.0.1, counts.
      expect(JSON.parse(line)).toMatchObject({ client: '203.0.113.77' })
    } finally {
      client.close()
      await proxy.stop()
    }
  })
})

test('nginx speaks HTTP/1.0 over TLS too, where it is trusted', async (context) => {
  need(context, 'nginx')
  const registry = await startRegistry({
    config: { server: { trusted_proxies: ['127.0.0.1'], tls: testTls } },
  })
  const proxy = await startProxy('nginx', 'as it comes', registry.port, 'https')
  const client = new RegistryClient(proxy.port)
  try {
    await client.pushImage('tls/app', 'v1')
    expect((await client.get('/v2/tls/app/manifests/v1')).status).toBe(200)
  } finally {
    client.close()
    await proxy.stop()
    await registry.stop()
  }
})

describe('idle connections behind proxies', () => {
  test('lose no request', { timeout: 3_000_000 }, async (context) => {
    need(context, ...PROXIES)
    const registry = await startRegistry({ config: { log: { access: false } } })
    const proxies = await Promise.all(
      cases.map(({ proxy, settings }) => startProxy(proxy, settings, registry.port)),
    )
    const direct = new RegistryClient(registry.port)
    const content = someBytes(1024)
    const blob = await direct.pushBlob('idle/app', content)
    await direct.pushImage('idle/app', 'v1')
    direct.close()
    const requestsEach = Math.max(2, Math.min(25, Math.round(requestsMax / 100)))
    const connections = Math.ceil(requestsMax / cases.length / requestsEach)
    try {
      const reports = await Promise.all(
        proxies.map(({ port }) =>
          runIdleLoad({
            port,
            connections,
            requestsEach,
            gapMsMin: 1_000,
            gapMsMax,
            requests: [
              { method: 'GET', path: '/v2/', status: 200 },
              { method: 'GET', path: '/v2/idle/app/manifests/v1', status: 200 },
              {
                method: 'POST',
                path: `/v2/idle/app/blobs/uploads/?digest=${blob.digest}`,
                body: content,
                status: 201,
              },
              { method: 'HEAD', path: `/v2/idle/app/blobs/${blob.digest}`, status: 200 },
            ],
          }),
        ),
      )
      for (const [index, { proxy, settings }] of cases.entries()) {
        const { requests, reused, failures } = reports[index]!
        process.stdout.write(
          `MEASURED ${proxy}, ${settings}: ${requests} requests, ${reused} on used connections, gaps of 1 to ${gapMsMax / 1000} s, ${failures.length} failed\n`,
        )
      }
      expect(reports.flatMap(({ failures }) => failures).slice(0, 20)).toEqual([])
      expect(reports.every(({ reused }) => reused > 0)).toBe(true)
    } finally {
      await Promise.all(proxies.map((proxy) => proxy.stop()))
      await registry.stop()
    }
  })
})
