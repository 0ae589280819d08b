/** @module How far a node is behind, and what it remembers of that. */
import { expect, test } from 'vitest'
import { Lag } from '../../../src/mesh/lag.ts'

test('is the time since the middle one of the others showed what is not shown here', () => {
  const lag = new Lag()
  lag.hear([5, 9, 7], 100)
  expect([lag.of(6, 300), lag.of(7, 400)]).toEqual([200, 0])
})

test('a node that hears of a million entries and shows none remembers the first, and few', () => {
  const lag = new Lag()
  for (let index = 1; index <= 1_000_000; index += 1) lag.hear([index], index)
  expect(lag.of(0, 2_000_000)).toBe(1_999_999)
  // What was heard of later is left out: after a thousand there is nothing to be behind of.
  expect(lag.of(1_000, 2_000_000)).toBe(0)
})
