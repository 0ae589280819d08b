/**
 * @module What is signed with certificates, through the front door: keyless by a trusted root, Notation by a store.
 */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import {
  githubIssuer,
  keylessAnnotations,
  keylessBundle,
  pemOf,
  Sigstore,
  workflow,
} from '../../../bench/sigstore/keyless.ts'
import { adminJson } from '../../support/admin.ts'
import { attach, bundleManifest } from '../../support/attach-signatures.ts'
import { named } from '../../support/attached.ts'
import { describeRegistry } from '../../support/in-process.ts'
import {
  type Descriptor,
  imageManifest,
  type RegistryClient,
  sha256,
} from '../../support/registry-client.ts'
import { certificate } from '../../support/signed/certificate.ts'
import { jws, notationManifest, targetOf } from '../../support/signed/notation.ts'
import { payloadOf, signPredicate, statementAbout } from '../../support/signing.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-certificates-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const sigstore = await Sigstore.open()
const by = await sigstore.certify()
const rootFile = join(folder, 'trusted_root.json')
const rootJson = JSON.stringify(sigstore.root())
writeFileSync(rootFile, rootJson)

const authority = certificate({ subject: 'O=acme root', isAuthority: true })
const leaf = certificate({ subject: 'C=US, O=acme', by: authority })
mkdirSync(join(folder, 'acme'))
writeFileSync(join(folder, 'acme/root.pem'), pemOf(authority.der))

const require = [{ signature: { by: ['acme-ci', 'acme-notation'] } }]
const config = {
  signing: {
    roots: [{ name: 'own', path: rootFile }],
    stores: [{ name: 'acme', type: 'ca', path: join(folder, 'acme') }],
    signers: {
      'acme-ci': {
        identity: {
          issuer: githubIssuer,
          subject: 'https://github.com/acme/*/.github/workflows/release.yml@refs/tags/*',
        },
      },
      'acme-notation': { store: 'acme', subject: 'O=acme' },
    },
    policies: [
      { name: 'prod', repositories: ['prod/**'], mode: 'enforce', require },
      { name: 'audited', repositories: ['audited/**'], require },
    ],
  },
}

const type = { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' }

/** An image that is there, and what gives it the tag `v1`. */
async function pushed(client: RegistryClient, repository: string, seed: string) {
  const config = await client.pushBlob(repository, `{"seed":"${seed}"}`)
  const text = JSON.stringify(imageManifest(config, []))
  const descriptor: Descriptor = {
    mediaType: type['Content-Type'],
    digest: sha256(text),
    size: text.length,
  }
  const stored = await client.putManifest(repository, descriptor.digest, text, type)
  expect(stored.status).toBe(201)
  const move = () => client.putManifest(repository, 'v1', text, type)
  return { descriptor, move, text }
}

const bundleFor = async (digest: string) => ({
  mediaType: bundleManifest,
  annotations: {},
  bytes: Buffer.from(
    JSON.stringify(
      await keylessBundle({ sigstore, by, payload: statementAbout(digest, signPredicate) }),
    ),
  ),
})

interface Report {
  readonly state: string
  readonly by: readonly string[]
  readonly signatures: readonly object[]
}
const reportOf = (client: RegistryClient, repository: string, digest: string) =>
  adminJson<Report>(
    client,
    'GET',
    `/admin/repositories/${repository}/manifests/${digest}/signatures`,
  )

describeRegistry('what is signed with certificates', { engines: ['uws'], config }, (registry) => {
  test('a keyless bundle lets a tag move, and is shown with what is proven', async () => {
    const { client } = registry()
    const { descriptor, move } = await pushed(client, 'prod/bundle', 'bundle')
    const refused = await move()
    expect(refused.status).toBe(403)
    expect(refused.text).toContain('a signature by acme-ci or acme-notation')
    const to = { subject: descriptor, artifactType: bundleManifest }
    await attach(client, 'prod/bundle', [await bundleFor(descriptor.digest)], to)
    expect((await move()).status).toBe(201)
    expect(await reportOf(client, 'prod/bundle', descriptor.digest)).toMatchObject({
      state: 'verified',
      by: ['acme-ci'],
      signatures: [
        {
          result: 'verified',
          logged: true,
          signedAt: { at: sigstore.time.toISOString(), by: 'trusted' },
          signer: {
            name: 'acme-ci',
            identity: { issuer: githubIssuer, subject: workflow, roots: ['own'] },
          },
        },
      ],
    })
  })

  test('so does simple signing with a certificate under a tag', async () => {
    const { client } = registry()
    const { descriptor, move } = await pushed(client, 'prod/simple', 'simple')
    const bytes = payloadOf(descriptor.digest)
    const annotations = await keylessAnnotations({ sigstore, by, payload: bytes })
    const mediaType = 'application/vnd.dev.cosign.simplesigning.v1+json'
    await attach(client, 'prod/simple', [{ mediaType, annotations, bytes }], {
      tag: `${named(descriptor.digest)}.sig`,
    })
    expect((await move()).status).toBe(201)
  })

  test('so does Notation, until its certificate ends', async () => {
    const { client } = registry()
    const { descriptor, move } = await pushed(client, 'prod/notation', 'notation')
    const { digest, size } = descriptor
    const layer = jws({ chain: [leaf, authority], payload: targetOf({ digest, size }) })
    const to = { subject: descriptor, artifactType: notationManifest }
    await attach(client, 'prod/notation', [layer], to)
    expect((await move()).status).toBe(201)
    const { by: names, signatures } = await reportOf(client, 'prod/notation', digest)
    expect(names).toEqual(['acme-notation'])
    expect(signatures).toMatchObject([
      {
        result: 'verified',
        reason: 'no list of revoked certificates was asked',
        signer: { name: 'acme-notation', store: { stores: ['acme'], subject: 'C=US, O=acme' } },
        validUntil: expect.stringMatching(/^\d{4}-/),
      },
    ])
  })

  test('a root that cannot be read answers 503 where it is needed, and is a note elsewhere', async () => {
    const { client } = registry()
    const { descriptor, move } = await pushed(client, 'prod/root', 'root')
    const to = { subject: descriptor, artifactType: bundleManifest }
    await attach(client, 'prod/root', [await bundleFor(descriptor.digest)], to)
    const audited = await pushed(client, 'audited/root', 'audited')
    const replace = (text: string) => {
      writeFileSync(`${rootFile}.new`, text)
      renameSync(`${rootFile}.new`, rootFile)
    }
    replace('nonsense')
    await vi.waitFor(async () => expect((await move()).status).toBe(503), { timeout: 10_000 })
    const answer = await move()
    expect(answer.text).toContain('a key, root or store that signature policy \\"prod\\" rests on')
    expect((await audited.move()).status).toBe(201)
    replace(rootJson)
    await vi.waitFor(async () => expect((await move()).status).toBe(201), { timeout: 10_000 })
    const metrics = await client.get('/metrics')
    expect(metrics.text).toMatch(/fastregistry_signing_root_age_seconds\{root="own"\} \d/)
  })
})
