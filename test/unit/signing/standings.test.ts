/**
 * @module Verdicts that are kept, beside everything that may change while they are worked out.
 */
import { beforeEach, expect, test, vi } from 'vitest'
import { addManifest } from '../../../src/metadata/edits.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import { fingerprintOf, Standings } from '../../../src/signing/pulls/standings.ts'
import type { SignatureReport } from '../../../src/signing/signatures.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { asName, sha256 } from '../../support/registry-client.ts'
import { exemptNone, policyOf } from '../../support/signing-policy.ts'
import { digestOfText } from '../../support/store.ts'

const repository = asName('prod/app')
const text = JSON.stringify({ layers: [{ mediaType: 'something/runnable' }] })
const digest = sha256(text) as Digest
const mediaType = 'application/vnd.oci.image.manifest.v1+json'
const policy = policyOf({ gates: new Set(['pull']), exempt: exemptNone })

let metadata: MemoryMetadataStore
let clock: FakeClock
let trust: string
let reports: (() => Promise<Partial<SignatureReport>>)[]
let counted: string[]
let standings: Standings

const verified = async () => ({ state: 'verified', by: ['release'] }) as const
const unsigned = async () => ({ state: 'unsigned' }) as const

async function addEvidence(label: string): Promise<void> {
  const it = {
    repository,
    digest: digestOfText(label),
    bytes: Buffer.from(label),
    row: { mediaType, sizeBytes: 1, pushedAt: 1, subject: digest },
    children: [],
    referrer: { mediaType, digest: digestOfText(label), size: 1 },
  }
  await metadata.commit({ checks: [], changes: addManifest(it, 1) })
}

beforeEach(async () => {
  metadata = new MemoryMetadataStore()
  clock = new FakeClock()
  trust = 'keys'
  reports = []
  counted = []
  standings = makeStandings()
  metadata.onApplied(standings.effects)
  const it = {
    repository,
    digest,
    bytes: Buffer.from(text),
    row: { mediaType, sizeBytes: text.length, pushedAt: 1 },
    children: [],
    referrer: undefined,
  }
  await metadata.commit({ checks: [], changes: addManifest(it, 1) })
})

function makeStandings(): Standings {
  return new Standings({
    metadata,
    signatures: {
      sources: { metadata, readBlob: async () => undefined },
      governing: () => policy,
      report: async () => {
        const next = reports.shift()
        if (next === undefined) throw new Error('asked too often')
        const nothing = { digest, policy, by: [], rests: [], findings: [], isTruncated: false }
        return { ...nothing, ...(await next()) } as SignatureReport
      },
    },
    fingerprint: (of) => fingerprintOf(of, trust, '1'),
    clock,
    random: systemRandom,
    counts: (result) => counted.push(result),
    took: () => undefined,
  })
}

const known = () => standings.known(policy, repository, digest)
const find = () => standings.find(policy, repository, digest)

test('a verdict is worked out once for all who ask, and kept', async () => {
  reports = [verified]
  expect(known()).toBeUndefined()
  await Promise.all([find(), find(), find()])
  expect(known()).toMatchObject({ state: 'verified', by: ['release'] })
  expect(known()).toBe(known())
  expect(counted).toEqual(['miss', 'hit', 'hit', 'hit'])
})

test('what cannot be judged is said to be so: its bytes are gone, or all of it', async () => {
  vi.spyOn(metadata, 'getBytes').mockReturnValueOnce(undefined)
  expect(await find()).toBe(false)
  const gone = sha256('gone') as Digest
  vi.spyOn(metadata, 'getBytes').mockReturnValueOnce(Buffer.from(text))
  expect(await standings.find(policy, repository, gone)).toBe(false)
  reports = [verified]
  expect(await find()).toBe(true)
})

test('what changes while it is worked out is not written over', async () => {
  reports = [
    async () => {
      await addEvidence('a signature')
      return unsigned()
    },
    verified,
  ]
  await find()
  expect(reports).toHaveLength(0)
  expect(known()).toMatchObject({ state: 'verified' })
})

test('a verdict that stands is no exception', async () => {
  reports = [verified]
  await find()
  reports = [
    async () => {
      await addEvidence('another signature')
      return verified()
    },
    unsigned,
  ]
  await find()
  expect(reports).toHaveLength(0)
  expect(known()).toMatchObject({ state: 'unsigned' })
})

test('keys that change while it is worked out have it worked out again', async () => {
  reports = [
    async () => {
      trust = 'other keys'
      standings.renew()
      return verified()
    },
    unsigned,
  ]
  await find()
  expect(known()).toMatchObject({ state: 'unsigned' })
})

test('evidence that never stands still ends as busy, and no verdict is kept', async () => {
  let count = 0
  const moving = async () => {
    count += 1
    await addEvidence(`signature ${count}`)
    return verified()
  }
  reports = [moving, moving, moving]
  await expect(find()).rejects.toMatchObject({ kind: 'SIGNATURES_BUSY' })
  expect(known()).toBeUndefined()
})

test('an answer that rests on it is invalid before the change is acknowledged', async () => {
  reports = [verified]
  await find()
  const { seal } = known()!
  expect(seal.isBroken).toBe(false)
  reports = [unsigned]
  await addEvidence('a signature').then(() => expect(seal.isBroken).toBe(true))
  expect(metadata.get('verdicts', [repository, digest])).toMatchObject({ was: 'verified' })
  // Judged anew without being asked, and told.
  await expect.poll(() => known()?.state).toBe('unsigned')
  const events = metadata.entries('events', [], undefined, 100).map(({ row }) => row)
  expect(events).toMatchObject([{ action: 'verdict-changed', repository, digest }])
  expect(events[0]!.why).toContain('verified before, unsigned now')
})

test('other keys, a later version and the end of its time make a verdict say nothing', async () => {
  reports = [verified]
  await find()
  const { seal } = known()!
  trust = 'other keys'
  reports = [unsigned]
  standings.renew()
  expect(seal.isBroken).toBe(true)
  expect(known()).toBeUndefined()
  await expect.poll(() => known()?.state).toBe('unsigned')
  expect(counted).toContain('stale')
  clock.advance(5 * 60_000)
  expect(known()).toBeUndefined()
  expect(fingerprintOf(policy, trust, '1')).not.toBe(fingerprintOf(policy, trust, '2'))
})

test('one that a crash left half-way is worked out again', async () => {
  reports = [() => new Promise(() => undefined)]
  void find()
  const row = () => metadata.get('verdicts', [repository, digest])
  await expect.poll(row).toMatchObject({ state: 'pending' })
  expect(known()).toBeUndefined()
  const later = makeStandings()
  expect(later.known(policy, repository, digest)).toBeUndefined()
  reports = [verified]
  await later.find(policy, repository, digest)
  expect(row()).toMatchObject({ state: 'verified' })
})

test('when it is not known what was committed, nothing in memory counts', async () => {
  reports = [verified]
  await find()
  const { seal } = known()!
  standings.clear()
  expect(seal.isBroken).toBe(true)
  // The row is asked again.
  expect(known()).toMatchObject({ state: 'verified', seal: { isBroken: false } })
})

test('a signature needs none itself, and has no row', async () => {
  const bytes = Buffer.from(
    JSON.stringify({ layers: [{ mediaType: 'application/vnd.dsse.envelope.v1+json' }] }),
  )
  const signature = sha256(bytes.toString()) as Digest
  const row = { mediaType, sizeBytes: bytes.byteLength, pushedAt: 1 }
  const it = { repository, digest: signature, bytes, row, children: [], referrer: undefined }
  await metadata.commit({ checks: [], changes: addManifest(it, 1) })
  await standings.find(policy, repository, signature)
  expect(standings.known(policy, repository, signature)).toMatchObject({ state: 'exempt' })
  expect(metadata.get('verdicts', [repository, signature])).toBeUndefined()
})
