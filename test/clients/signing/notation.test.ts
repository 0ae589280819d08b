/**
 * @module What the registry says of an image that Notation has signed, beside what `notation verify` says. Signatures come
 * as JWS and as COSE, by keys of three sizes.
 */

import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { image, put } from '../../support/attached.ts'
import { type Descriptor, imageIndex, RegistryClient } from '../../support/registry-client.ts'
import { type RunningRegistry, startRegistry } from '../../support/start-registry.ts'
import { clientSession } from '../support/session.ts'
import { takes, verdictOf } from '../support/signing.ts'
import { obstacleTo, skipLoudly } from '../support/tools.ts'

const session = clientSession('notation')
const { own } = session

/** Names of certificates: by the bits of their keys, and one that nobody trusts. */
const SIZES = ['2048', '3072', '4096'] as const
const STRANGER = 'stranger.example.com'
const nameOf = (bits: string) => `rsa${bits}.example.com`
const trusted = SIZES.map(nameOf)

let hasStores = false
let registry: RunningRegistry
let client: RegistryClient

const config = () => ({
  signing: {
    stores: [{ name: 'own', type: 'ca', path: own('store') }],
    policies: [
      {
        name: 'own',
        repositories: ['policy/own'],
        require: [{ signature: { by: [{ store: 'own', subject: '*' }] } }],
      },
    ],
  },
})

beforeAll(async () => {
  if (obstacleTo('notation')) return
  await mkdir(own('store'))
  hasStores = await takes(config())
  if (!hasStores) return
  for (const bits of SIZES) {
    await session.run('notation', 'cert', 'generate-test', '--bits', bits, nameOf(bits))
  }
  await session.run('notation', 'cert', 'generate-test', STRANGER)
  const folder = own('.config/notation')
  for (const name of trusted) {
    await copyFile(`${folder}/localkeys/${name}.crt`, own(`store/${name}.crt`))
  }
  const policy = {
    name: 'all',
    registryScopes: ['*'],
    signatureVerification: { level: 'strict' },
    trustStores: trusted.map((name) => `ca:${name}`),
    trustedIdentities: ['*'],
  }
  const policies = JSON.stringify({ version: '1.0', trustPolicies: [policy] })
  await writeFile(`${folder}/trustpolicy.json`, policies)
  registry = await startRegistry({ config: config() })
  client = new RegistryClient(registry.port)
})
afterAll(async () => {
  client?.close()
  await registry?.stop()
})

interface Place {
  readonly repository: string
  readonly digest: string
}

const at = ({ repository, digest }: Place) => `${registry.address}/${repository}@${digest}`

const FORMATS = ['jws', 'cose'] as const
type Format = (typeof FORMATS)[number]

const sign = (place: Place, format: Format, key = nameOf('2048')) =>
  session.run(
    'notation',
    'sign',
    '--insecure-registry',
    ...['--signature-format', format, '--key', key],
    at(place),
  )

interface SignatureManifest {
  readonly subject: Descriptor
  readonly layers: readonly [Descriptor]
}

/** The only signature of an image. */
async function signatureOf({ repository, digest }: Place) {
  const { json } = await client.get(`/v2/${repository}/referrers/${digest}`)
  const [listed] = (json as { manifests: Descriptor[] }).manifests
  const path = `/v2/${repository}/manifests/${listed!.digest}`
  return { path, manifest: JSON.parse((await client.get(path)).text) as SignatureManifest }
}

interface Case {
  readonly name: string
  readonly make: (place: Place, format: Format) => Promise<Place | undefined>
  readonly isIndex?: true
  readonly isVerified: boolean
}

const CASES: readonly Case[] = [
  ...SIZES.map((bits) => ({
    name: `a signature of a key of ${bits} bits`,
    make: async (place: Place, format: Format) => {
      await sign(place, format, nameOf(bits))
      return undefined
    },
    isVerified: true,
  })),
  { name: 'nothing at all', make: async () => undefined, isVerified: false },
  {
    name: 'a signature of a certificate that is not trusted',
    make: async (place, format) => {
      await sign(place, format, STRANGER)
      return undefined
    },
    isVerified: false,
  },
  {
    name: 'two signatures, of which one is trusted',
    make: async (place, format) => {
      await sign(place, format, STRANGER)
      await sign(place, format)
      return undefined
    },
    isVerified: true,
  },
  {
    name: 'a signature of another image',
    make: async (place, format) => {
      const other = await image(client, place.repository, `another ${format}`)
      await sign({ ...place, digest: other.digest }, format)
      const { manifest } = await signatureOf({ ...place, digest: other.digest })
      const subject = { ...manifest.subject, digest: place.digest }
      await put(client, place.repository, { ...manifest, subject })
      return undefined
    },
    isVerified: false,
  },
  {
    name: 'a signature of which a byte was changed',
    make: async (place, format) => {
      await sign(place, format)
      const { path, manifest } = await signatureOf(place)
      const [layer] = manifest.layers
      const { body } = await client.get(`/v2/${place.repository}/blobs/${layer.digest}`)
      body[body.length - 8] = body[body.length - 8]! ^ 1
      const blob = await client.pushBlob(place.repository, body)
      await client.delete(path)
      const layers = [{ ...layer, digest: blob.digest }]
      await put(client, place.repository, { ...manifest, layers })
      return undefined
    },
    isVerified: false,
  },
  {
    name: 'a signature that was removed',
    make: async (place, format) => {
      await sign(place, format)
      await client.delete((await signatureOf(place)).path)
      return undefined
    },
    isVerified: false,
  },
  {
    name: 'an index that is signed',
    isIndex: true,
    make: async (place, format) => {
      await sign(place, format)
      return undefined
    },
    isVerified: true,
  },
  {
    name: 'a copy inside the registry',
    make: async (place, format) => {
      await sign(place, format)
      const repository = `${place.repository}/copy`
      const from = { repository: place.repository, reference: place.digest }
      const body = JSON.stringify({ from, to: { repository, tag: 'v1' } })
      const headers = { 'Content-Type': 'application/json' }
      await client.request('POST', '/admin/copy', { headers, body })
      return { ...place, repository }
    },
    isVerified: true,
  },
]

describe.each(FORMATS)('notation, %s', (format) => {
  const numbered = CASES.map((one, number) => ({ ...one, number }))
  test.for(numbered)('$name', async ({ make, isVerified, isIndex, number }, context) => {
    if (!hasStores) skipLoudly(context, 'this version verifies no certificates of Notation')
    const repository = `${format}/${number}`
    const member = await image(client, repository, `${format} ${number}`)
    const top = isIndex ? await put(client, repository, imageIndex([member])) : member
    const made = { repository, digest: top.digest }
    const place = (await make(made, format)) ?? made
    const verdict = await verdictOf(registry.url, place.repository, place.digest, 'own')
    expect(verdict.state === 'verified', JSON.stringify(verdict)).toBe(isVerified)
    const verify = ['verify', '--insecure-registry', at(place)]
    const says = await session.run('notation', ...verify).then(
      () => true,
      () => false,
    )
    expect(says).toBe(isVerified)
  })
})
