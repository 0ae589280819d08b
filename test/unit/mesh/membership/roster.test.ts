/** Who leads, and what all have. */
import { expect, test } from 'vitest'
import { leadOf, leastDurable } from '../../../../src/mesh/membership/roster.ts'
import type { MemberState } from '../../../../src/metadata/rows/mesh.ts'
import { factsOf } from '../../../support/mesh/member-facts.ts'

type Member = readonly [state: MemberState, presentAt: number, durable: number]

/** Members 1, 2, 3 … */
function rowsOf(...members: readonly Member[]) {
  const row = ([state]: Member, at: number) => ({ ...factsOf(`n${at + 1}`), state, since: 1 })
  return {
    // As LMDB orders them: by text.
    entries: () => members.map((it, at) => ({ key: String(at + 1), row: row(it, at) })).reverse(),
    get: (_: string, key: string) => {
      const [, presentAt, durable] = members[Number(key) - 1]!
      return { presentAt, durable }
    },
  } as unknown as Parameters<typeof leadOf>[0]
}

test('the lead is the first member that takes part and has not left', () => {
  expect(leadOf(rowsOf(['active', 0, 0], ['active', 5, 0], ['active', 6, 0]))).toBe(2)
  expect(leadOf(rowsOf(['left', 5, 0], ['draining', 5, 0]))).toBe(2)
  expect(leadOf(rowsOf(['active', 0, 0]))).toBeUndefined()
})

test('the least that is on the disks is that of all members that have not left', () => {
  expect(leastDurable(rowsOf(['active', 1, 90], ['active', 1, 50], ['active', 0, 70]))).toBe(50)
  expect(leastDurable(rowsOf(['active', 1, 90], ['left', 0, 5]))).toBe(90)
  expect(leastDurable(rowsOf())).toBe(0)
  expect(leastDurable(rowsOf(['active', 1, 90], ['witness', 0, 0]))).toBe(90)
})
