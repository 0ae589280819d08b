/**
 * @module A verdict about signatures loses its force in the transaction that changes what it rests on, whichever way
 * the change comes.
 */
import { beforeEach, expect, test } from 'vitest'
import {
  addManifest,
  dropTag,
  movedTag,
  pointTag,
  removeManifest,
  restoreManifest,
} from '../../../src/metadata/edits.ts'
import type { Change, SingleChange } from '../../../src/metadata/transaction.ts'
import type { VerdictRow } from '../../../src/metadata/verdicts/rows.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { asName, asTag } from '../../support/registry-client.ts'
import { digestOfText } from '../../support/store.ts'

const repository = asName('prod/app')
const elsewhere = asName('dev/app')
const imageType = 'application/vnd.oci.image.manifest.v1+json'
const indexType = 'application/vnd.oci.image.index.v1+json'

let metadata: MemoryMetadataStore
let told: string[]

interface Added {
  readonly children?: readonly Digest[]
  readonly subject?: Digest
  readonly to?: typeof repository
}

const isList = ({ children = [] }: Added) => children.length > 0

function added(label: string, it: Added = {}): SingleChange[] {
  const { children = [], subject, to = repository } = it
  const digest = digestOfText(label)
  const mediaType = isList(it) ? indexType : imageType
  const row = { mediaType, sizeBytes: 1, pushedAt: 1, ...(subject && { subject }) }
  const listed = children.map((child) => ({ digest: child, kind: 'manifest' as const }))
  const referrer = subject && { mediaType, digest, size: 1 }
  const bytes = Buffer.from(label)
  return addManifest({ repository: to, digest, bytes, row, children: listed, referrer }, 1)
}

async function apply(changes: readonly Change[]): Promise<void> {
  expect(await metadata.commit({ checks: [], changes })).toMatchObject({ applied: true })
}

const verdict: VerdictRow = { state: 'verified', judgedBy: 'policy', by: [], rests: [], at: 1 }

async function judged(...labels: string[]): Promise<void> {
  const changes = labels.map(
    (label): Change => ({
      change: 'put',
      in: 'verdicts',
      key: [repository, digestOfText(label)],
      row: verdict,
    }),
  )
  await apply(changes)
  told = []
}

const stateOf = (label: string) =>
  metadata.get('verdicts', [repository, digestOfText(label)])?.state

/** One of them lost its force, and the others none. */
function expectDropped(...labels: string[]): void {
  const all = ['image', 'other', 'index', 'outer', 'attested']
  const there = all.filter((label) => stateOf(label) !== undefined)
  expect(there.filter((label) => stateOf(label) === 'pending')).toEqual(labels)
  // One that is gone itself is told as well.
  expect(there.filter((label) => told.includes(digestOfText(label)))).toEqual(labels)
}

const [image, other, index, attested] = ['image', 'other', 'index', 'attested'].map(
  digestOfText,
) as [Digest, Digest, Digest, Digest]
const signatureTag = asTag(`${image.replace(':', '-')}.sig`)

beforeEach(async () => {
  metadata = new MemoryMetadataStore()
  told = []
  metadata.onApplied({ unverified: (_repository, digest) => told.push(digest) })
  await apply([
    ...added('image'),
    ...added('other'),
    ...added('attested'),
    ...added('signature'),
    ...added('index', { children: [image, attested] }),
    ...added('outer', { children: [index] }),
  ])
  await judged('image', 'other', 'index', 'outer', 'attested')
})

const tagRow = movedTag(undefined, digestOfText('signature'), 1, 'x')

/** What an index lists may be verified by it, and the index by what it lists. */
const besideImage = ['image', 'index', 'attested'] as const

test('a tag that is named after it comes, moves and goes', async () => {
  await apply(pointTag(repository, signatureTag, tagRow, undefined))
  expectDropped(...besideImage)
  await judged(...besideImage)
  await apply(pointTag(repository, signatureTag, { ...tagRow, pushedAt: 2 }, tagRow.digest))
  expectDropped()
  const move = { change: 'move-tag', in: 'tags', at: 3, by: 'x', isImmutable: false } as const
  await apply([{ ...move, key: [repository, signatureTag], digest: other }])
  expectDropped(...besideImage)
  await judged(...besideImage)
  const row = metadata.get('tags', [repository, signatureTag])!
  const removal = { at: 4, by: 'x', why: 'test' }
  await metadata.commit(dropTag(repository, signatureTag, row, removal))
  expectDropped(...besideImage)
})

test('another tag, the same tag elsewhere and a tag of another image change nothing', async () => {
  await apply(pointTag(repository, asTag('v1'), tagRow, undefined))
  await apply(pointTag(elsewhere, signatureTag, tagRow, undefined))
  await apply(added('signature', { subject: digestOfText('nothing here') }))
  await apply(added('image'))
  expectDropped()
})

test('a referrer comes, goes and comes back', async () => {
  await apply(added('referrer', { subject: image }))
  expectDropped(...besideImage)
  await judged(...besideImage)
  // Pushed again, nothing has changed.
  await apply(added('referrer', { subject: image }))
  expectDropped()
  const digest = digestOfText('referrer')
  const row = metadata.get('manifests', [repository, digest])!
  const referrer = metadata.get('referrers', [repository, image, digest])!
  const it = { repository, digest, row, tags: [], children: [], referrer, absent: [] }
  await metadata.commit(removeManifest(it, { at: 2, by: 'x', why: 'test' }))
  expectDropped(...besideImage)
  await judged(...besideImage)
  const deleted = metadata.get('deletedManifests', [repository, digest])!
  await metadata.commit(restoreManifest({ repository, digest, deleted, children: [] }, 3))
  expectDropped(...besideImage)
})

test('what an index gains or loses reaches everything that it lists', async () => {
  await apply(added('referrer', { subject: index }))
  expectDropped('image', 'index', 'outer', 'attested')
  await judged('image', 'index', 'outer', 'attested')
  await apply(added('referrer of the outer', { subject: digestOfText('outer') }))
  expectDropped('image', 'index', 'outer', 'attested')
})

test('an index that lists it comes and goes', async () => {
  await apply(added('second index', { children: [image] }))
  expectDropped('image')
  await judged('image')
  const digest = digestOfText('second index')
  const row = metadata.get('manifests', [repository, digest])!
  const it = {
    repository,
    digest,
    row,
    tags: [],
    children: [image],
    referrer: undefined,
    absent: [],
  }
  await metadata.commit(removeManifest(it, { at: 2, by: 'x', why: 'test' }))
  expectDropped('image')
})

test('a member that comes late may be an attestation of its neighbours', async () => {
  const row = metadata.get('manifests', [repository, attested])!
  const it = {
    repository,
    digest: attested,
    row,
    tags: [],
    children: [],
    referrer: undefined,
    absent: [],
  }
  await metadata.commit(removeManifest(it, { at: 2, by: 'x', why: 'test' }))
  expectDropped('image', 'index')
  expect(stateOf('attested')).toBeUndefined()
  await judged('image', 'index')
  await apply(added('attested'))
  expectDropped('image', 'index')
})

test('what was said before is remembered, and a verdict that is being worked out is lost as well', async () => {
  const key = [repository, image] as const
  await apply(added('referrer', { subject: image }))
  expect(metadata.get('verdicts', key)).toMatchObject({ state: 'pending', was: 'verified' })
  const row: VerdictRow = { ...verdict, state: 'pending', judgedBy: 'an attempt', was: 'verified' }
  await apply([{ change: 'put', in: 'verdicts', key, row }])
  await apply(added('second referrer', { subject: image }))
  const lost = await metadata.commit({
    checks: [{ check: 'unchanged', in: 'verdicts', key, row }],
    changes: [{ change: 'put', in: 'verdicts', key, row: verdict }],
  })
  expect(lost).toMatchObject({ applied: false })
  expect(metadata.get('verdicts', key)).toMatchObject({ state: 'pending', was: 'verified' })
})

test('an index of more than can be followed takes the verdicts of its repository', async () => {
  const many = Array.from({ length: 10_001 }, (_, at) => digestOfText(`member ${at}`))
  const children = many.map(
    (digest): Change => ({
      change: 'put',
      in: 'children',
      key: [digestOfText('index'), digest],
      row: { kind: 'manifest' },
    }),
  )
  await apply(children)
  await apply(added('referrer', { subject: index }))
  expectDropped('image', 'other', 'index', 'outer', 'attested')
})
