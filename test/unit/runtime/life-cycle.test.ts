/**
 * @module What was opened is closed in reverse, once, whatever fails on the way.
 */
import { expect, test } from 'vitest'
import { LifeCycle } from '../../../src/runtime/life-cycle.ts'

test('closes in reverse order, each once, one after the other', async () => {
  const log: string[] = []
  const life = new LifeCycle()
  const open = (part: string) =>
    life.opened(part, part, async (one) => {
      log.push(`${one} begins`)
      await Promise.resolve()
      log.push(`${one} ends`)
    })
  expect(open('a')).toBe('a')
  open('b')
  await Promise.all([life.close(), life.close()])
  await life.close()
  expect(log).toEqual(['b begins', 'b ends', 'a begins', 'a ends'])
})

test('a close that fails does not keep the others from theirs; the first failure is told', async () => {
  const closed: string[] = []
  const life = new LifeCycle()
  for (const part of ['a', 'b', 'c']) {
    life.opened(part, part, (one) => {
      closed.push(one)
      if (one !== 'a') throw new Error(one)
    })
  }
  await expect(life.close()).rejects.toThrow('c')
  expect(closed).toEqual(['c', 'b', 'a'])
})

test('a guarded opening that fails closes what was opened, and says why it failed', async () => {
  const closed: string[] = []
  const life = new LifeCycle()
  const opening = life.guard(async () => {
    life.opened('a', 'a', (one) => {
      closed.push(one)
      throw new Error('on the way back')
    })
    const inner = life.within()
    inner.opened('b', 'b', (one) => void closed.push(one))
    throw new Error('the reason')
  })
  await expect(opening).rejects.toThrow('the reason')
  expect(closed).toEqual(['b', 'a'])
  expect(await new LifeCycle().guard(() => 7)).toBe(7)
})

test('an inner life cycle that has ended is not ended again', async () => {
  const closed: string[] = []
  const life = new LifeCycle()
  life.opened('a', 'a', (one) => void closed.push(one))
  const inner = life.within()
  inner.opened('b', 'b', (one) => void closed.push(one))
  await inner.close()
  expect(closed).toEqual(['b'])
  await life.close()
  expect(closed).toEqual(['b', 'a'])
})

test('a part whose opening is refused by the listener is closed like the others', async () => {
  const closed: string[] = []
  const life = new LifeCycle(() => {
    throw new Error('refused')
  })
  const opening = life.guard(() => life.opened('a', 'a', (one) => void closed.push(one)))
  await expect(opening).rejects.toThrow('refused')
  expect(closed).toEqual(['a'])
})
