/** @module So many at a time, first come first served, whoever leaves the line. */
import { expect, test } from 'vitest'
import { Semaphore } from '../../../src/runtime/semaphore.ts'

test('gives places in the order in which they were asked for', async () => {
  const places = new Semaphore(2)
  const order: number[] = []
  const gives = [await places.take(), await places.take()]
  const rest = [1, 2, 3].map(async (name) => {
    const give = await places.take()
    order.push(name)
    return give
  })
  expect(places.waiting).toBe(3)
  gives[0]!()
  await rest[0]
  expect(order).toEqual([1])
  gives[1]!()
  ;(await rest[0])!()
  await Promise.all(rest)
  expect(order).toEqual([1, 2, 3])
  expect(places.taken).toBe(2)
})

test('whoever leaves the line takes no place', async () => {
  const places = new Semaphore(1)
  const give = await places.take()
  const leaving = new AbortController()
  const left = places.take(leaving.signal)
  const next = places.take()
  leaving.abort(new Error('gone'))
  await expect(left).rejects.toThrow('gone')
  give()
  const second = await next
  second()
  expect(places.taken).toBe(0)
})

test('a place that is given twice is given once', async () => {
  const places = new Semaphore(1)
  const give = await places.take()
  give()
  give()
  expect(places.taken).toBe(0)
})
