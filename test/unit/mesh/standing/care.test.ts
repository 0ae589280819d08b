/** @module A repair that an operator asks for. */
import { expect, test } from 'vitest'
import { type CareParts, CopyCare } from '../../../../src/mesh/standing/care.ts'
import { standingPaths } from '../../../../src/mesh/standing/messages.ts'
import { Traffic } from '../../../../src/mesh/standing/traffic.ts'

test('begins on this node and on all others, and says which have begun', async () => {
  const asked: unknown[] = []
  let passes = 0
  const care = new CopyCare({
    member: 2,
    peers: { members: [1, 2, 3].map((number) => ({ number })) },
    ask: {
      ask: async (member: number, path: string) => {
        asked.push([member, path])
        if (member === 3) throw new Error('it is not reached')
        return {}
      },
    },
    repair: {
      hurry: () => {
        passes += 1
        return passes
      },
    },
    traffic: new Traffic(),
  } as unknown as CareParts)
  expect(await care.repairAll()).toEqual([1, 2])
  expect(passes).toBe(1)
  expect(asked).toEqual([
    [1, standingPaths.repair],
    [3, standingPaths.repair],
  ])
})
