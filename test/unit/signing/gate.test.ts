/**
 * @module The gate beside everything that may happen between its verdict and the move of the tag.
 */
import { beforeEach, expect, test } from 'vitest'
import { ManifestPushes } from '../../../src/distribution/push-manifest.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import { RegistryError } from '../../../src/registry/errors.ts'
import type { Tag } from '../../../src/registry/tag.ts'
import { type GatedMove, openGate, SignatureGate, type TagGate } from '../../../src/signing/gate.ts'
import type { Policy } from '../../../src/signing/policies.ts'
import type { SignatureReport, Signatures } from '../../../src/signing/signatures.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { asName, asTag, imageIndex, sha256 } from '../../support/registry-client.ts'
import { repositoryParts } from '../../support/repository-parts.ts'
import { policyOf } from '../../support/signing-policy.ts'

const repository = asName('prod/app')
const policies = {
  allowsSparseIndex: true,
  allowsMissingBlobs: false,
  checksSizes: true,
  allowsDelete: true,
}

const bodyOf = (label: string) =>
  Buffer.from(JSON.stringify(imageIndex([], { annotations: { label } })))
const bytes = bodyOf('image')
const digest = sha256(bytes.toString()) as Digest
const move: GatedMove = { repository, digest, tags: [asTag('v1')], bytes, gate: 'tag' }
const signatureTag = asTag(`${digest.replace(':', '-')}.sig`)

let metadata: MemoryMetadataStore
beforeEach(() => {
  metadata = new MemoryMetadataStore()
})

async function push(tag: Tag, body: Buffer, gate: TagGate = openGate): Promise<Digest> {
  const parts = { ...repositoryParts(), gate }
  const pushed = await new ManifestPushes(metadata, policies, new FakeClock(), parts).push({
    repository,
    reference: { kind: 'tag', tag },
    tags: [],
    expected: undefined,
    contentType: 'application/vnd.oci.image.index.v1+json',
    bytes: body,
    condition: { ifMatch: undefined, ifNoneMatch: undefined },
    by: 'x',
  })
  return pushed.digest
}

function gateOf(
  mode: Policy['mode'],
  report: (of: Digest) => Promise<Partial<SignatureReport>>,
  isNotOlder = false,
) {
  const counted: unknown[] = []
  const policy = policyOf({ mode, isNotOlder })
  const nothing = { digest, state: 'unsigned', by: [], rests: [], findings: [] }
  const signatures = {
    metadata,
    sources: { metadata, readBlob: async () => undefined },
    governing: () => policy,
    report: async (_repository: string, of: Digest) => ({
      ...nothing,
      digest: of,
      ...(await report(of)),
    }),
  } as unknown as Signatures
  const gate = new SignatureGate(signatures, { of: () => undefined, isEmpty: true }, (...verdict) =>
    counted.push(verdict),
  )
  return { gate, counted }
}

const busy = () => Promise.reject(new RegistryError('SIGNATURES_BUSY'))

test('a signature that goes between the verdict and the move takes the move with it', async () => {
  const evidence = await push(signatureTag, bodyOf('signature'))
  const { gate } = gateOf('enforce', async () => ({
    state: 'verified',
    rests: [{ manifest: evidence, tag: signatureTag }],
  }))
  await push(asTag('v1'), bytes, gate)
  expect(metadata.get('tags', [repository, asTag('v1')])?.digest).toBe(digest)
  // The name of the signature leads to something else in the moment before the move.
  const overtaken: TagGate = {
    watches: () => true,
    governed: async ({ tags }) => tags,
    admit: async (it) => {
      const admission = await gate.admit(it)
      await push(signatureTag, bodyOf('another signature'))
      return admission
    },
  }
  await expect(push(asTag('v2'), bytes, overtaken)).rejects.toMatchObject({
    kind: 'CHANGING_TOO_FAST',
  })
  expect(metadata.get('tags', [repository, asTag('v2')])).toBeUndefined()
})

test('what cannot be verified is refused where the policy is enforced, and noted elsewhere', async () => {
  const enforced = gateOf('enforce', busy)
  await expect(enforced.gate.admit(move)).rejects.toMatchObject({ kind: 'SIGNATURES_BUSY' })
  expect(enforced.counted).toEqual([['prod', 'tag', 'error', true]])
  for (const mode of ['audit', 'warn'] as const) {
    const { violation, checks } = await gateOf(mode, busy).gate.admit(move)
    expect(violation).toMatchObject({ state: 'error', mode })
    expect(checks).toEqual([{ check: 'absent', in: 'revoked', key: digest }])
  }
})

test('a push under enforcement that cannot be verified stores nothing', async () => {
  const { gate } = gateOf('enforce', busy)
  await expect(push(asTag('v1'), bytes, gate)).rejects.toMatchObject({ kind: 'SIGNATURES_BUSY' })
  expect(metadata.get('manifests', [repository, digest])).toBeUndefined()
})

test('a tag never moves back to what was signed before the image that it points at', async () => {
  const times = new Map<Digest, number | undefined>()
  const { gate } = gateOf(
    'enforce',
    async (of) => {
      const signedAt = times.get(of)
      return { state: 'verified', ...(signedAt !== undefined && { signedAt }) }
    },
    true,
  )
  const at = (tag: string) => metadata.get('tags', [repository, asTag(tag)])?.digest
  const [old, current, unknown] = await Promise.all(
    ['old', 'current', 'unknown'].map((seed) => push(asTag(`of-${seed}`), bodyOf(seed))),
  )
  times.set(old!, Date.UTC(2026, 0, 1)).set(current!, Date.UTC(2026, 5, 1))
  const latest = asTag('latest')
  await push(latest, bodyOf('current'), gate)
  await push(latest, bodyOf('current'), gate)
  const refused = { kind: 'SIGNATURE_REQUIRED', message: expect.stringContaining('2026-06-01') }
  await expect(push(latest, bodyOf('old'), gate)).rejects.toMatchObject(refused)
  await expect(push(latest, bodyOf('unknown'), gate)).rejects.toMatchObject({
    message: expect.stringContaining('has no trusted time'),
  })
  expect(at('latest')).toBe(current)
  // Signed again: somebody wants to go back.
  times.set(old!, Date.UTC(2026, 5, 2))
  await push(latest, bodyOf('old'), gate)
  expect(at('latest')).toBe(old)
  // What has no time holds no tag.
  await push(asTag('other'), bodyOf('unknown'), gate)
  await push(asTag('other'), bodyOf('old'), gate)
  expect(at('other')).toBe(old)
  expect(unknown).toBeDefined()
})

test('a tag that has moved since it was looked at does not move back', async () => {
  const times = new Map<Digest, number>()
  const { gate } = gateOf(
    'enforce',
    async (of) => ({ state: 'verified', signedAt: times.get(of) ?? 1 }),
    true,
  )
  const newest = await push(asTag('of-newest'), bodyOf('newest'))
  times.set(newest, 2)
  const tag = asTag('raced')
  const overtaken: TagGate = {
    watches: () => true,
    governed: async ({ tags }) => tags,
    admit: async (it) => {
      const admission = await gate.admit(it)
      await push(tag, bodyOf('newest'))
      return admission
    },
  }
  await expect(push(tag, bodyOf('older'), overtaken)).rejects.toMatchObject({
    kind: 'CHANGING_TOO_FAST',
  })
  expect(metadata.get('tags', [repository, tag])?.digest).toBe(newest)
})

test.each(['enforce', 'audit'] as const)(
  'what is revoked between the verdict and the move gets no tag (%s), nor what an index of it lists',
  async (mode) => {
    const state = mode === 'enforce' ? 'verified' : 'unsigned'
    const { gate } = gateOf(mode, async () => ({ state }))
    await push(asTag('member'), bytes)
    const listing = (it: Buffer) => {
      const member = { mediaType: 'application/vnd.oci.image.index.v1+json', size: it.length }
      return Buffer.from(JSON.stringify(imageIndex([{ ...member, digest: sha256(it.toString()) }])))
    }
    const index = await push(asTag('index'), listing(bytes))
    const outer = await push(asTag('outer'), listing(listing(bytes)))
    for (const [number, key] of [digest, index, outer].entries()) {
      const overtaken: TagGate = {
        watches: () => true,
        governed: async ({ tags }) => tags,
        admit: async (it) => {
          const admission = await gate.admit(it)
          const row = { at: 1, by: 'x', reason: '' }
          await metadata.commit({
            checks: [],
            changes: [{ change: 'put', in: 'revoked', key, row }],
          })
          return admission
        },
      }
      const tag = asTag(`v${number}`)
      await expect(push(tag, bytes, overtaken)).rejects.toMatchObject({ kind: 'CHANGING_TOO_FAST' })
      expect(metadata.get('tags', [repository, tag])).toBeUndefined()
      await metadata.commit({ checks: [], changes: [{ change: 'delete', in: 'revoked', key }] })
    }
    await push(asTag('free'), bytes, gate)
    expect(metadata.get('tags', [repository, asTag('free')])?.digest).toBe(digest)
  },
)
