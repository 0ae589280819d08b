/**
 * @module A tag that a push moves: conditions and immutability are judged by the row at its place in the
 * order, and everything that goes with a move is made from that row.
 */
import { beforeEach, describe, expect, test } from 'vitest'
import { addManifest } from '../../../src/metadata/edits.ts'
import { eventKey } from '../../../src/metadata/event-log.ts'
import { type ManifestRow, tagHistoryMax } from '../../../src/metadata/schema.ts'
import type { CommitOutcome, MoveTag, Transaction } from '../../../src/metadata/transaction.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { asDigest, asName, asTag, sha256 } from '../../support/registry-client.ts'

const repository = asName('team/app')
const tag = asTag('v1')
const [one, two, three] = ['one', 'two', 'three'].map((it) => asDigest(sha256(it))) as [
  Digest,
  Digest,
  Digest,
]

let store: MemoryMetadataStore
beforeEach(() => {
  store = new MemoryMetadataStore()
})

/** A push of a manifest, as one transaction. */
function push(
  digest: Digest,
  at: number,
  more: Partial<MoveTag> = {},
  row: Partial<ManifestRow> = {},
): Transaction {
  const manifest = { mediaType: 'x', sizeBytes: 1, pushedAt: at, ...row }
  const bytes = Buffer.from('x')
  const it = { repository, digest, bytes, row: manifest, children: [], referrer: undefined }
  const move: MoveTag = {
    change: 'move-tag',
    in: 'tags',
    key: [repository, tag],
    digest,
    at,
    by: `by ${at}`,
    isImmutable: false,
    ...more,
  }
  return { checks: [], changes: [...addManifest(it, at), move] }
}

const apply = (...all: Transaction[]): CommitOutcome[] => store.applyBatch(all)
const current = () => store.get('tags', [repository, tag])
const indexed = () => store.keys('tagsByDigest', [repository], undefined, 10)
const onlyIf = (digest: string) => ({ condition: { ifMatch: digest, ifNoneMatch: undefined } })
const onlyNew = { condition: { ifMatch: undefined, ifNoneMatch: '*' } }

describe('a move', () => {
  test('rests on the row at its place, not on what an earlier read saw', () => {
    apply(push(one, 1), push(two, 2), push(three, 3))
    expect(current()).toEqual({
      digest: three,
      pushedAt: 3,
      by: 'by 3',
      previous: [
        { digest: two, replacedAt: 3, by: 'by 3' },
        { digest: one, replacedAt: 2, by: 'by 2' },
      ],
    })
    expect(indexed()).toEqual([[repository, three, tag]])
    expect(store.get('events', eventKey(3))).toEqual({
      at: 3,
      action: 'push',
      repository,
      by: 'by 3',
      digest: three,
      tag,
      from: two,
    })
  })

  test('to the same digest keeps the history, and comes from nowhere', () => {
    apply(push(one, 1), push(two, 2), push(two, 3))
    expect(current()).toMatchObject({ digest: two, pushedAt: 3 })
    expect(current()!.previous.map(({ digest }) => digest)).toEqual([one])
    expect(store.get('events', eventKey(3))).not.toHaveProperty('from')
  })

  test('keeps a bounded history', () => {
    for (let at = 1; at <= tagHistoryMax + 5; at += 1) apply(push(at % 2 === 0 ? one : two, at))
    expect(current()!.previous).toHaveLength(tagHistoryMax)
    expect(current()!.previous[0]).toMatchObject({ replacedAt: tagHistoryMax + 5 })
  })

  test('raises the manifest that loses the tag, but no cache that was superseded', () => {
    apply(push(one, 1), push(two, 2, {}, { isBuildCache: true }), push(three, 3))
    expect(store.get('manifests', [repository, one])?.reliedAt).toBe(2)
    expect(store.get('manifests', [repository, two])?.reliedAt).toBeUndefined()
  })

  test('of a tag that was deleted takes its note away', () => {
    const row = { digest: one, pushedAt: 1, previous: [] }
    const deleted = { row, at: 2, by: 'x', why: 'x' }
    const key = [repository, tag] as const
    apply({ checks: [], changes: [{ change: 'put', in: 'deletedTags', key, row: deleted }] })
    apply(push(two, 3))
    expect(store.get('deletedTags', key)).toBeUndefined()
  })
})

describe('a condition', () => {
  test('is judged at its place in the order', () => {
    const [, , third] = apply(push(one, 1), push(two, 2, onlyIf(one)), push(three, 3, onlyIf(one)))
    expect(third).toMatchObject({
      applied: false,
      failed: { change: 'move-tag' },
      refusal: { why: 'condition', tag, current: two },
    })
    expect(current()?.digest).toBe(two)
  })

  test('of one that wants to be the first holds for one alone', () => {
    const outcomes = apply(push(one, 1, onlyNew), push(two, 1, onlyNew))
    expect(outcomes.map(({ applied }) => applied)).toEqual([true, false])
    expect(current()?.digest).toBe(one)
  })

  test('that does not hold leaves nothing of the transaction', () => {
    const [outcome] = apply(push(one, 1, onlyIf('*')))
    expect(outcome).toMatchObject({ refusal: { why: 'condition', current: undefined } })
    for (const name of ['manifests', 'manifestBytes', 'tags', 'repositories'] as const) {
      expect(store.count(name), name).toBe(0)
    }
  })
})

describe('an immutable tag', () => {
  const immutable = { isImmutable: true }

  test('is created and pushed again, and goes nowhere else', () => {
    const outcomes = apply(
      push(one, 1, immutable),
      push(one, 2, immutable),
      push(two, 3, immutable),
    )
    expect(outcomes.map(({ applied }) => applied)).toEqual([true, true, false])
    expect(outcomes[2]).toMatchObject({ refusal: { why: 'immutable', tag, current: one } })
    expect(current()).toMatchObject({ digest: one, pushedAt: 2 })
    expect(store.get('manifests', [repository, two])).toBeUndefined()
  })

  test('fails by its condition first', () => {
    const [, outcome] = apply(push(one, 1), push(two, 2, { ...immutable, ...onlyIf(two) }))
    expect(outcome).toMatchObject({ refusal: { why: 'condition' } })
  })
})
