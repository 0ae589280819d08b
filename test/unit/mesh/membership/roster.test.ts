/** Who leads, and how far the log may be cut. */
import { describe, expect, test } from 'vitest'
import { leadOf, truncatedAt } from '../../../../src/mesh/membership/roster.ts'
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

describe('the log forgets', () => {
  test('what all members have on their disks, but for the last 20,000 entries', () => {
    expect(truncatedAt(rowsOf(['active', 1, 90_000], ['active', 1, 50_000]), 100_000)).toBe(50_000)
    expect(truncatedAt(rowsOf(['active', 1, 100_000]), 100_000)).toBe(80_000)
    expect(truncatedAt(rowsOf(['active', 1, 10_000]), 10_000)).toBeUndefined()
  })

  test('what one lacks that is away for more than 80,000 entries, and nothing of who has left', () => {
    expect(truncatedAt(rowsOf(['active', 1, 200_000], ['active', 0, 5]), 200_000)).toBe(120_000)
    expect(truncatedAt(rowsOf(['active', 1, 90_000], ['left', 0, 5]), 100_000)).toBe(80_000)
  })
})
