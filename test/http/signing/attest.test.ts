/**
 * @module What the registry signs itself, through the front door: summaries of what a policy let pass, facts, and
 * signatures beside those of others.
 */
import { createPublicKey, verify } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { adminJson } from '../../support/admin.ts'
import { attach, bundleManifest } from '../../support/attach-signatures.ts'
import { image, named } from '../../support/attached.ts'
import { describeRegistry, dispose, startInProcess, until } from '../../support/in-process.ts'
import {
  attestations,
  ownReferrers,
  ownStatements,
  publishedKeys,
  untilCounted,
  waitForStatements,
} from '../../support/own-statements.ts'
import {
  type Descriptor,
  imageIndex,
  imageManifest,
  type RegistryClient,
} from '../../support/registry-client.ts'
import { makeSigner, signedBundle, simpleSigning } from '../../support/signing.ts'

const release = makeSigner()
const rules = [{ signature: { by: [{ key: 'release' }] } }]
const host = 'registry.example.com:5443'
const signing = {
  attest: { enabled: true, host, facts: ['push', 'promotion'] },
  keys: [{ name: 'release', pem: release.pem }],
  policies: [
    { name: 'both', repositories: ['both/**'], mode: 'audit', require: rules, countersign: true },
    { name: 'prod', repositories: ['prod/**'], mode: 'enforce', require: rules },
  ],
}
const config = { storage: { gc: { undelete_window: '1h' } }, signing }
const vsa = 'https://slsa.dev/verification_summary/v1'
const pushFact = 'https://fastregistry.org/attestations/push/v1'

const sign = (client: RegistryClient, repository: string, subject: Descriptor) =>
  attach(client, repository, [signedBundle(release, subject.digest)], {
    subject,
    artifactType: bundleManifest,
  })

/** An image that is signed before it has a tag. */
async function signedImage(client: RegistryClient, repository: string, seed: string, tag: string) {
  const made = await image(client, repository, seed)
  const signature = await sign(client, repository, made)
  await image(client, repository, seed, tag)
  return { ...made, signature: signature.digest }
}

const ofType = async (client: RegistryClient, repository: string, digest: string, type: string) =>
  (await ownStatements(client, repository, digest)).filter((it) => it.predicateType === type)

/** Layers under the tag of an image's signatures, with what they say and whether the registry signed it. */
async function signaturesOf(client: RegistryClient, repository: string, digest: string) {
  const { status, json } = await client.get(`/v2/${repository}/manifests/${named(digest)}.sig`)
  if (status !== 200) return []
  const { layers } = json as {
    layers: { digest: string; annotations: Record<string, string> }[]
  }
  const [key = ''] = await publishedKeys(client)
  return Promise.all(
    layers.map(async ({ digest: layer, annotations }) => {
      const { body } = await client.get(`/v2/${repository}/blobs/${layer}`)
      const text = annotations['dev.cosignproject.cosign/signature'] ?? ''
      const isOwn = verify('sha256', body, createPublicKey(key), Buffer.from(text, 'base64'))
      const { critical } = JSON.parse(body.toString()) as {
        critical: {
          identity: { 'docker-reference': string }
          image: { 'docker-manifest-digest': string }
        }
      }
      const reference = critical.identity['docker-reference']
      return { isOwn, reference, of: critical.image['docker-manifest-digest'] }
    }),
  )
}

describeRegistry('what the registry signs', { config }, (registry) => {
  test('a policy that lets an image pass leaves a summary of it, once', async () => {
    const { client } = registry()
    const { digest, signature } = await signedImage(client, 'prod/app', 'vsa', 'v1')
    await waitForStatements(client, 'prod/app', digest, 2)
    const [summary] = await ofType(client, 'prod/app', digest, vsa)
    const hex = digest.slice('sha256:'.length)
    expect(summary).toMatchObject({
      subject: [{ name: `${host}/prod/app`, digest: { sha256: hex } }],
      predicate: {
        verifier: { id: `https://${host}` },
        timeVerified: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
        resourceUri: `${host}/prod/app@${digest}`,
        policy: {
          uri: `https://${host}/#signing.policies/prod`,
          digest: { sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
        },
        inputAttestations: [{ digest: { sha256: signature.slice('sha256:'.length) } }],
        verificationResult: 'PASSED',
        verifiedLevels: ['SLSA_BUILD_LEVEL_UNEVALUATED'],
        slsaVersion: '1.0',
      },
    })
    const before = (await attestations(client))['vsa present'] ?? 0
    await image(client, 'prod/app', 'vsa', 'v2')
    await untilCounted(client, 'vsa present', before + 1)
    expect(await ofType(client, 'prod/app', digest, vsa)).toHaveLength(1)
  })

  test('an image that may not pass, or that no policy has judged, has none', async () => {
    const { client } = registry()
    const refused = await image(client, 'prod/app', 'refused')
    const text = await client.get(`/v2/prod/app/manifests/${refused.digest}`)
    const type = { 'Content-Type': refused.mediaType }
    expect((await client.putManifest('prod/app', 'v9', text.text, type)).status).toBe(403)
    const audited = await image(client, 'both/unsigned', 'audited', 'v1')
    await waitForStatements(client, 'both/unsigned', audited.digest, 1)
    const types = (await ownStatements(client, 'both/unsigned', audited.digest)).map(
      (it) => it.predicateType,
    )
    expect(types).toEqual([pushFact])
    expect(await ownReferrers(client, 'prod/app', refused.digest)).toEqual([])
  })

  test('its own statements are no signature, and move nothing', async () => {
    const { client } = registry()
    const { digest } = await signedImage(client, 'prod/own', 'own', 'v1')
    await waitForStatements(client, 'prod/own', digest, 2)
    const path = `/admin/repositories/prod%2Fown/manifests/${digest}/signatures`
    const report = await adminJson<{ by: string[]; signatures: { result: string }[] }>(
      client,
      'GET',
      path,
    )
    expect(report.by).toEqual(['release'])
    const results = new Set(report.signatures.map(({ result }) => result))
    expect(results).toEqual(new Set(['unknown key', 'verified']))
    // Nothing was said of what was said.
    for (const { digest: one } of await ownReferrers(client, 'prod/own', digest)) {
      expect(await ownReferrers(client, 'prod/own', one)).toEqual([])
    }
  })

  test('a push and a copy that was asked for are signed as facts', async () => {
    const { client } = registry()
    const { digest } = await image(client, 'free/app', 'fact', 'v1')
    const [pushed] = await waitForStatements(client, 'free/app', digest, 1)
    expect(pushed).toMatchObject({
      predicateType: pushFact,
      predicate: {
        registry: `https://${host}`,
        repository: `${host}/free/app`,
        tags: ['v1'],
        by: '127.0.0.1',
        requestId: expect.stringMatching(/./),
      },
    })
    const to = { repository: 'free/copy', tag: 'v2' }
    const from = { repository: 'free/app', reference: 'v1' }
    await adminJson(client, 'POST', '/admin/copy', { from, to, referrers: false })
    const [promoted, ...rest] = await waitForStatements(client, 'free/copy', digest, 1)
    expect(rest).toEqual([])
    expect(promoted).toMatchObject({
      predicateType: 'https://fastregistry.org/attestations/promotion/v1',
      predicate: {
        repository: `${host}/free/copy`,
        tags: ['v2'],
        from: { uri: `${host}/free/app@${digest}` },
      },
    })
    // By digest alone, or of a signature: nothing is said.
    const untagged = await image(client, 'free/app', 'untagged')
    await sign(client, 'free/app', untagged)
    await image(client, 'free/app', 'marker', 'v3').then(({ digest: marker }) =>
      waitForStatements(client, 'free/app', marker, 1),
    )
    expect(await ownReferrers(client, 'free/app', untagged.digest)).toEqual([])
  })

  test('the public keys are there for everybody, as text', async () => {
    const { client } = registry()
    const { headers } = await client.get('/.well-known/fastregistry-signing.pem')
    expect(headers).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'x-content-type-options': 'nosniff',
    })
    expect(await publishedKeys(client)).toHaveLength(1)
  })
})

describeRegistry('countersignatures', { engines: ['uws'], config }, (registry) => {
  test('are added for an index and its platforms when a signature comes', async () => {
    const { client } = registry()
    const one = await image(client, 'both/index', 'one')
    const two = await image(client, 'both/index', 'two')
    const text = JSON.stringify(imageIndex([one, two]))
    const type = { 'Content-Type': 'application/vnd.oci.image.index.v1+json' }
    const pushed = await client.putManifest('both/index', 'v1', text, type)
    const digest = pushed.headers['docker-content-digest']!
    const index = { mediaType: type['Content-Type'], digest, size: text.length }
    await sign(client, 'both/index', index)
    for (const of of [digest, one.digest, two.digest]) {
      await until(async () => (await signaturesOf(client, 'both/index', of)).length > 0)
      const all = await signaturesOf(client, 'both/index', of)
      expect(all).toEqual([{ isOwn: true, reference: `${host}/both/index`, of }])
    }
    // The tag moves to what is countersigned already.
    const before = (await attestations(client))['countersignature present'] ?? 0
    await client.putManifest('both/index', 'v2', text, type)
    await untilCounted(client, 'countersignature present', before + 1)
    expect(await signaturesOf(client, 'both/index', digest)).toHaveLength(1)
  })

  test('lose nothing of what others have signed, and come back', async () => {
    const { client } = registry()
    const { digest } = await image(client, 'both/app', 'beside', 'v1')
    const theirs = [simpleSigning(release, digest), simpleSigning(makeSigner(), digest)]
    const tag = `${named(digest)}.sig`
    await attach(client, 'both/app', theirs, { tag })
    const isThere = async () => (await signaturesOf(client, 'both/app', digest)).length === 3
    await until(isThere)
    const all = await signaturesOf(client, 'both/app', digest)
    expect(all.map(({ isOwn }) => isOwn)).toEqual([false, false, true])
    // A signer that knew nothing of it writes the tag anew.
    await attach(client, 'both/app', theirs, { tag })
    await until(isThere)
  })

  test('are not made of what nobody known has signed', async () => {
    const { client } = registry()
    const { digest } = await image(client, 'both/app', 'strange', 'v2')
    const before = (await attestations(client))['countersignature skipped'] ?? 0
    await attach(client, 'both/app', [simpleSigning(makeSigner(), digest)], {
      tag: `${named(digest)}.sig`,
    })
    await untilCounted(client, 'countersignature skipped', before + 1)
    expect(await signaturesOf(client, 'both/app', digest)).toHaveLength(1)
  })

  test('leave what is no list of signatures under the tag as it is', async () => {
    const { client } = registry()
    const made = await image(client, 'both/odd', 'odd')
    await sign(client, 'both/odd', made)
    const layer = await client.pushBlob('both/odd', 'text')
    const body = imageManifest(await client.pushBlob('both/odd', '{}'), [
      { ...layer, mediaType: 'text/spdx' },
    ])
    const tag = `${named(made.digest)}.sig`
    const text = JSON.stringify(body)
    await client.putManifest('both/odd', tag, text, { 'Content-Type': body['mediaType'] as string })
    await image(client, 'both/odd', 'odd', 'v1')
    await untilCounted(client, 'countersignature skipped', 1)
    await waitForStatements(client, 'both/odd', made.digest, 2)
    expect((await client.get(`/v2/both/odd/manifests/${tag}`)).text).toBe(text)
  })
})

test('the key outlives a restart, and a summary that was lost is made at the next pass', async () => {
  const registry = await startInProcess({ engine: 'node', config })
  try {
    const keys = await publishedKeys(registry.client)
    const { digest } = await signedImage(registry.client, 'prod/lost', 'lost', 'v1')
    await waitForStatements(registry.client, 'prod/lost', digest, 2)
    // As if the process had died before it was written.
    for (const { digest: own } of await ownReferrers(registry.client, 'prod/lost', digest)) {
      await registry.client.delete(`/v2/prod/lost/manifests/${own}`)
    }
    await registry.restart()
    expect(await publishedKeys(registry.client)).toEqual(keys)
    expect(await ownReferrers(registry.client, 'prod/lost', digest)).toEqual([])
    await image(registry.client, 'prod/lost', 'lost', 'v1')
    await waitForStatements(registry.client, 'prod/lost', digest, 1)
    expect(await ofType(registry.client, 'prod/lost', digest, vsa)).toHaveLength(1)
    expect(registry.faults).toEqual([])
  } finally {
    await dispose(registry)
  }
})

test('a registry that signs nothing has no keys to show, and makes none', async () => {
  const registry = await startInProcess({ engine: 'node' })
  try {
    const { status } = await registry.client.get('/.well-known/fastregistry-signing.pem')
    expect(status).toBe(404)
    await expect(rm(join(registry.folder, 'auth/signing.json'))).rejects.toThrow(/ENOENT/)
  } finally {
    await dispose(registry)
  }
})
