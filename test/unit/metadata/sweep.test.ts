/**
 * @module What the writer does with each candidate of a sweep: what was touched, linked, used, tagged,
 * pulled or pinned since it was found stays, whatever the plan says; nothing else of a batch does.
 */
import { beforeEach, expect, test } from 'vitest'
import { eventKey } from '../../../src/metadata/event-log.ts'
import type { Candidate, Stay, SweepBatch, Verdict } from '../../../src/metadata/sweep.ts'
import type { Change } from '../../../src/metadata/transaction.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { asName, asTag } from '../../support/registry-client.ts'
import { digestOfText } from '../../support/store.ts'

const repository = asName('team/app')
const tag = asTag('v1')
const blob = digestOfText('blob')
const manifest = digestOfText('manifest')
const index = digestOfText('index')
const blobRow = { sizeBytes: 4, place: 'inline', createdAt: 5, linkedAt: 5 } as const

let store: MemoryMetadataStore
const apply = (...changes: Change[]) => store.commit({ checks: [], changes })

beforeEach(async () => {
  store = new MemoryMetadataStore()
  await apply(
    { change: 'put', in: 'blobs', key: blob, row: blobRow },
    { change: 'put', in: 'blobBytes', key: blob, row: Buffer.from('blob') },
    { change: 'put', in: 'links', key: [repository, blob], row: { linkedAt: 5 } },
    { change: 'put', in: 'holders', key: [blob, repository], row: true },
    {
      change: 'put',
      in: 'manifests',
      key: [repository, manifest],
      row: { mediaType: 'x', sizeBytes: 1, pushedAt: 5 },
    },
    { change: 'put', in: 'manifestBytes', key: manifest, row: Buffer.from('{}') },
    { change: 'put', in: 'manifestHolders', key: [manifest, repository], row: 'stored' },
    {
      change: 'put',
      in: 'tags',
      key: [repository, tag],
      row: { digest: manifest, pushedAt: 5, previous: [] },
    },
    { change: 'put', in: 'tagsByDigest', key: [repository, manifest, tag], row: true },
  )
})

const removed = { repository, digest: manifest, at: 5, pulledAt: 0, why: 'test' }
const ALL: Record<string, Candidate> = {
  tag: { kind: 'tag', tag, ...removed },
  manifest: { kind: 'manifest', ...removed },
  link: { kind: 'link', repository, digest: blob, at: 5 },
  blob: { kind: 'blob', digest: blob, at: 5, bytes: 4 },
}

async function verdictsOn(batch: SweepBatch): Promise<readonly Verdict[]> {
  const outcome = await store.commit({
    checks: [],
    changes: [{ change: 'sweep', in: 'candidates', batch }],
  })
  if (!outcome.applied) throw new Error('refused')
  return outcome.verdicts!
}

/** Why each of them stayed, or that it left bytes; `undefined` for what went with everything. */
async function sweep(isFinal = false): Promise<Record<string, string | undefined>> {
  const candidates = Object.values(ALL)
  const batch = { at: 100, by: 'test', pulledAfter: 50, isFinal, candidates }
  const why = new Map(
    (await verdictsOn(batch)).map((it) => [it.index, it.is === 'stays' ? it.why : it.is]),
  )
  return Object.fromEntries(Object.keys(ALL).map((kind, place) => [kind, why.get(place)]))
}

const gone = { tag: undefined, manifest: undefined, link: undefined, blob: undefined }

test('what nobody used goes, and can be restored', async () => {
  expect(await sweep()).toEqual(gone)
  for (const database of [
    'tags',
    'tagsByDigest',
    'manifests',
    'links',
    'holders',
    'blobs',
  ] as const) {
    expect(store.count(database), database).toBe(0)
  }
  expect(store.get('deletedTags', [repository, tag])?.row.digest).toBe(manifest)
  expect(store.get('deletedManifests', [repository, manifest])?.why).toBe('test')
  expect(store.get('trash', blob)).toMatchObject({ trashedAt: 100, sizeBytes: 4 })
  expect(store.getBytes('blobBytes', blob)).toBeDefined()
  expect(store.getBytes('manifestBytes', manifest)).toBeDefined()
  expect(store.get('events', eventKey(1))).toMatchObject({ action: 'delete-tag', tag })
  expect(store.get('events', eventKey(2))).toMatchObject({ action: 'delete-manifest' })
  expect(store.count('candidates')).toBe(0)
})

test.each([true, false])(
  'bytes that the blob driver has are its matter (final: %s)',
  async (isFinal) => {
    await apply({ change: 'put', in: 'blobs', key: blob, row: { ...blobRow, place: 'file' } })
    expect(await sweep(isFinal)).toEqual({ ...gone, blob: 'bytes-left' })
    // Its note stays until the bytes are gone, whatever the window is.
    expect(store.get('trash', blob)).toMatchObject({ place: 'file' })
  },
)

test('with no window it goes for good', async () => {
  expect(await sweep(true)).toEqual(gone)
  const databases = ['deletedTags', 'deletedManifests', 'manifestHolders', 'trash'] as const
  for (const database of databases) expect(store.count(database), database).toBe(0)
  expect(store.count('blobBytes')).toBe(0)
  expect(store.count('manifestBytes')).toBe(0)
})

const use: Change = { change: 'put', in: 'parents', key: [blob, repository, index], row: true }
const CASES: readonly [what: string, changes: Change[], stays: Record<string, Stay>][] = [
  [
    'a raise (HEAD, mount, push)',
    [{ change: 'raise', in: 'blobs', key: blob, at: 9 }],
    { link: 'used-again', blob: 'used-again' },
  ],
  ['a manifest that uses the blob', [use], { link: 'in-a-manifest', blob: 'in-a-repository' }],
  [
    'a manifest of another repository',
    [{ change: 'put', in: 'parents', key: [blob, asName('b/b'), index], row: true }],
    { blob: 'in-a-manifest' },
  ],
  [
    'another holder',
    [{ change: 'put', in: 'holders', key: [blob, asName('b/b')], row: true }],
    { blob: 'in-a-repository' },
  ],
  [
    'a push of the tag',
    [
      {
        change: 'put',
        in: 'tags',
        key: [repository, tag],
        row: { digest: manifest, pushedAt: 9, previous: [] },
      },
    ],
    { tag: 'pushed-again', manifest: 'tagged' },
  ],
  [
    'a tag that moved',
    [
      {
        change: 'put',
        in: 'tags',
        key: [repository, tag],
        row: { digest: index, pushedAt: 5, previous: [] },
      },
    ],
    { tag: 'moved', manifest: 'tagged' },
  ],
  [
    'a pull of the tag',
    [{ change: 'put', in: 'pulls', key: [repository, tag], row: 60 }],
    { tag: 'pulled', manifest: 'tagged' },
  ],
  [
    'a HEAD of the manifest',
    [{ change: 'raise', in: 'manifests', key: [repository, manifest], at: 9 }],
    { manifest: 'relied-on' },
  ],
  [
    'an index that lists the manifest',
    [{ change: 'put', in: 'parents', key: [manifest, repository, index], row: true }],
    { manifest: 'listed' },
  ],
  [
    'a pin',
    [
      {
        change: 'put',
        in: 'pins',
        key: [manifest, 'deploy'],
        row: { note: '', createdAt: 1, by: 'x' },
      },
    ],
    { tag: 'pinned', manifest: 'pinned' },
  ],
  [
    'a lease that has ended',
    [
      {
        change: 'put',
        in: 'pins',
        key: [manifest, 'deploy'],
        row: { note: '', createdAt: 1, by: 'x', expiresAt: 99 },
      },
    ],
    {},
  ],
]

test.each(['tag', 'manifest'] as const)('a %s whose subject is back stays', async (kind) => {
  const candidate = { ...ALL[kind]!, subject: index } as Candidate
  const row = { mediaType: 'x', sizeBytes: 1, pushedAt: 9 }
  if (kind === 'manifest')
    await apply({ change: 'delete', in: 'tagsByDigest', key: [repository, manifest, tag] })
  await apply({ change: 'put', in: 'manifests', key: [repository, index], row })
  const batch = { at: 100, by: 'test', pulledAfter: 50, isFinal: false, candidates: [candidate] }
  const why = 'subject-is-here'
  expect(await verdictsOn(batch)).toEqual([{ is: 'stays', index: 0, why }])
  await apply({ change: 'delete', in: 'manifests', key: [repository, index] })
  expect(await verdictsOn(batch)).toEqual([])
})

test.each(CASES)('%s since it was found: what rests on it stays', async (_what, changes, stays) => {
  await apply(...changes)
  const outcome = await sweep()
  for (const [kind, why] of Object.entries(outcome)) {
    if (stays[kind] === undefined) expect(why, kind).toBeUndefined()
    else expect(why, kind).toBe(stays[kind])
  }
})
