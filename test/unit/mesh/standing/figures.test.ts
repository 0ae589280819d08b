/** What a pass has counted, in all and of each placement group. */
import { expect, test } from 'vitest'
import { Standing } from '../../../../src/mesh/standing/figures.ts'

test('groups have what the pass has counted, and what was done since', () => {
  let members = {}
  const standing = new Standing(() => members)
  expect(standing.groups(0, 10)).toBeUndefined()
  standing.begin()
  standing.count('owned', 10, 0)
  standing.count('lacking', 20, 4_095)
  standing.count('kept', 30, 4_095)
  standing.count('cached', 40, 7)
  standing.count(undefined, 50, 7)
  expect(standing.groups(0, 10)).toBeUndefined()
  standing.finish(1)
  const none = { blobs: 0, bytes: 0 }
  const one = (bytes: number) => ({ blobs: 1, bytes })
  const [first, ...rest] = standing.groups(0, 8)!
  const noCopies = { owned: none, lacking: none, kept: none, cached: none }
  expect(first).toEqual({ ...noCopies, rows: one(10), owned: one(10) })
  expect(rest.slice(0, 6)).toEqual(Array(6).fill({ rows: none, ...noCopies }))
  expect(rest[6]).toEqual({ ...noCopies, rows: { blobs: 2, bytes: 90 }, cached: one(40) })
  standing.move('lacking', 'owned', 20, 4_095)
  standing.move('kept', 'cached', 30, 4_095)
  expect(standing.groups(4_095, 1_000)).toEqual([
    { rows: { blobs: 2, bytes: 50 }, owned: one(20), lacking: none, kept: none, cached: one(30) },
  ])
  expect(standing.figures).toMatchObject({ owned: { blobs: 2, bytes: 30 }, lacking: none })
  members = {}
  expect([standing.groups(0, 1), standing.figures]).toEqual([undefined, undefined])
})
