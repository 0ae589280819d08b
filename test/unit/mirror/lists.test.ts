/**
 * Lists of upstreams, without the network: how they are read, and that nobody else waits for it.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { MirroredRepository } from '../../../src/mirror/mirrored-repository.ts'
import { mergeAfter, sortInTurns } from '../../../src/mirror/sorted.ts'
import { fetchTags } from '../../../src/mirror/tag-lists.ts'
import { decode, elementsOf, membersOf } from '../../../src/upstream/json-pieces.ts'
import { fetchReferrers } from '../../../src/upstream/referrer-lists.ts'
import { asDigest, sha256 } from '../../support/registry-client.ts'

const fetching = (body: string) =>
  ({
    name: 'hub/app',
    fetch: async () => ({ status: 200, headers: {}, bytes: Buffer.from(body) }),
  }) as unknown as MirroredRepository

/** How often others had a turn while it ran. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0
  let isOver = false
  const tick = () => {
    turns += 1
    if (!isOver) setImmediate(tick)
  }
  setImmediate(tick)
  await work()
  isOver = true
  return turns
}

const digest = asDigest(sha256('x'))

describe('the event loop', () => {
  test('has a turn for every 64 KiB of referrers', async () => {
    const manifests = Array.from({ length: 6_000 }, (_, at) => ({
      mediaType: 'application/x',
      digest: sha256(`${at}`),
      size: 1,
      annotations: { a: 'x'.repeat(300) },
    }))
    const body = JSON.stringify({ schemaVersion: 2, manifests })
    const turns = await turnsDuring(() => fetchReferrers(fetching(body), digest, 0))
    expect(turns).toBeGreaterThanOrEqual(Math.floor(body.length / 65_536))
  })

  test('has a turn for every 64 KiB of tags, and while they are sorted', async () => {
    const tags = Array.from({ length: 120_000 }, (_, at) => `t${(at * 7919) % 120_000}`)
    const body = JSON.stringify({ tags })
    let found: readonly string[] = []
    const turns = await turnsDuring(async () => {
      found = (await fetchTags(fetching(body), 0)).tags
    })
    expect(found).toEqual([...tags].sort())
    expect(turns).toBeGreaterThanOrEqual(Math.floor(body.length / 65_536) + 60)
  })
})

describe('pieces of JSON', () => {
  test('are those of JSON.parse, for every document', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.constantFrom(0, 1, 4),
        (value, indent) => {
          const bytes = Buffer.from(JSON.stringify(value, null, indent))
          const found = [...membersOf(bytes)].map((member) => decode(bytes, member))
          expect(found).toEqual(Object.values(JSON.parse(bytes.toString()) as object))
        },
      ),
    )
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (value) => {
        const bytes = Buffer.from(` ${JSON.stringify(value, null, 1)} `)
        const found = [...elementsOf(bytes, { start: 1, end: bytes.byteLength })]
        expect(found.map((piece) => decode(bytes, piece))).toEqual(JSON.parse(bytes.toString()))
      }),
    )
  })

  test.each([
    '',
    '[',
    '{',
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":1,',
    '{"a":"x',
    '{"a":[1',
    '{a:1}',
    '{"a":}',
    'null',
    '"',
    '{"a":1 "b":2}',
  ])('of %j are refused', (text) => {
    expect(() => [...membersOf(Buffer.from(text))]).toThrow('no list')
  })

  test('that are hostile end soon', () => {
    for (const text of [
      '{"a":'.repeat(20_000),
      '['.repeat(100_000),
      '{"a":"\\',
      '{"a":['.repeat(9_000),
    ]) {
      expect(() => [...membersOf(Buffer.from(text))]).toThrow('no list')
    }
  })
})

describe('sorted lists', () => {
  test('are sorted, and pages of two are merged, whatever they hold', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.string()),
        fc.uniqueArray(fc.string()),
        fc.option(fc.string(), { nil: undefined }),
        fc.integer({ min: 1, max: 20 }),
        async (a, b, last, limit) => {
          const [one, two] = [await sortInTurns(a), await sortInTurns(b)]
          expect(one).toEqual([...a].sort())
          const after = two.filter((it) => last === undefined || it > last).slice(0, limit)
          const all = [...new Set([...a, ...b])].sort()
          const expected = all.filter((it) => last === undefined || it > last).slice(0, limit)
          expect(mergeAfter(one, after, last, limit)).toEqual(expected)
        },
      ),
    )
  })
})
