/** @module The names of a list: each once, and no more than a list can have. */
import { expect, test } from 'vitest'
import { ListedNames } from '../../../../src/sync/sources/listed-names.ts'

test('are each once', () => {
  const names = new ListedNames()
  expect(['a', 'b', 'a'].map((name) => names.add(name))).toEqual([true, true, false])
  expect([names.size, names.has('a'), names.has('c')]).toEqual([2, true, false])
})

test.each([
  ['names', 500_001, (at: number) => String(at)],
  ['characters', 262_145, (at: number) => String(at).padStart(256, '0')],
])('of a list without an end are given up: too many %s', (_what, count, nameOf) => {
  const names = new ListedNames()
  for (let at = 1; at < count; at += 1) names.add(nameOf(at))
  expect(() => names.add(nameOf(0))).toThrowError(
    expect.objectContaining({ reason: 'incomplete-listing' }),
  )
})
