/**
 * @module The newest of many tags: the same as sorting all of them, in turns that let others have theirs.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { keepNewest, tagsPerTurn } from '../../../../src/sync/selection/newest.ts'

const item = (number: number) => ({ listed: { tag: `t${number}`, pushedAt: number } })

/** Each number below `count` once, in an order that looks like none. */
const mixed = (count: number) =>
  Array.from({ length: count }, (_, index) => item((index * 7919) % count))

test('are those that sorting all would give, whatever the number of turns', async () => {
  const sizes = fc.constantFrom(0, 1, tagsPerTurn - 1, tagsPerTurn, tagsPerTurn + 1, 4_513)
  await fc.assert(
    fc.asyncProperty(sizes, fc.integer({ min: 1, max: 5_000 }), async (size, count) => {
      const { kept } = await keepNewest(mixed(size), count)
      const all = Array.from({ length: size }, (_, index) => item(size - 1 - index))
      expect(kept).toEqual(all.slice(0, count))
    }),
    { numRuns: 25 },
  )
})

test('are found while others have their turns', async () => {
  let turns = 0
  const count = () => {
    turns += 1
    timer = setImmediate(count)
  }
  let timer = setImmediate(count)
  await keepNewest(mixed(20 * tagsPerTurn + 1), 20 * tagsPerTurn)
  clearImmediate(timer)
  // One for each run of the sort, and one for each thousand of every merge.
  expect(turns).toBeGreaterThan(80)
})
