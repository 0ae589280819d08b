/**
 * @module Locks by key, one and several at a time.
 */
import { expect, test } from 'vitest'
import { KeyedLock } from '../../../src/runtime/keyed-lock.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('sets that overlap run one after the other, and never wait for each other', async () => {
  const lock = new KeyedLock()
  const inside = new Set<string>()
  let ran = 0
  const work = (keys: string[]) => async () => {
    for (const key of keys) {
      expect(inside.has(key)).toBe(false)
      inside.add(key)
    }
    await turn()
    for (const key of keys) inside.delete(key)
    ran += 1
  }
  const sets = [['a', 'b'], ['b', 'c'], ['c', 'a'], ['a'], ['b', 'a', 'c'], ['d']]
  await Promise.all(sets.map((keys) => lock.runAll(keys, work(keys))))
  expect(ran).toBe(sets.length)
  expect(lock.size).toBe(0)
})

test('a key that is given twice is one, and a failure lets the next in', async () => {
  const lock = new KeyedLock()
  const failing = lock.runAll(['a', 'a'], () => Promise.reject(new Error('no')))
  const next = lock.run('a', async () => 'yes')
  await expect(failing).rejects.toThrow('no')
  expect(await next).toBe('yes')
  expect(lock.size).toBe(0)
})
