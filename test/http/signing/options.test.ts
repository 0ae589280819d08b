/**
 * @module Options of a policy: an index that is verified by its images, an image that is verified by its provenance, a
 * signature that has to name the tag.
 */
import { expect, test } from 'vitest'
import { adminJson } from '../../support/admin.ts'
import { attach, bundleManifest } from '../../support/attach-signatures.ts'
import { image, named, put } from '../../support/attached.ts'
import { describeRegistry } from '../../support/in-process.ts'
import {
  type Descriptor,
  imageIndex,
  imageManifest,
  type RegistryClient,
} from '../../support/registry-client.ts'
import {
  bundle,
  envelope,
  makeSigner,
  payloadOf,
  signedBundle,
  simpleSigning,
  statementAbout,
} from '../../support/signing.ts'

const release = makeSigner()
const slsa = 'https://slsa.dev/provenance/v1'
const require = [{ signature: { by: [{ key: 'release' }] } }]
const policy = (name: string, options: object) => ({
  name,
  repositories: [`${name}/**`],
  mode: 'enforce',
  gates: ['tag', 'pull'],
  exempt: { pushers: false },
  require,
  ...options,
})
const config = {
  signing: {
    keys: [{ name: 'release', pem: release.pem }],
    policies: [
      policy('children', { children: 'all' }),
      policy('provenance', { via_attestation: true }),
      policy('both', { children: 'all', via_attestation: true }),
      policy('bound', { tag_binding: true }),
      policy('plain', {}),
    ],
  },
}
const indexType = 'application/vnd.oci.image.index.v1+json'

const sign = (client: RegistryClient, repository: string, digest: string) =>
  attach(client, repository, [simpleSigning(release, digest)], { tag: `${named(digest)}.sig` })

const putIndex = (client: RegistryClient, repository: string, tag: string, body: object) =>
  client.putManifest(repository, tag, JSON.stringify(body), { 'Content-Type': indexType })

const read = (client: RegistryClient, repository: string, reference: string) =>
  client.get(`/v2/${repository}/manifests/${reference}`).then(({ status }) => status)

/** What BuildKit puts beside an image: a statement without a signature. */
async function provenanceOf(
  client: RegistryClient,
  repository: string,
  about: string,
  type = slsa,
): Promise<Descriptor> {
  const config = await client.pushBlob(repository, `{"of":"${about}"}`)
  const statement = await client.pushBlob(repository, statementAbout(about, type))
  const layer = { ...statement, mediaType: 'application/vnd.in-toto+json' }
  return put(client, repository, imageManifest(config, [layer]))
}

const besides = (holder: Descriptor, about: string) => ({
  ...holder,
  platform: { os: 'unknown', architecture: 'unknown' },
  annotations: {
    'vnd.docker.reference.type': 'attestation-manifest',
    'vnd.docker.reference.digest': about,
  },
})

/** An index of one image with its provenance. */
async function built(client: RegistryClient, repository: string, seed: string) {
  const app = await image(client, repository, seed)
  const holder = await provenanceOf(client, repository, app.digest)
  return { app, holder, body: imageIndex([app, besides(holder, app.digest)]) }
}

const signHolder = (client: RegistryClient, repository: string, holder: Descriptor) => {
  const to = { subject: holder, artifactType: bundleManifest }
  return attach(client, repository, [signedBundle(release, holder.digest)], to)
}

describeRegistry('children: all', { engines: ['uws'], config }, (registry) => {
  test('an index is verified when every image that it lists is', async () => {
    const { client } = registry()
    const repository = 'children/app'
    const [amd, arm] = [
      await image(client, repository, 'amd'),
      await image(client, repository, 'arm'),
    ]
    const holder = await provenanceOf(client, repository, amd.digest)
    const body = imageIndex([amd, arm, besides(holder, amd.digest)])
    await sign(client, repository, amd.digest)
    expect((await putIndex(client, repository, 'v1', body)).status).toBe(403)
    const signature = await sign(client, repository, arm.digest)
    expect((await putIndex(client, repository, 'v1', body)).status).toBe(201)
    expect(await read(client, repository, 'v1')).toBe(200)
    // What a verdict that was kept rests on is gone, and the index with it.
    await client.delete(`/v2/${repository}/manifests/${signature.digest}`)
    expect(await read(client, repository, 'v1')).toBe(403)
    expect((await putIndex(client, 'plain/app', 'v1', body)).status).not.toBe(201)
  })

  test('what calls itself an attestation and can be run is an image', async () => {
    const { client } = registry()
    const repository = 'children/disguised'
    const good = await image(client, repository, 'good')
    const hidden = await image(client, repository, 'hidden')
    await sign(client, repository, good.digest)
    const disguised = {
      ...besides(hidden, good.digest),
      platform: { os: 'linux', architecture: 'arm64' },
    }
    const body = imageIndex([good, disguised])
    expect((await putIndex(client, repository, 'v1', body)).status).toBe(403)
  })

  test('an entry that some programs read otherwise is no verified image', async () => {
    const { client } = registry()
    const repository = 'children/spelled'
    const good = await image(client, repository, 'good')
    const hidden = await image(client, repository, 'hidden')
    await sign(client, repository, good.digest)
    const body = imageIndex([{ ...good, Digest: hidden.digest }])
    expect((await putIndex(client, repository, 'v1', body)).status).toBe(403)
    const layered = { ...imageIndex([good]), Layers: [] }
    expect((await putIndex(client, repository, 'v2', layered)).status).toBe(403)
    expect((await putIndex(client, repository, 'v3', imageIndex([good]))).status).toBe(201)
  })

  test('an index without images is verified by nothing', async () => {
    const { client } = registry()
    expect((await putIndex(client, 'children/none', 'v1', imageIndex([]))).status).toBe(403)
  })
})

describeRegistry('via_attestation', { engines: ['uws'], config }, (registry) => {
  test('who signs the provenance of an image vouches for the image', async () => {
    const { client } = registry()
    const { app, holder, body } = await built(client, 'provenance/app', 'built')
    const raw = { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' }
    await put(client, 'provenance/app', body)
    const manifest = await client.get(`/v2/provenance/app/manifests/${app.digest}`)
    expect(manifest.status).toBe(403)
    const signature = await signHolder(client, 'provenance/app', holder)
    const pulled = await client.get(`/v2/provenance/app/manifests/${app.digest}`)
    expect(pulled.status).toBe(200)
    expect((await client.putManifest('provenance/app', 'v1', pulled.body, raw)).status).toBe(201)
    await client.delete(`/v2/provenance/app/manifests/${signature.digest}`)
    expect(await read(client, 'provenance/app', app.digest)).toBe(403)
  })

  test('provenance of another image, or another statement, vouches for nothing', async () => {
    const { client } = registry()
    const { holder } = await built(client, 'provenance/other', 'theirs')
    await signHolder(client, 'provenance/other', holder)
    const mine = await image(client, 'provenance/other', 'mine')
    await put(client, 'provenance/other', imageIndex([mine, besides(holder, mine.digest)]))
    expect(await read(client, 'provenance/other', mine.digest)).toBe(403)
    const sbom = await provenanceOf(
      client,
      'provenance/other',
      mine.digest,
      'https://spdx.dev/Document',
    )
    await signHolder(client, 'provenance/other', sbom)
    await put(client, 'provenance/other', imageIndex([mine, besides(sbom, mine.digest)]))
    expect(await read(client, 'provenance/other', mine.digest)).toBe(403)
  })

  test('counts for the images of an index, and nowhere without the option', async () => {
    const { client } = registry()
    const both = await built(client, 'both/app', 'built')
    await signHolder(client, 'both/app', both.holder)
    expect((await putIndex(client, 'both/app', 'v1', both.body)).status).toBe(201)
    const plain = await built(client, 'plain/app', 'built')
    await signHolder(client, 'plain/app', plain.holder)
    expect((await putIndex(client, 'plain/app', 'v1', plain.body)).status).toBe(403)
    expect(await read(client, 'plain/app', plain.app.digest)).toBe(403)
  })
})

describeRegistry('tag_binding', { engines: ['uws'], config }, (registry) => {
  test('a signature counts for the tags that it names', async () => {
    const { client } = registry()
    const config = await client.pushBlob('bound/app', '{"seed":"bound"}')
    const text = JSON.stringify(imageManifest(config, []))
    const app = await put(client, 'bound/app', imageManifest(config, []))
    const move = async (tag: string) => {
      const type = { 'Content-Type': app.mediaType }
      return (await client.putManifest('bound/app', tag, text, type)).status
    }
    await sign(client, 'bound/app', app.digest)
    expect(await move('v1')).toBe(403)
    const payload = { ...JSON.parse(payloadOf(app.digest).toString()), optional: { tag: 'v1' } }
    const layer = simpleSigning(release, app.digest, Buffer.from(JSON.stringify(payload)))
    await attach(client, 'bound/app', [layer], { tag: `${named(app.digest)}.sig` })
    expect(await move('v1')).toBe(201)
    expect(await move('v2')).toBe(403)
    const statement = JSON.parse(
      statementAbout(app.digest, 'https://sigstore.dev/cosign/sign/v1').toString(),
    )
    statement.subject[0].name = 'registry.example:5000/bound/app:v2'
    const signed = bundle(release, {
      dsseEnvelope: envelope(release, Buffer.from(JSON.stringify(statement))),
    })
    await attach(client, 'bound/app', [signed], { subject: app, artifactType: bundleManifest })
    expect(await move('v2')).toBe(201)
    expect(await move('v3')).toBe(403)
  })
})

describeRegistry('a revocation', { engines: ['uws'], config }, (registry) => {
  const revoke = (client: RegistryClient, digest: string) =>
    adminJson(client, 'POST', '/admin/signatures/revoke', { digest, reason: 'test' })
  const allow = (client: RegistryClient, digest: string) =>
    adminJson(client, 'DELETE', `/admin/signatures/revoke/${digest}`)

  test('of the provenance takes the verdict of its image, and back', async () => {
    const { client } = registry()
    const { app, holder, body } = await built(client, 'provenance/revoked', 'built')
    await put(client, 'provenance/revoked', body)
    await signHolder(client, 'provenance/revoked', holder)
    expect(await read(client, 'provenance/revoked', app.digest)).toBe(200)
    await revoke(client, holder.digest)
    expect(await read(client, 'provenance/revoked', app.digest)).toBe(403)
    await allow(client, holder.digest)
    expect(await read(client, 'provenance/revoked', app.digest)).toBe(200)
  })

  test('of an image takes the verdict of an index that rests on it', async () => {
    const { client } = registry()
    const app = await image(client, 'children/revoked', 'revoked')
    await sign(client, 'children/revoked', app.digest)
    const index = imageIndex([app])
    expect((await putIndex(client, 'children/revoked', 'v1', index)).status).toBe(201)
    expect(await read(client, 'children/revoked', 'v1')).toBe(200)
    await revoke(client, app.digest)
    expect(await read(client, 'children/revoked', 'v1')).toBe(403)
  })
})
