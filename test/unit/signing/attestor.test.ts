/**
 * @module The queue of what the registry signs: what happens when it fails, when too much waits, when it stops, and what
 * only looks like a statement of its own.
 */
import { createPublicKey, verify } from 'node:crypto'
import { beforeEach, expect, test } from 'vitest'
import { ManifestPushes } from '../../../src/distribution/push-manifest.ts'
import type { Change } from '../../../src/metadata/transaction.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import { RegistryError } from '../../../src/registry/errors.ts'
import { digestOf } from '../../../src/registry/hasher.ts'
import type { RepositoryName } from '../../../src/registry/name.ts'
import { Attestor, type AttestorParts } from '../../../src/signing/attest/attestor.ts'
import { countersign } from '../../../src/signing/attest/countersign.ts'
import { keptSigningKeys, noSigningKeys, SigningKeys } from '../../../src/signing/attest/keys.ts'
import { policyFingerprint } from '../../../src/signing/attest/statements.ts'
import {
  type AttestStore,
  conditionOf,
  type NewManifest,
} from '../../../src/signing/attest/store.ts'
import type { Rule } from '../../../src/signing/verdicts/policy.ts'
import type { Trust } from '../../../src/signing/worker/messages.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { until } from '../../support/in-process.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { asName, asTag, imageIndex } from '../../support/registry-client.ts'
import { repositoryParts } from '../../support/repository-parts.ts'
import { makeSigner } from '../../support/signing.ts'
import { policyOf } from '../../support/signing-policy.ts'

const repository = asName('prod/app')
const host = 'registry.example.com'
const rules = {
  allowsSparseIndex: true,
  allowsMissingBlobs: true,
  checksSizes: false,
  allowsDelete: true,
}
const policy = policyOf()

let metadata: MemoryMetadataStore
let clock: FakeClock
let counted: string[]
let logged: string[]
let keys: SigningKeys
let digest: Digest

/** A store whose writes can be made to fail. */
class Store implements AttestStore {
  readonly metadata = metadata
  readonly blobs = new Map<string, Uint8Array>()
  fail: (() => Promise<void>) | undefined
  beforeManifest: ((it: NewManifest) => Promise<void>) | undefined
  readonly #pushes = new ManifestPushes(metadata, rules, clock, repositoryParts())

  readBlob = async (blob: Digest) => this.blobs.get(blob)

  async putBlob(into: RepositoryName, bytes: Uint8Array): Promise<void> {
    await this.fail?.()
    const blob = digestOf('sha256', bytes)
    this.blobs.set(blob, bytes)
    const key = [into, blob] as const
    const link: Change = { change: 'put', in: 'links', key, row: { linkedAt: 1 } as never }
    await metadata.commit({ checks: [], changes: [link] })
  }

  async putManifest(it: NewManifest): Promise<void> {
    await this.beforeManifest?.(it)
    const { tag, bytes, by } = it
    const reference = { kind: 'digest', digest: digestOf('sha256', bytes) } as const
    await this.#pushes.push({
      repository: it.repository,
      reference,
      tags: tag === undefined ? [] : [tag.name],
      expected: undefined,
      contentType: it.mediaType,
      bytes,
      condition: conditionOf(tag),
      by,
    })
  }
}

function trustIn(...keys: readonly { readonly name: string; readonly pem: string }[]): Trust {
  return {
    version: 0,
    keys: keys.map((key) => ({ ...key, untilMs: undefined })),
    roots: [],
    stores: [],
    signers: [],
    revoked: { keys: [], certificates: [] },
    now: 0,
  }
}

function make(parts: Partial<AttestorParts> = {}): Attestor {
  return new Attestor({
    keys,
    host,
    facts: new Set(['push']),
    fingerprint: () => 'one',
    signatures: { governing: () => policy, report: async () => undefined },
    clock,
    log: {
      info: () => undefined,
      warn: (_fields, message) => logged.push(message),
      error: (_fields, message) => logged.push(message),
    },
    counts: (kind, result) => counted.push(`${kind} ${result}`),
    ...parts,
  })
}

const passed = () => ({ repository, digest, policy, accepted: [] })
const own = () => metadata.keys('referrers', [repository, digest], undefined, 100)

beforeEach(async () => {
  metadata = new MemoryMetadataStore()
  clock = new FakeClock()
  counted = []
  logged = []
  keys = new SigningKeys(() => clock.now())
  keys.take(await keptSigningKeys(noSigningKeys, clock.now(), false))
  const bytes = Buffer.from(JSON.stringify(imageIndex([], { annotations: { label: 'image' } })))
  digest = digestOf('sha256', bytes)
  const mediaType = 'application/vnd.oci.image.index.v1+json'
  await new Store().putManifest({ repository, bytes, mediaType, by: 'x' })
})

test('one that fails does not keep the next ones away, and is made at the next pass', async () => {
  const store = new Store()
  const attestor = make()
  store.fail = () => Promise.reject(new Error('the disk'))
  attestor.passed(passed())
  attestor.begin(store)
  await until(() => counted.length === 1)
  expect(counted).toEqual(['vsa failed'])
  expect(own()).toEqual([])
  store.fail = undefined
  attestor.passed(passed())
  await until(() => counted.length === 2)
  expect(counted[1]).toBe('vsa written')
  expect(own()).toHaveLength(1)
})

test('what a process had not written when it died is made at the next pass, once', async () => {
  const store = new Store()
  // Nothing of this one ever runs.
  make().passed(passed())
  expect(own()).toEqual([])
  const attestor = make()
  attestor.begin(store)
  attestor.passed(passed())
  attestor.passed(passed())
  await until(() => attestor.depth === 0)
  attestor.passed(passed())
  await until(() => attestor.depth === 0)
  expect(counted.filter((it) => it === 'vsa written')).toHaveLength(1)
  expect(own()).toHaveLength(1)
})

test('a stop writes what waits, and takes no more', async () => {
  const store = new Store()
  const attestor = make()
  attestor.passed(passed())
  attestor.begin(store)
  await attestor.close()
  expect(counted).toEqual(['vsa written'])
  attestor.passed(passed())
  expect(counted).toEqual(['vsa written', 'vsa dropped'])
})

test('so many wait and no more, and that is said once a minute', () => {
  const attestor = make()
  for (let count = 0; count < 1_005; count += 1) {
    const it = { repository, digest, tags: [asTag(`v${count}`)], by: 'x', requestId: 'r' }
    attestor.pushed({ ...it, subject: undefined })
  }
  expect(attestor.depth).toBe(1_000)
  expect(counted).toEqual(Array(5).fill('push dropped'))
  expect(logged).toEqual(['not signed by the registry'])
})

test('what only looks like its own statement keeps none away', async () => {
  const store = new Store()
  const real = make()
  real.begin(store)
  real.passed(passed())
  await until(() => real.depth === 0)
  const manifest = own()[0]![2]
  const json = JSON.parse(
    Buffer.from(metadata.getBytes('manifestBytes', manifest)!).toString(),
  ) as {
    layers: [{ digest: Digest; size: number }]
  }
  const bundle = JSON.parse(Buffer.from(store.blobs.get(json.layers[0].digest)!).toString()) as {
    dsseEnvelope: { signatures: [{ sig: string }] }
  }
  // The same words and the same mark, with the signature of somebody else, in another registry.
  const stranger = makeSigner().sign(Buffer.from('anything')).toString('base64')
  bundle.dsseEnvelope.signatures[0].sig = stranger
  const forged = Buffer.from(JSON.stringify(bundle))
  json.layers[0].digest = digestOf('sha256', forged)
  json.layers[0].size = forged.byteLength
  metadata = new MemoryMetadataStore()
  const other = new Store()
  const image = Buffer.from(JSON.stringify(imageIndex([], { annotations: { label: 'image' } })))
  const mediaType = 'application/vnd.oci.image.index.v1+json'
  await other.putManifest({ repository, bytes: image, mediaType, by: 'x' })
  await other.putBlob(repository, forged)
  const bytes = Buffer.from(JSON.stringify(json))
  const ociManifest = 'application/vnd.oci.image.manifest.v1+json'
  await other.putManifest({ repository, bytes, mediaType: ociManifest, by: 'x' })
  const attestor = make()
  attestor.begin(other)
  attestor.passed(passed())
  await until(() => attestor.depth === 0)
  expect(counted.at(-1)).toBe('vsa written')
})

test('another key, or another fingerprint of the policy, says it anew', async () => {
  const store = new Store()
  let fingerprint = 'one'
  const attestor = make({ fingerprint: () => fingerprint })
  attestor.begin(store)
  const pass = async () => {
    attestor.passed(passed())
    await until(() => attestor.depth === 0)
    return counted.at(-1)
  }
  expect(await pass()).toBe('vsa written')
  expect(await pass()).toBe('vsa present')
  fingerprint = 'two'
  expect(await pass()).toBe('vsa written')
  keys.take(await keptSigningKeys(noSigningKeys, clock.now(), false))
  expect(await pass()).toBe('vsa written')
  expect(own()).toHaveLength(3)
})

test('an image has so many statements and no more', async () => {
  const store = new Store()
  const attestor = make()
  attestor.begin(store)
  for (let count = 0; count < 66; count += 1) {
    const it = { repository, digest, tags: [asTag(`v${count}`)], by: 'x', requestId: 'r' }
    attestor.pushed({ ...it, subject: undefined })
    await until(() => attestor.depth === 0)
  }
  expect(own()).toHaveLength(64)
  expect(counted.slice(-2)).toEqual(['push skipped', 'push skipped'])
})

test('a countersignature is added to what came in between', async () => {
  const store = new Store()
  const { signer } = keys
  const parts = { store, signer, host, by: 'x' }
  const tag = asTag(`${digest.replace(':', '-')}.sig`)
  let raced = 0
  const layersOf = () => {
    const target = metadata.get('tags', [repository, tag])?.digest
    const bytes = target && metadata.getBytes('manifestBytes', target)
    return (JSON.parse(Buffer.from(bytes!).toString()) as { layers: unknown[] }).layers
  }
  // Each of the first two attempts is overtaken by another signer.
  store.beforeManifest = async ({ tag: wanted }) => {
    if (wanted === undefined || raced >= 2) return
    raced += 1
    const foreign = new Store()
    for (const [blob, bytes] of store.blobs) foreign.blobs.set(blob, bytes)
    const theirs = new SigningKeys(() => 0)
    theirs.take(await keptSigningKeys(noSigningKeys, 0, false))
    await countersign({ ...parts, store: foreign, signer: theirs.signer }, repository, digest)
    for (const [blob, bytes] of foreign.blobs) store.blobs.set(blob, bytes)
  }
  expect(await countersign(parts, repository, digest)).toBe('written')
  expect(layersOf()).toHaveLength(3)
  expect(await countersign(parts, repository, digest)).toBe('present')
  const [, , mine] = layersOf() as { digest: string; annotations: Record<string, string> }[]
  const payload = store.blobs.get(mine!.digest)!
  const text = mine!.annotations['dev.cosignproject.cosign/signature']!
  const key = createPublicKey(signer.publicKey)
  expect(verify('sha256', payload, key, Buffer.from(text, 'base64'))).toBe(true)
  store.beforeManifest = () => Promise.reject(new RegistryError('MANIFEST_CHANGED'))
  const another = new SigningKeys(() => 0)
  another.take(await keptSigningKeys(noSigningKeys, 0, false))
  const again = countersign({ ...parts, signer: another.signer }, repository, digest)
  await expect(again).rejects.toMatchObject({ kind: 'MANIFEST_CHANGED' })
})

test('the fingerprint of a policy hangs on its rules and on the keys that they name', () => {
  const key = { name: 'release', pem: 'one' }
  const base = policyFingerprint(policy, trustIn(key))
  expect(policyFingerprint({ ...policy, mode: 'audit' }, trustIn(key))).toBe(base)
  expect(policyFingerprint(policy, trustIn({ name: 'other', pem: 'x' }, key))).toBe(base)
  expect(policyFingerprint(policy, trustIn({ name: 'release', pem: 'two' }))).not.toBe(base)
  const stricter = { ...policy.rules[0]!, atLeast: 2 } as Rule
  expect(policyFingerprint({ ...policy, rules: [stricter] }, trustIn(key))).not.toBe(base)
})
