/**
 * @module Images that call themselves signatures: no gate lets them pass for that.
 */
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { attach } from '../../support/attach-signatures.ts'
import { image, named } from '../../support/attached.ts'
import { describeRegistry } from '../../support/in-process.ts'
import { type RegistryClient, sha256 } from '../../support/registry-client.ts'
import { makeSigner, simpleSigning } from '../../support/signing.ts'

const release = makeSigner()
const require = [{ signature: { by: [{ key: 'release' }] } }]
const policy = { mode: 'enforce', exempt: { pushers: false }, require }
const config = {
  signing: {
    keys: [{ name: 'release', pem: release.pem }],
    policies: [
      { name: 'tags', repositories: ['tags/**'], gates: ['tag'], ...policy },
      { name: 'pulls', repositories: ['pulls/**'], gates: ['pull'], ...policy },
    ],
  },
}
const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const imageConfig = 'application/vnd.oci.image.config.v1+json'
const signatureType = 'application/vnd.dev.cosign.simplesigning.v1+json'
/** What a layer begins with: a name, and bytes that are 0 behind it. */
const tar = Buffer.concat([Buffer.from('bin/sh'), Buffer.alloc(506), Buffer.alloc(1024)])

/** As gzip begins, with a time and a name, so that no byte of it is 0. */
const packed = Buffer.concat([
  Uint8Array.of(0x1f, 0x8b, 8, 8, 1, 1, 1, 1, 2, 3),
  Buffer.from('what is packed'),
])

/** The text of a manifest whose only layer has these bytes and this type. */
async function disguised(
  client: RegistryClient,
  repository: string,
  bytes: Uint8Array,
  { layerType = signatureType, configType = imageConfig, layers = 'layers' } = {},
): Promise<string> {
  const config = await client.pushBlob(repository, '{"os":"linux"}')
  const layer = await client.pushBlob(repository, bytes)
  const text = await client.pushBlob(repository, '{"critical":{}}')
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: manifestType,
    config: { ...config, mediaType: configType },
    layers: [{ ...(layers === 'layers' ? layer : text), mediaType: layerType }],
    ...(layers === 'layers' ? {} : { [layers]: [{ ...layer, mediaType: 'application/x-tar' }] }),
  })
}

const putText = (client: RegistryClient, repository: string, reference: string, text: string) =>
  client.putManifest(repository, reference, text, { 'Content-Type': manifestType })

const CASES: readonly [string, Uint8Array, Parameters<typeof disguised>[3]][] = [
  ['a packed layer', gzipSync(tar), {}],
  ['a packed layer without a byte 0', packed, {}],
  ['a plain layer', tar, {}],
  ['a plain layer of the empty type', tar, { layerType: 'application/vnd.oci.empty.v1+json' }],
  ['a layer in an envelope of Notation', tar, { layerType: 'application/cose' }],
  ['the config of Docker', tar, { configType: 'application/vnd.docker.container.image.v1+json' }],
  ['layers in a spelling that Go folds', tar, { layers: 'layer\u017f' }],
  ['layers in capitals', tar, { layers: 'LAYERS' }],
]

describeRegistry('an image that is disguised', { engines: ['uws'], config }, (registry) => {
  test.each(CASES)('as a signature has %s, and passes no gate', async (_what, bytes, how) => {
    const { client } = registry()
    const app = await image(client, 'tags/app', `signed beside ${_what}`)
    const text = await disguised(client, 'tags/app', bytes, how)
    const refused = await putText(client, 'tags/app', `${named(app.digest)}.sig`, text)
    expect(refused.status).toBe(403)
    const same = await disguised(client, 'pulls/app', bytes, how)
    expect((await putText(client, 'pulls/app', sha256(same), same)).status).toBe(201)
    expect((await client.get(`/v2/pulls/app/manifests/${sha256(same)}`)).status).toBe(403)
  })

  test('real signatures pass by their digest and their own names, and under no other', async () => {
    const { client } = registry()
    const app = await image(client, 'pulls/app', 'signed')
    const layer = simpleSigning(release, app.digest)
    const tag = `${named(app.digest)}.sig`
    const { digest } = await attach(client, 'pulls/app', [layer], { tag })
    for (const reference of [digest, tag]) {
      expect((await client.get(`/v2/pulls/app/manifests/${reference}`)).status).toBe(200)
    }
    const stored = await client.get(`/v2/pulls/app/manifests/${digest}`)
    expect((await putText(client, 'pulls/app', 'v1', stored.text)).status).toBe(201)
    const refused = await client.get('/v2/pulls/app/manifests/v1')
    expect(refused.status).toBe(403)
    expect(refused.text).toContain('is no image but signatures')
  })
})
