/** What a run says of members is said once. */
import { expect, test } from 'vitest'
import { SaidOnce } from '../../../../src/mesh/membership/said-once.ts'

test('once of each, until it is to be said no more, or another run says it', () => {
  const said = new SaidOnce()
  expect(said.take([2, 3], 1)).toEqual([2, 3])
  expect(said.take([2, 3, 4], 1)).toEqual([4])
  expect(said.take([3], 1)).toEqual([])
  expect(said.take([2, 3], 1)).toEqual([2])
  expect(said.take([2, 3], 2)).toEqual([2, 3])
})
