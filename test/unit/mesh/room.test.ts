/** Whether a node has room for the rows of a mesh, and what follows for its reads. */
import { expect, test } from 'vitest'
import { conditionCheck } from '../../../src/mesh/condition.ts'
import { RoomWatch } from '../../../src/mesh/room.ts'

test('it gives way at half of the reserve and at a quarter, and comes back at half as much again', () => {
  const watch = new RoomWatch(1_000)
  const judged = [5_000, 500, 499, 749, 250, 249, 374, 375, 749, 750, 500, 0, 750].map((bytes) => {
    return `${bytes} ${watch.judge(bytes)}`
  })
  expect(judged).toEqual([
    '5000 enough',
    '500 enough',
    '499 short',
    '749 short',
    '250 short',
    '249 full',
    '374 full',
    '375 short',
    '749 short',
    '750 enough',
    '500 enough',
    '0 full',
    '750 enough',
  ])
})

test('without a reserve there is room', () => {
  expect(new RoomWatch(0).judge(0)).toBe('enough')
})

test.each([
  ['serving', 'short'],
  ['asking', 'full'],
  ['silent', 'full'],
] as const)('a node that is %s and %s of room is degraded, and says why', async (state, room) => {
  const { check } = conditionCheck(
    () => ({ state }),
    () => room,
  )
  const message = expect.stringContaining(room)
  await expect(check()).rejects.toMatchObject({ weight: 'degraded', message })
})

test('a node that cannot come in for want of room is not ready, and says why', async () => {
  const { check } = conditionCheck(
    () => undefined,
    () => 'full',
  )
  const message = expect.stringContaining('full')
  await expect(check()).rejects.toMatchObject({ weight: 'not-ready', message })
})
