/** @module What a node knows of the room that others have. */
import { expect, test } from 'vitest'
import type { Room } from '../../../../../src/blobs/port.ts'
import { Rooms, roomOf } from '../../../../../src/mesh/blobs/push/rooms.ts'
import { FakeTime, settled } from '../../../../support/mesh/fake-time.ts'

function scene() {
  const time = new FakeTime()
  const own = { hasRoom: true, freeBytes: 100, reserveBytes: 10, require() {} }
  /** Undefined: it does not answer. */
  const says = new Map<number, number | undefined>([
    [2, 500],
    [3, 0],
    [4, 700],
  ])
  const present = new Set([2, 3, 4])
  const asked: number[] = []
  const rooms = new Rooms({
    self: 1,
    own,
    time,
    present: () => [...present],
    ask: async (member) => {
      asked.push(member)
      const bytes = says.get(member)
      if (bytes === undefined) throw new Error('silent')
      return { bytes }
    },
  })
  return { rooms, own, says, present, asked, time }
}

test('a member of which nothing is known has room, and is not the roomiest', () => {
  const { rooms } = scene()
  expect([2, 3, 4, 5].map((member) => rooms.has(member))).toEqual([true, true, true, true])
  expect(rooms.roomiest([2, 3, 4])).toBeUndefined()
})

test('members that run are asked every five seconds', async () => {
  const { rooms, asked, time } = scene()
  for (let second = 0; second < 11; second += 1) {
    rooms.tick()
    await time.advance(1_000)
  }
  expect(asked).toEqual([2, 3, 4, 2, 3, 4, 2, 3, 4])
})

test('one without room has none, and the one with most is chosen of those that run', async () => {
  const { rooms, present } = scene()
  rooms.tick()
  await settled()
  expect([1, 2, 3, 4].map((member) => rooms.has(member))).toEqual([true, true, false, true])
  expect(rooms.roomiest([2, 3, 4])).toBe(4)
  expect(rooms.roomiest([2, 3])).toBe(2)
  expect(rooms.roomiest([3])).toBeUndefined()
  present.delete(4)
  expect(rooms.roomiest([2, 3, 4])).toBe(2)
})

test('what a member has said counts for twenty seconds', async () => {
  const { rooms, says, time } = scene()
  rooms.tick()
  await settled()
  says.set(3, undefined)
  await time.advance(19_000)
  rooms.tick()
  await settled()
  expect(rooms.has(3)).toBe(false)
  await time.advance(1_000)
  expect(rooms.has(3)).toBe(true)
  expect(rooms.roomiest([2])).toBe(2)
})

test('a node says what it has above its reserve', () => {
  const room = (hasRoom: boolean, freeBytes: number, reserveBytes: number) =>
    roomOf({ hasRoom, freeBytes, reserveBytes } as Room).bytes
  expect(room(true, 100, 10)).toBe(90)
  expect(room(false, 5, 10)).toBe(0)
  expect(room(false, Number.POSITIVE_INFINITY, 0)).toBe(0)
  expect(room(true, Number.POSITIVE_INFINITY, 10)).toBe(Number.MAX_SAFE_INTEGER)
})

test('a node says how much of its disk is used, where that is known', () => {
  const used = (freeBytes: number, totalBytes?: number) =>
    roomOf({ hasRoom: true, freeBytes, reserveBytes: 0, totalBytes } as Room).used
  expect([used(250, 1_000), used(0, 1_000), used(1_000, 1_000)]).toEqual([750, 1_000, 0])
  expect([used(10), used(10, 0), used(10, 5)]).toEqual([undefined, undefined, undefined])
})

test('files that were given count until the next word', async () => {
  const { rooms, time } = scene()
  rooms.give([2, 2, 3])
  expect([rooms.burdenOf(2).files, rooms.burdenOf(3).files]).toEqual([2, 1])
  await time.advance(10_000)
  rooms.tick()
  await settled()
  expect([rooms.burdenOf(2).files, rooms.burdenOf(3).files]).toEqual([0, 0])
})

test('this node has the room that it has now', () => {
  const { rooms, own } = scene()
  own.hasRoom = false
  expect(rooms.has(1)).toBe(false)
})
