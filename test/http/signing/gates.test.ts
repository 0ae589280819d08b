/**
 * @module What a policy does before a tag moves: by a push, a copy, an undelete, a rename, through the front door.
 */
import { expect, test } from 'vitest'
import { admin, adminJson } from '../../support/admin.ts'
import { attach, bundleManifest } from '../../support/attach-signatures.ts'
import { image, named, put } from '../../support/attached.ts'
import { describeRegistry } from '../../support/in-process.ts'
import {
  imageIndex,
  imageManifest,
  type RegistryClient,
  sha256,
} from '../../support/registry-client.ts'
import { attestation, makeSigner, signedBundle, simpleSigning } from '../../support/signing.ts'

const release = makeSigner()
const ci = makeSigner('ed25519')
const slsa = 'https://slsa.dev/provenance/v1'

const bySignature = [{ signature: { by: [{ key: 'release' }] } }]
const config = {
  storage: { gc: { undelete_window: '1h' } },
  signing: {
    keys: [
      { name: 'release', pem: release.pem },
      { name: 'ci', pem: ci.pem },
    ],
    policies: [
      {
        name: 'free',
        repositories: ['prod/free'],
        tags: ['v*'],
        mode: 'enforce',
        require: bySignature,
      },
      {
        name: 'copies',
        repositories: ['prod/copies'],
        mode: 'enforce',
        gates: ['copy'],
        require: bySignature,
      },
      {
        name: 'built',
        repositories: ['prod/built'],
        mode: 'enforce',
        require: [
          ...bySignature,
          { attestation: { type: 'slsaprovenance1', by: [{ key: 'ci' }] } },
        ],
      },
      { name: 'prod', repositories: ['prod/**'], mode: 'enforce', require: bySignature },
      { name: 'warned', repositories: ['warned/**'], mode: 'warn', require: bySignature },
      { name: 'copied', repositories: ['audited/copies'], gates: ['copy'], require: bySignature },
      { name: 'audited', repositories: ['audited/**'], require: bySignature },
    ],
  },
}

async function manifestOf(client: RegistryClient, repository: string, seed: string) {
  const config = await client.pushBlob(repository, `{"seed":"${seed}"}`)
  const layer = await client.pushBlob(repository, `layer of ${seed}`)
  return JSON.stringify(imageManifest(config, [layer]))
}

const type = { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' }
const sign = (client: RegistryClient, repository: string, digest: string) =>
  attach(client, repository, [simpleSigning(release, digest)], { tag: `${named(digest)}.sig` })
const head = async (client: RegistryClient, repository: string, reference: string) => {
  const answer = await client.get(`/v2/${repository}/manifests/${reference}`)
  return answer.status === 200 ? answer.headers['docker-content-digest'] : answer.status
}

interface Refusal {
  readonly errors: readonly [
    { readonly code: string; readonly message: string; readonly detail: Record<string, unknown> },
  ]
}

describeRegistry('the gate of a tag', { engines: ['uws'], config }, (registry) => {
  test('push, refused, sign, push: the tag stays and the image is there to be signed', async () => {
    const { client } = registry()
    const text = await manifestOf(client, 'prod/app', 'gate')
    const refused = await client.putManifest('prod/app', 'v1', text, type)
    expect(refused.status).toBe(403)
    const { errors } = refused.json as Refusal
    const digest = errors[0].detail['digest'] as string
    expect(errors[0]).toMatchObject({
      code: 'DENIED',
      message: expect.stringMatching(
        /^signature policy "prod": nothing is signed on sha256:\w+, required/,
      ),
      detail: {
        policy: 'prod',
        gate: 'tag',
        state: 'unsigned',
        required: ['a signature by release'],
        tried: [],
        explain: `/admin/repositories/prod/app/manifests/${digest}/signatures`,
      },
    })
    expect(await head(client, 'prod/app', 'v1')).toBe(404)
    expect(await head(client, 'prod/app', digest)).toBe(digest)
    await sign(client, 'prod/app', digest)
    expect((await client.putManifest('prod/app', 'v1', text, type)).status).toBe(201)
    expect(await head(client, 'prod/app', 'v1')).toBe(digest)

    // Another image does not take the tag over.
    const other = await manifestOf(client, 'prod/app', 'other')
    expect((await client.putManifest('prod/app', 'v1', other, type)).status).toBe(403)
    expect(await head(client, 'prod/app', 'v1')).toBe(digest)
    // A signature of somebody else is listed with why it does not count.
    const { digest: second } = (
      (await client.putManifest('prod/app', 'v1', other, type)).json as Refusal
    ).errors[0].detail as { digest: string }
    await attach(client, 'prod/app', [simpleSigning(ci, second)], { tag: `${named(second)}.sig` })
    const wrong = (await client.putManifest('prod/app', 'v1', other, type)).json as Refusal
    expect(wrong.errors[0].detail).toMatchObject({
      state: 'untrusted',
      tried: [{ scheme: 'cosign-tag', signer: 'ci', result: 'verified' }],
    })
  })

  test('a signature that is deleted before the push counts no more', async () => {
    const { client } = registry()
    const text = await manifestOf(client, 'prod/app', 'deleted')
    const refused = (await client.putManifest('prod/app', 'd1', text, type)).json as Refusal
    const digest = refused.errors[0].detail['digest'] as string
    await sign(client, 'prod/app', digest)
    await client.delete(`/v2/prod/app/manifests/${named(digest)}.sig`)
    expect((await client.putManifest('prod/app', 'd1', text, type)).status).toBe(403)
  })

  test('pushes by digest and signatures pass; a runnable image passes under no name', async () => {
    const { client } = registry()
    const app = await image(client, 'prod/app', 'by digest')
    await sign(client, 'prod/app', app.digest)
    const text = await manifestOf(client, 'prod/app', 'runnable')
    const name = `${named(app.digest)}.att`
    expect((await client.putManifest('prod/app', name, text, type)).status).toBe(403)
    // The list of clients without referrers API.
    const bundle = await attach(client, 'prod/app', [signedBundle(release, app.digest)], {
      subject: app,
      artifactType: bundleManifest,
    })
    await put(client, 'prod/app', imageIndex([bundle]), named(app.digest))
  })

  test('nothing that can be run is exempt under the name of a signature', async () => {
    const { client } = registry()
    const app = await image(client, 'prod/app', 'exempt')
    const attached = await attach(client, 'prod/app', [simpleSigning(release, app.digest)], {
      subject: app,
      artifactType: bundleManifest,
    })
    const layer = await client.pushBlob('prod/app', 'something that runs')
    const config = await client.pushBlob('prod/app', '{"something":"that runs"}')
    const signature = await client.pushBlob('prod/app', 'a signature')
    const cosign = 'application/vnd.dev.cosign.simplesigning.v1+json'
    const layers = [{ ...signature, mediaType: cosign }]
    const runnable = imageManifest(config, [layer], { subject: app })
    const second = await put(client, 'prod/app', runnable)
    const index = 'application/vnd.oci.image.index.v1+json'
    const gated: readonly object[] = [
      runnable,
      // The last of two names in another case counts for programs in Go.
      { ...imageManifest(config, []), layers, Layers: [layer] },
      { ...imageManifest(config, []), layers: [{ ...layers[0], MediaType: layer.mediaType }] },
      imageIndex([second]),
      imageIndex([attached, second]),
      { ...imageIndex([attached]), mediaType: index, x: 'x'.repeat(300_000) },
      // It is named after the image and is about another one.
      { ...imageManifest(config, []), layers, subject: second },
    ]
    for (const suffix of ['', '.sig', '.tar']) {
      const name = `${named(app.digest)}${suffix}`
      for (const manifest of gated) {
        const text = JSON.stringify(manifest)
        const answer = await client.putManifest('prod/app', name, text, {
          'Content-Type': (manifest as { mediaType: string }).mediaType,
        })
        expect(answer.status, `${name}: ${text.slice(0, 200)}`).toBe(403)
      }
      expect(await head(client, 'prod/app', name)).toBe(404)
    }
    await put(client, 'prod/app', imageIndex([attached]), named(app.digest))
  })

  test('many pushes at once are all judged', async () => {
    const { client } = registry()
    const texts = await Promise.all(
      Array.from({ length: 50 }, async (_, at) => {
        const text = await manifestOf(client, 'prod/many', `many ${at}`)
        await sign(client, 'prod/many', sha256(text))
        return text
      }),
    )
    const pushed = await Promise.all(
      texts.map((text, at) => client.putManifest('prod/many', `v${at}`, text, type)),
    )
    expect(pushed.map(({ status }) => status)).toEqual(texts.map(() => 201))
  })

  test('an index that only mentions an image lends it no signature', async () => {
    const { client } = registry()
    const base = await image(client, 'prod/app', 'mentioned')
    const member = await image(client, 'prod/app', 'member')
    const body = { ...imageIndex([member]), annotations: { 'base.digest': base.digest } }
    const { mediaType, ...untyped } = body as { mediaType: string }
    const text = JSON.stringify(untyped)
    const unknown = { 'Content-Type': 'application/vnd.example.thing+json' }
    const digest = sha256(text)
    expect((await client.putManifest('prod/app', digest, text, unknown)).status).toBe(201)
    const listed = await client.putManifest('prod/app', digest, text, { 'Content-Type': mediaType })
    expect(listed.status).toBe(201)
    await sign(client, 'prod/app', digest)
    const state = async (of: string) =>
      adminJson<{ state: string }>(
        client,
        'GET',
        `/admin/repositories/prod/app/manifests/${of}/signatures`,
      )
    expect(await state(member.digest)).toMatchObject({ state: 'verified' })
    expect(await state(base.digest)).toMatchObject({ state: 'unsigned' })
  })

  test('several tags of one push move together or not at all', async () => {
    const { client } = registry()
    const text = await manifestOf(client, 'prod/free', 'tags')
    const app = await image(client, 'prod/free', 'tags')
    const path = `/v2/prod/free/manifests/${app.digest}?tag=build-1&tag=v9`
    const push = () => client.request('PUT', path, { headers: type, body: text })
    expect((await push()).status).toBe(403)
    expect(await head(client, 'prod/free', 'build-1')).toBe(404)
    // Tags that the policy does not name are free.
    expect((await client.putManifest('prod/free', 'build-1', text, type)).status).toBe(201)
    await sign(client, 'prod/free', app.digest)
    expect((await push()).status).toBe(201)
    expect(await head(client, 'prod/free', 'v9')).toBe(app.digest)
  })

  test('an attestation that is required has to be there as well', async () => {
    const { client } = registry()
    const text = await manifestOf(client, 'prod/built', 'built')
    const app = await image(client, 'prod/built', 'built')
    await sign(client, 'prod/built', app.digest)
    const refused = (await client.putManifest('prod/built', 'v1', text, type)).json as Refusal
    expect(refused.errors[0].detail).toMatchObject({
      state: 'incomplete',
      required: ['a signature by release', `an attestation of type ${slsa} by ci`],
    })
    await attach(client, 'prod/built', [attestation(ci, app.digest, slsa)], {
      tag: `${named(app.digest)}.att`,
    })
    expect((await client.putManifest('prod/built', 'v1', text, type)).status).toBe(201)
  })

  test('a copy passes with the signatures of its source, and is refused before its first step', async () => {
    const { client } = registry()
    const app = await image(client, 'dev/app', 'promoted', 'v1')
    const copy = () =>
      admin(client, 'POST', '/admin/copy', {
        from: { repository: 'dev/app', reference: 'v1' },
        to: { repository: 'prod/promoted', tag: 'v1' },
      })
    const refused = await copy()
    expect(refused.status).toBe(403)
    expect(refused.text).toContain('signature policy \\"prod\\"')
    expect(await head(client, 'prod/promoted', app.digest)).toBe(404)
    await sign(client, 'dev/app', app.digest)
    expect((await copy()).status).toBe(200)
    expect(await head(client, 'prod/promoted', 'v1')).toBe(app.digest)
  })

  test('a policy with the gate copy alone lets pushes pass, and judges copies', async () => {
    const { client } = registry()
    const app = await image(client, 'prod/copies', 'pushed', 'v1')
    const copied = await admin(client, 'POST', '/admin/copy', {
      from: { repository: 'prod/copies', reference: 'v1' },
      to: { repository: 'prod/copies', tag: 'v2' },
    })
    expect(copied.status).toBe(403)
    expect(copied.text).toContain(app.digest)
  })

  test('a rename into a governed name is judged before it begins', async () => {
    const { client } = registry()
    const app = await image(client, 'dev/renamed', 'renamed', 'v1')
    const rename = () =>
      admin(client, 'POST', '/admin/repositories/dev%2Frenamed/rename', {
        to: 'prod/renamed',
        wait: true,
      })
    const refused = await rename()
    expect(refused.status, refused.text).toBe(403)
    expect(await head(client, 'dev/renamed', 'v1')).toBe(app.digest)
    await sign(client, 'dev/renamed', app.digest)
    expect((await rename()).status).toBe(200)
    expect(await head(client, 'prod/renamed', 'v1')).toBe(app.digest)
  })

  test('an undelete of a tag is judged, with the signatures that come back along', async () => {
    const { client } = registry()
    const app = await image(client, 'prod/app', 'undeleted')
    await sign(client, 'prod/app', app.digest)
    const text = await manifestOf(client, 'prod/app', 'undeleted')
    expect((await client.putManifest('prod/app', 'u1', text, type)).status).toBe(201)
    expect((await client.delete(`/v2/prod/app/manifests/${app.digest}`)).status).toBe(202)
    const restored = await adminJson<{ tags: string[] }>(client, 'POST', '/admin/undelete', {
      repository: 'prod/app',
      digest: app.digest,
    })
    expect(restored.tags).toContain('u1')
    await client.delete('/v2/prod/app/manifests/u1')
    await client.delete(`/v2/prod/app/manifests/${named(app.digest)}.sig`)
    const refused = await admin(client, 'POST', '/admin/undelete', {
      repository: 'prod/app',
      tag: 'u1',
    })
    expect(refused.status, refused.text).toBe(403)
    expect(await head(client, 'prod/app', 'u1')).toBe(404)
  })

  test('warn lets the tag move and tells the client; audit notes it', async () => {
    const { client } = registry()
    const warned = await manifestOf(client, 'warned/app', 'warned')
    const pushed = await client.putManifest('warned/app', 'v1', warned, type)
    expect(pushed.status).toBe(201)
    expect(pushed.headers['warning']).toMatch(
      /^299 - "signature policy \\"warned\\": nothing is signed/,
    )
    const audited = await manifestOf(client, 'audited/app', 'audited')
    const silent = await client.putManifest('audited/app', 'v1', audited, type)
    expect(silent.status).toBe(201)
    expect(silent.headers['warning']).toBeUndefined()
    const { violations } = await adminJson<{ violations: { repository: string; tag: string }[] }>(
      client,
      'GET',
      '/admin/signatures/violations?limit=10',
    )
    expect(violations).toEqual([
      expect.objectContaining({ repository: 'audited/app', tag: 'v1' }),
      expect.objectContaining({ repository: 'warned/app', tag: 'v1' }),
    ])
    const metrics = (await client.get('/metrics')).text
    expect(metrics).toContain(
      'fastregistry_signature_checks_total{policy="audited",gate="tag",state="unsigned"} 1',
    )
    expect(metrics).toMatch(/fastregistry_signature_denied_total\{policy="prod",gate="tag"\} [1-9]/)
  })

  test('audit notes copies and renames too, once each', async () => {
    const { client } = registry()
    await image(client, 'dev/noted', 'noted', 'v1')
    const copy = (to: string) =>
      adminJson(client, 'POST', '/admin/copy', {
        from: { repository: 'dev/noted', reference: 'v1' },
        to: { repository: to, tag: 'v1' },
      })
    await copy('audited/copies')
    await copy('audited/both')
    await adminJson(client, 'POST', '/admin/repositories/dev%2Fnoted/rename', {
      to: 'audited/renamed',
      wait: true,
    })
    for (const repository of ['audited/copies', 'audited/both', 'audited/renamed']) {
      const { violations } = await adminJson<{ violations: object[] }>(
        client,
        'GET',
        `/admin/signatures/violations?repository=${encodeURIComponent(repository)}`,
      )
      expect(violations, repository).toEqual([expect.objectContaining({ repository, tag: 'v1' })])
    }
  })

  test('another policy can be tried on an image', async () => {
    const { client } = registry()
    const app = await image(client, 'dev/what-if', 'what-if', 'v1')
    await sign(client, 'dev/what-if', app.digest)
    const verify = (policy?: string) =>
      adminJson<{ state: string; policy?: string }>(client, 'POST', '/admin/signatures/verify', {
        repository: 'dev/what-if',
        reference: 'v1',
        ...(policy !== undefined && { policy }),
      })
    expect(await verify('prod')).toMatchObject({ state: 'verified', policy: 'prod' })
    expect(await verify('built')).toMatchObject({ state: 'incomplete', policy: 'built' })
    expect((await verify()).policy).toBeUndefined()
    const body = { repository: 'dev/what-if', reference: 'v1', policy: 'none' }
    expect((await admin(client, 'POST', '/admin/signatures/verify', body)).status).toBe(400)
  })
})
