/** @module Which answers wait until all nodes give them. */
import { expect, test } from 'vitest'
import { DirtyPaths } from '../../../src/mesh/dirty-paths.ts'

test('a path is dirty until its newest change is shown by all', () => {
  const dirty = new DirtyPaths()
  expect(dirty.isClean).toBe(true)
  dirty.mark('a', 1)
  dirty.mark('b', 2)
  dirty.mark('a', 3)
  dirty.settle(2)
  expect([dirty.indexOf('a'), dirty.indexOf('b'), dirty.isClean]).toEqual([3, undefined, false])
  dirty.settle(3)
  expect([dirty.indexOf('a'), dirty.isClean]).toEqual([undefined, true])
})

test('a million changes that are settled leave nothing', () => {
  const dirty = new DirtyPaths()
  for (let index = 1; index <= 1_000_000; index += 1) {
    dirty.mark(`p${index % 100}`, index)
    if (index % 50 === 0) dirty.settle(index - 10)
  }
  dirty.settle(1_000_000)
  expect(dirty.isClean).toBe(true)
})
