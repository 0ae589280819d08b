/** @module The bounded map: what was set longest ago goes first. */
import { expect, test } from 'vitest'
import { BoundedMap } from '../../../src/runtime/bounded-map.ts'

test('the entry that was set longest ago goes, and a repeated key counts as new', () => {
  const map = new BoundedMap<string, number>(2)
  map.set('a', 1).set('b', 2).set('a', 3).set('c', 4)
  expect([...map]).toEqual([
    ['a', 3],
    ['c', 4],
  ])
})

test('a key that is there takes the place of nothing else', () => {
  const map = new BoundedMap<string, number>(2)
  map.set('a', 1).set('b', 2).set('b', 3)
  expect([...map.keys()]).toEqual(['a', 'b'])
})
