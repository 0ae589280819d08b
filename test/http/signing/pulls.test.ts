/**
 * @module What a policy says of pulls, through the front door: who gets an image, what the answer says of its
 * signatures, and that no answer outlives what it rests on.
 */
import { expect, test } from 'vitest'
import { adminJson } from '../../support/admin.ts'
import { attach, bundleManifest } from '../../support/attach-signatures.ts'
import { image, named, put } from '../../support/attached.ts'
import { describeRegistry } from '../../support/in-process.ts'
import { imageIndex, type RegistryClient } from '../../support/registry-client.ts'
import { makeSigner, signedBundle, simpleSigning } from '../../support/signing.ts'

const release = makeSigner()
const ci = makeSigner('ed25519')

const bySignature = [{ signature: { by: [{ key: 'release' }] } }]
const policy = (name: string, more: object = {}) => ({
  name,
  repositories: [`${name}/**`],
  mode: 'enforce',
  gates: ['pull'],
  require: bySignature,
  ...more,
})
const config = {
  storage: { gc: { undelete_window: '1h' } },
  signing: {
    keys: [
      { name: 'release', pem: release.pem },
      { name: 'ci', pem: ci.pem },
    ],
    policies: [
      policy('prod'),
      policy('audited', { mode: 'audit' }),
      policy('warned', { mode: 'warn' }),
      policy('fresh', { grace: '1h' }),
      policy('moved', { gates: ['tag'], mode: 'audit' }),
    ],
  },
}

const signatureHeader = 'x-fastregistry-signature'
const path = (repository: string, reference: string) => `/v2/${repository}/manifests/${reference}`
const get = (client: RegistryClient, repository: string, reference: string) =>
  client.get(path(repository, reference))
const statusOf = async (client: RegistryClient, repository: string, reference: string) =>
  (await get(client, repository, reference)).status
const sign = (client: RegistryClient, repository: string, digest: string, by = release) =>
  attach(client, repository, [simpleSigning(by, digest)], { tag: `${named(digest)}.sig` })

interface Refusal {
  readonly errors: readonly [
    { readonly code: string; readonly message: string; readonly detail: Record<string, unknown> },
  ]
}

describeRegistry('the gate before a pull', { config }, (registry) => {
  test('push, refused, sign, pulled, signature deleted, refused', async () => {
    const { client } = registry()
    const app = await image(client, 'prod/app', 'pulls', 'v1')
    for (const reference of ['v1', app.digest]) {
      const refused = await get(client, 'prod/app', reference)
      expect(refused.status).toBe(403)
      expect((refused.json as Refusal).errors[0]).toMatchObject({
        code: 'DENIED',
        message: `signature policy "prod": nothing is signed on ${app.digest}, required: a signature by release`,
        detail: {
          policy: 'prod',
          gate: 'pull',
          digest: app.digest,
          state: 'unsigned',
          required: ['a signature by release'],
          tried: [],
          explain: `/admin/repositories/prod/app/manifests/${app.digest}/signatures`,
        },
      })
      // Signers and clients that look first are not stopped.
      const head = await client.head(path('prod/app', reference))
      expect(head.status).toBe(200)
      expect(head.headers[signatureHeader]).toBe('unsigned; policy="prod"')
      expect(head.headers['cache-control']).toBe('no-cache')
    }
    await sign(client, 'prod/app', app.digest, ci)
    const untrusted = (await get(client, 'prod/app', 'v1')).json as Refusal
    expect(untrusted.errors[0].detail).toMatchObject({
      state: 'untrusted',
      tried: [{ scheme: 'cosign-tag', signer: 'ci', result: 'verified' }],
    })
    await sign(client, 'prod/app', app.digest)
    for (const reference of ['v1', app.digest, 'v1']) {
      const pulled = await get(client, 'prod/app', reference)
      expect(pulled.status, pulled.text).toBe(200)
      expect(pulled.headers[signatureHeader]).toBe('verified; policy="prod"; by="release"')
      expect(pulled.headers['cache-control']).toBe('no-cache')
    }
    const known = { headers: { 'If-None-Match': `"${app.digest}"` } }
    const unchanged = await client.request('GET', path('prod/app', app.digest), known)
    expect(unchanged.status).toBe(304)
    expect(unchanged.headers[signatureHeader]).toBe('verified; policy="prod"; by="release"')
    const deleted = await client.delete(path('prod/app', `${named(app.digest)}.sig`))
    expect(deleted.status).toBe(202)
    expect(await statusOf(client, 'prod/app', 'v1')).toBe(403)
    expect(await statusOf(client, 'prod/app', app.digest)).toBe(403)
    expect((await client.request('GET', path('prod/app', app.digest), known)).status).toBe(403)
  })

  test('a referrer that comes, goes and comes back takes the answer with it', async () => {
    const { client } = registry()
    const app = await image(client, 'prod/app', 'referrer', 'r1')
    expect(await statusOf(client, 'prod/app', 'r1')).toBe(403)
    const bundle = await attach(client, 'prod/app', [signedBundle(release, app.digest)], {
      subject: app,
      artifactType: bundleManifest,
    })
    expect(await statusOf(client, 'prod/app', 'r1')).toBe(200)
    await client.delete(path('prod/app', bundle.digest))
    expect(await statusOf(client, 'prod/app', 'r1')).toBe(403)
  })

  test('what signers need is open: blobs, referrers, signatures, lists of them', async () => {
    const { client } = registry()
    const app = await image(client, 'prod/app', 'open', 'o1')
    const bundle = await attach(client, 'prod/app', [signedBundle(ci, app.digest)], {
      subject: app,
      artifactType: bundleManifest,
    })
    await put(client, 'prod/app', imageIndex([bundle]), named(app.digest))
    const layer = await client.pushBlob('prod/app', 'layer of open')
    expect((await client.get(`/v2/prod/app/blobs/${layer.digest}`)).status).toBe(200)
    expect((await client.get(`/v2/prod/app/referrers/${app.digest}`)).status).toBe(200)
    for (const reference of [bundle.digest, named(app.digest)]) {
      const answer = await get(client, 'prod/app', reference)
      expect(answer.status).toBe(200)
      expect(answer.headers[signatureHeader]).toBeUndefined()
    }
    // Nothing that can be run is a signature, whatever it is named and whatever it refers to.
    await image(client, 'prod/app', 'runs', `${named(app.digest)}.sig`, { subject: app })
    expect(await statusOf(client, 'prod/app', `${named(app.digest)}.sig`)).toBe(403)
    expect(await statusOf(client, 'prod/app', 'o1')).toBe(403)
  })

  test('what a verified index lists may be pulled, as long as the index is signed', async () => {
    const { client } = registry()
    const member = await image(client, 'prod/app', 'member')
    const index = await put(client, 'prod/app', imageIndex([member]), 'multi')
    const outer = await put(client, 'prod/app', imageIndex([index]), 'outer')
    expect(await statusOf(client, 'prod/app', member.digest)).toBe(403)
    await sign(client, 'prod/app', outer.digest)
    for (const reference of ['outer', 'multi', member.digest]) {
      expect(await statusOf(client, 'prod/app', reference)).toBe(200)
    }
    await client.delete(path('prod/app', `${named(outer.digest)}.sig`))
    expect(await statusOf(client, 'prod/app', member.digest)).toBe(403)
    expect(await statusOf(client, 'prod/app', 'multi')).toBe(403)
    // The signature of a member says nothing of the index.
    await sign(client, 'prod/app', member.digest)
    expect(await statusOf(client, 'prod/app', member.digest)).toBe(200)
    expect(await statusOf(client, 'prod/app', 'multi')).toBe(403)
  })

  test('an index that is deleted lends nothing any more', async () => {
    const { client } = registry()
    const member = await image(client, 'prod/app', 'lent')
    const index = await put(client, 'prod/app', imageIndex([member]))
    await sign(client, 'prod/app', index.digest)
    expect(await statusOf(client, 'prod/app', member.digest)).toBe(200)
    await client.delete(path('prod/app', index.digest))
    expect(await statusOf(client, 'prod/app', member.digest)).toBe(403)
  })

  test('audit and warn give the image, and say what is missing', async () => {
    const { client } = registry()
    await image(client, 'audited/app', 'audit', 'v1')
    await image(client, 'warned/app', 'warn', 'v1')
    for (let time = 0; time < 2; time += 1) {
      const audited = await get(client, 'audited/app', 'v1')
      expect(audited.status).toBe(200)
      expect(audited.headers[signatureHeader]).toBe('unsigned; policy="audited"')
      expect(audited.headers['warning']).toBeUndefined()
      const warned = await get(client, 'warned/app', 'v1')
      expect(warned.status).toBe(200)
      expect(warned.headers['warning']).toMatch(
        /^299 - "signature policy \\"warned\\": nothing is signed on sha256:\w+, required/,
      )
    }
  })

  test('an image may be pulled within the grace time of its push', async () => {
    const { client } = registry()
    await image(client, 'fresh/app', 'fresh', 'v1')
    const fresh = await get(client, 'fresh/app', 'v1')
    expect(fresh.status).toBe(200)
    expect(fresh.headers[signatureHeader]).toBe('unsigned; policy="fresh"')
  })

  test('a policy without the gate shows what it knows and makes nobody wait', async () => {
    const { client } = registry()
    const app = await image(client, 'moved/app', 'moved', 'v1')
    expect((await get(client, 'moved/app', 'v1')).status).toBe(200)
    await expect
      .poll(async () => (await get(client, 'moved/app', 'v1')).headers[signatureHeader])
      .toBe('unsigned; policy="moved"')
    await sign(client, 'moved/app', app.digest)
    await expect
      .poll(async () => (await get(client, 'moved/app', 'v1')).headers[signatureHeader])
      .toBe('verified; policy="moved"; by="release"')
    const other = await image(client, 'dev/app', 'moved', 'v1')
    const ungoverned = await get(client, 'dev/app', other.digest)
    expect(ungoverned.headers[signatureHeader]).toBeUndefined()
    expect(ungoverned.headers['cache-control']).toContain('immutable')
  })

  test('the history tells of signatures that come and go, and of verdicts that change', async () => {
    const { client } = registry()
    const app = await image(client, 'prod/told', 'told', 'v1')
    await statusOf(client, 'prod/told', 'v1')
    await sign(client, 'prod/told', app.digest)
    await statusOf(client, 'prod/told', 'v1')
    const attached = { subject: app, artifactType: bundleManifest }
    const layers = [signedBundle(release, app.digest)]
    const bundle = await attach(client, 'prod/told', layers, attached)
    // The same once more is none that comes.
    await attach(client, 'prod/told', layers, attached)
    await client.delete(path('prod/told', bundle.digest))
    await client.delete(path('prod/told', `${named(app.digest)}.sig`))
    await statusOf(client, 'prod/told', 'v1')
    const { events } = await adminJson<{ events: { action: string; why?: string }[] }>(
      client,
      'GET',
      `/admin/events?repository=prod/told&digest=${app.digest}`,
    )
    const told = events.map(({ action }) => action)
    expect(told.filter((action) => action.startsWith('signature-'))).toEqual([
      'signature-added',
      'signature-added',
      'signature-removed',
      'signature-removed',
    ])
    const changes = events.filter(({ action }) => action === 'verdict-changed')
    expect(changes.at(0)?.why).toBe('signature policy "prod": unsigned before, verified now')
    expect(changes.at(-1)?.why).toBe('signature policy "prod": verified before, unsigned now')
    expect(told.filter((action) => action === 'pull-denied').length).toBeGreaterThan(0)
  })

  test('a restart keeps what was found out', async () => {
    const app = await image(registry().client, 'prod/app', 'restart', 's1')
    await sign(registry().client, 'prod/app', app.digest)
    expect(await statusOf(registry().client, 'prod/app', 's1')).toBe(200)
    await registry().restart()
    const { client } = registry()
    expect(await statusOf(client, 'prod/app', 's1')).toBe(200)
    const metrics = (await client.get('/metrics')).text
    expect(metrics).toContain('fastregistry_signature_verdict_cache_total{result="hit"} 1')
    expect(metrics).not.toContain('fastregistry_signature_verdict_cache_total{result="miss"}')
  })
})
