/**
 * @module What policies say of a pull through a mirror whose answer is not stored here goes with that answer as with
 * any other.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { basic, htpasswd } from '../../support/access.ts'
import { FaultyUpstream } from '../../support/faulty-upstream.ts'
import { dispose, type InProcessRegistry, startInProcess } from '../../support/in-process.ts'
import { sha256 } from '../../support/registry-client.ts'
import { makeSigner } from '../../support/signing.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-passed-'))
const file = join(folder, 'htpasswd')
writeFileSync(file, htpasswd({ named: 'named-secret', puller: 'puller-secret' }))

// No push would be allowed to bring it.
const body = '[]'
const digest = sha256(body)
/** It could be stored, but only a HEAD asks for it. */
const mediaType = 'application/vnd.oci.image.manifest.v1+json'
const seen = JSON.stringify({ schemaVersion: 2, mediaType })

const policy = (name: string, more: object) => ({
  name,
  repositories: [`hub/${name}/**`],
  gates: ['mirror'],
  require: [{ signature: { by: [{ key: 'release' }] } }],
  ...more,
})

const upstream = new FaultyUpstream()
let registry: InProcessRegistry
beforeAll(async () => {
  await upstream.start()
  for (const repository of ['strict/app', 'warned/app', 'free/app']) {
    upstream.addManifest(repository, 'v1', body)
    upstream.addManifest(repository, 'seen', seen)
  }
  registry = await startInProcess({
    engine: 'uws',
    config: {
      auth: { type: 'htpasswd', htpasswd_file: file },
      access: [{ repositories: ['**'], users: ['named', 'puller'], actions: ['pull'] }],
      signing: {
        keys: [{ name: 'release', pem: makeSigner().pem }],
        policies: [
          policy('strict', { mode: 'enforce', exempt: { users: ['named'] } }),
          policy('warned', { mode: 'warn' }),
        ],
      },
    },
    mirrors: [{ name: 'hub', upstream: upstream.url }],
  })
})
afterAll(async () => {
  await dispose(registry)
  await upstream.stop()
  rmSync(folder, { recursive: true, force: true })
})

const path = (repository: string, reference: string) =>
  `/v2/hub/${repository}/app/manifests/${reference}`
const as = (name: 'named' | 'puller') => basic(name, `${name}-secret`)

test.each(['v1', digest])(
  'an answer to one caller alone is in no cache (%s)',
  async (reference) => {
    const passed = await registry.client.get(path('strict', reference), as('named'))
    expect(passed.status, passed.text).toBe(200)
    expect(passed.text).toBe(body)
    expect(passed.headers['x-fastregistry-cache']).toBe('pass')
    expect(passed.headers['cache-control']).toBe('no-store')
    expect(passed.headers['x-fastregistry-signature']).toBe('error; policy="strict"')
    expect((await registry.client.get(path('strict', reference), as('puller'))).status).toBe(503)
  },
)

test.each(['v1', digest])('a client is warned (%s)', async (reference) => {
  const passed = await registry.client.get(path('warned', reference), as('puller'))
  expect(passed.status, passed.text).toBe(200)
  expect(passed.headers['warning']).toContain('signature policy \\"warned\\"')
  expect(passed.headers['cache-control']).toBe('no-cache')
  expect(passed.headers['x-fastregistry-signature']).toBe('error; policy="warned"')
})

test('a HEAD says what a GET would, and is kept by no cache for long', async () => {
  for (const repository of ['strict', 'warned']) {
    for (const [of, kept] of [
      [digest, 'pass'],
      [sha256(seen), 'miss'],
    ] as const) {
      const head = await registry.client.head(path(repository, of), as('puller'))
      expect(head.status).toBe(200)
      expect(head.headers['x-fastregistry-cache']).toBe(kept)
      expect(head.headers['cache-control']).toBe('no-cache')
      expect(head.headers['x-fastregistry-signature']).toBe(`error; policy="${repository}"`)
    }
  }
})

test('without a policy nothing is said', async () => {
  for (const method of ['get', 'head'] as const) {
    const passed = await registry.client[method](path('free', digest), as('puller'))
    expect(passed.status).toBe(200)
    expect(passed.headers['cache-control']).toBe('max-age=31536000, immutable')
    expect(passed.headers['warning']).toBeUndefined()
    expect(passed.headers['x-fastregistry-signature']).toBeUndefined()
  }
})
