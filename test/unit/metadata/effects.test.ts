/** @module What listeners hear of a transaction: its changes in domain words, and of a sweep what went. */
import { beforeEach, expect, test } from 'vitest'
import { dropBlob, dropTag, linkBlob, pointTag, unlinkBlob } from '../../../src/metadata/edits.ts'
import type { Change } from '../../../src/metadata/transaction.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { asName, asTag, sha256 } from '../../support/registry-client.ts'

const repository = asName('team/app')
const tag = asTag('v1')
const digest = sha256('a blob')
const row = { digest, pushedAt: 5, previous: [], by: 'test' }
const blobRow = { sizeBytes: 1, place: 'inline', createdAt: 1, linkedAt: 1 } as const

let store: MemoryMetadataStore
let heard: string[]
beforeEach(() => {
  store = new MemoryMetadataStore()
  heard = []
  store.onApplied({
    tag: (...it) => heard.push(`tag ${it.join(' ')}`),
    manifest: (...it) => heard.push(`manifest ${it.join(' ')}`),
    link: (...it) => heard.push(`link ${it.join(' ')}`),
    bytesGone: (it) => heard.push(`bytes gone ${it}`),
    event: () => heard.push('event'),
    session: (id, its) => heard.push(`session ${id} ${its ?? 'ended'}`),
    anything: () => heard.push('anything'),
  })
})

const apply = async (...changes: Change[]) => {
  heard.length = 0
  await store.commit({ checks: [], changes })
  return heard
}

test('tags, links, events and sessions are told by name', async () => {
  expect(await apply(...pointTag(repository, tag, row, undefined))).toEqual([
    'tag team/app v1',
    'anything',
  ])
  expect(await apply(...linkBlob(repository, digest, 1))).toEqual([
    `link team/app ${digest}`,
    'anything',
  ])
  const event = { at: 1, action: 'push', repository, by: 'test' } as const
  expect(await apply({ change: 'event', in: 'events', row: event })).toEqual(['event', 'anything'])
  const { changes } = dropTag(repository, tag, row, { at: 1, by: 'test', why: 'test' })
  expect(await apply(...changes)).toEqual(['tag team/app v1', 'anything'])
  expect(await apply({ change: 'delete', in: 'uploads', key: 'id' })).toEqual([
    'session id ended',
    'anything',
  ])
})

test('a tag that moves is told with its event, and not the manifest that lost it', async () => {
  const move = { change: 'move-tag', in: 'tags', key: [repository, tag], by: 'test' } as const
  const more = { at: 1, isImmutable: false }
  expect(await apply({ ...move, ...more, digest })).toEqual([
    'tag team/app v1',
    'event',
    'anything',
  ])
  expect(await apply({ ...move, ...more, digest: sha256('another') })).toEqual([
    'tag team/app v1',
    'event',
    'anything',
  ])
})

test('being relied on, and numbers of this node, are no news', async () => {
  await apply({ change: 'put', in: 'blobs', key: digest, row: blobRow })
  expect(await apply({ change: 'raise', in: 'blobs', key: digest, at: 9 })).toEqual(['anything'])
  expect(await apply({ change: 'put', in: 'system', key: 'checkpointAt', row: 1 })).toEqual([])
})

test('bytes that go are told unless it was checked that no repository holds them', async () => {
  expect(await apply(...dropBlob(digest))).toEqual([`bytes gone ${digest}`, 'anything'])
  heard.length = 0
  await store.commit({
    checks: [{ check: 'none', in: 'holders', prefix: [digest] }],
    changes: dropBlob(digest),
  })
  expect(heard).toEqual(['anything'])
})

test('of a sweep what went is told, and nothing that stays', async () => {
  const other = asName('team/other')
  await apply(
    { change: 'put', in: 'blobs', key: digest, row: blobRow },
    ...linkBlob(repository, digest, 1),
    ...linkBlob(other, digest, 1),
  )
  await apply({ change: 'raise', in: 'blobs', key: digest, at: 3 })
  await apply(...unlinkBlob(other, digest))
  heard.length = 0
  const candidates = [
    { kind: 'link', repository, digest, at: 3 },
    { kind: 'link', repository: other, digest, at: 1 },
  ] as const
  const batch = { at: 10, by: 'test', pulledAfter: 0, isFinal: false, candidates }
  const outcome = await store.commit({
    checks: [],
    changes: [{ change: 'sweep', in: 'candidates', batch }],
  })
  expect(outcome).toMatchObject({ applied: true, verdicts: [{ is: 'stays', index: 1 }] })
  expect(heard).toEqual([`link team/app ${digest}`, 'event', 'anything'])
})

test('a transaction that is refused is not heard of', async () => {
  await store.commit({
    checks: [{ check: 'present', in: 'tags', key: [repository, tag] }],
    changes: pointTag(repository, tag, row, undefined),
  })
  expect(heard).toEqual([])
})
