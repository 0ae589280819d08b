/**
 * @module Policies of signatures over what a mirror brings: what upstream has of signatures comes before the verdict,
 * and a tag that means something verified does not follow upstream to something that is not.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { adminJson } from '../../support/admin.ts'
import { attach, bundleManifest } from '../../support/attach-signatures.ts'
import { image, named, put } from '../../support/attached.ts'
import {
  dispose,
  ENGINES,
  type InProcessRegistry,
  startInProcess,
} from '../../support/in-process.ts'
import { imageIndex } from '../../support/registry-client.ts'
import { makeSigner, signedBundle, simpleSigning } from '../../support/signing.ts'

const release = makeSigner()
const policyOf = (name: string, more: object) => ({
  name,
  repositories: [`mirrored/${name}/*`],
  mode: 'enforce',
  gates: ['mirror'],
  require: [{ signature: { by: [{ key: 'release' }] } }],
  ...more,
})

let upstream: InProcessRegistry
let registry: InProcessRegistry

describe.each(ENGINES)('a mirror under a policy (%s)', (engine) => {
  beforeAll(async () => {
    upstream = await startInProcess({ engine: 'uws' })
    registry = await startInProcess({
      engine,
      config: {
        signing: {
          keys: [{ name: 'release', pem: release.pem }],
          policies: [policyOf('prod', {}), policyOf('audited', { mode: 'audit' })],
        },
      },
      mirrors: [
        {
          name: 'mirrored',
          upstream: `http://127.0.0.1:${upstream.port}`,
          cache_ttl: '0s',
        },
      ],
    })
  })
  afterAll(async () => {
    await dispose(registry)
    await dispose(upstream)
  })

  const pull = (repository: string, reference: string) =>
    registry.client.get(`/v2/mirrored/${repository}/manifests/${reference}`)
  const sign = (repository: string, digest: string) =>
    attach(upstream.client, repository, [simpleSigning(release, digest)], {
      tag: `${named(digest)}.sig`,
    })

  test('an image without a signature is refused at the first pull, by tag and by digest', async () => {
    const app = await image(upstream.client, 'prod/unsigned', 'unsigned', 'v1')
    for (const reference of ['v1', app.digest]) {
      const refused = await pull('prod/unsigned', reference)
      expect(refused.status, refused.text).toBe(403)
      expect(refused.json).toMatchObject({
        errors: [{ code: 'DENIED', detail: { gate: 'mirror', state: 'unsigned' } }],
      })
    }
  })

  test('signatures of each way come with the first pull', async () => {
    const byTag = await image(upstream.client, 'prod/tag', 'by tag', 'v1')
    await sign('prod/tag', byTag.digest)
    const byReferrer = await image(upstream.client, 'prod/referrer', 'by referrer', 'v1')
    await attach(upstream.client, 'prod/referrer', [signedBundle(release, byReferrer.digest)], {
      subject: byReferrer,
      artifactType: bundleManifest,
    })
    const member = await image(upstream.client, 'prod/index', 'member')
    const index = await put(upstream.client, 'prod/index', imageIndex([member]), 'v1')
    await sign('prod/index', index.digest)
    for (const repository of ['prod/tag', 'prod/referrer', 'prod/index']) {
      const pulled = await pull(repository, 'v1')
      expect(pulled.status, `${repository}: ${pulled.text}`).toBe(200)
      expect(pulled.headers['x-fastregistry-signature']).toMatch(/^verified; policy="prod"/)
    }
    // What the index lists comes later, and inherits.
    expect((await pull('prod/index', member.digest)).status).toBe(200)
  })

  test('a tag stays with what is verified until what is newer is verified as well', async () => {
    const old = await image(upstream.client, 'prod/moved', 'old', 'v1')
    await sign('prod/moved', old.digest)
    expect((await pull('prod/moved', 'v1')).status).toBe(200)
    const newer = await image(upstream.client, 'prod/moved', 'newer', 'v1')
    for (let time = 0; time < 2; time += 1) {
      const head = await registry.client.head('/v2/mirrored/prod/moved/manifests/v1')
      expect(head.headers['docker-content-digest']).toBe(old.digest)
      const stale = await pull('prod/moved', 'v1')
      expect(stale.status, stale.text).toBe(200)
      expect(stale.headers['docker-content-digest']).toBe(old.digest)
      expect(stale.headers['warning']).toContain('the newer one is not verified')
    }
    expect((await pull('prod/moved', newer.digest)).status).toBe(403)
    // Upstream has moved on to something that is signed.
    const last = await image(upstream.client, 'prod/moved', 'last')
    await sign('prod/moved', last.digest)
    await image(upstream.client, 'prod/moved', 'last', 'v1')
    const moved = await pull('prod/moved', 'v1')
    expect(moved.headers['docker-content-digest']).toBe(last.digest)
    expect(moved.headers['warning']).toBeUndefined()
  })

  test.each(['prod', 'audited', 'free'])(
    'a tag stays when upstream moves it to what is revoked (%s)',
    async (policy) => {
      const repository = `${policy}/revoked`
      const old = await image(upstream.client, repository, `${policy} old`, 'v1')
      await sign(repository, old.digest)
      expect((await pull(repository, 'v1')).status).toBe(200)
      const newer = await image(upstream.client, repository, `${policy} newer`, 'v1')
      await sign(repository, newer.digest)
      await adminJson(registry.client, 'POST', '/admin/signatures/revoke', {
        digest: newer.digest,
        reason: 'backdoor',
      })
      for (let time = 0; time < 2; time += 1) {
        const head = await registry.client.head(`/v2/mirrored/${repository}/manifests/v1`)
        expect(head.headers['docker-content-digest']).toBe(old.digest)
        const stale = await pull(repository, 'v1')
        expect(stale.status, stale.text).toBe(200)
        expect(stale.headers['docker-content-digest']).toBe(old.digest)
        expect(stale.headers['warning']).toContain('the newer one is revoked')
      }
      expect((await pull(repository, newer.digest)).status).toBe(403)
      await adminJson(registry.client, 'DELETE', `/admin/signatures/revoke/${newer.digest}`)
      const moved = await pull(repository, 'v1')
      expect(moved.headers['docker-content-digest']).toBe(newer.digest)
      expect(moved.headers['warning']).toBeUndefined()
    },
  )

  test('a tag that comes with something revoked is refused', async () => {
    const app = await image(upstream.client, 'free/first', 'revoked at first', 'v1')
    await adminJson(registry.client, 'POST', '/admin/signatures/revoke', {
      digest: app.digest,
      reason: 'backdoor',
    })
    const refused = await pull('free/first', 'v1')
    expect(refused.status).toBe(403)
    expect(refused.text).toContain('is revoked: backdoor')
  })

  test('audit answers as ever, and finds out behind the answer', async () => {
    const app = await image(upstream.client, 'audited/app', 'audited', 'v1')
    await sign('audited/app', app.digest)
    expect((await pull('audited/app', 'v1')).status).toBe(200)
    await expect
      .poll(async () => (await pull('audited/app', 'v1')).headers['x-fastregistry-signature'])
      .toMatch(/^verified/)
    await image(upstream.client, 'audited/app', 'next', 'v1')
    const next = await pull('audited/app', 'v1')
    expect(next.status).toBe(200)
    expect(next.headers['docker-content-digest']).not.toBe(app.digest)
  })
})
