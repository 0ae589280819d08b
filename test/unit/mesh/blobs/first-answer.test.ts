/** @module One question to several members, in a time that the test moves. */
import { expect, test } from 'vitest'
import { firstAnswer, NoAnswer } from '../../../../src/mesh/blobs/first-answer.ts'
import { FakeTime, settled } from '../../../support/mesh/fake-time.ts'

function race(members: readonly number[]) {
  const time = new FakeTime()
  const asked = new Map<number, { resolve(answer: string): void; reject(error: Error): void }>()
  const dropped: string[] = []
  const ask = (member: number) =>
    new Promise<string>((resolve, reject) => {
      asked.set(member, { resolve, reject })
    })
  const drop = (answer: string) => dropped.push(answer)
  const over = firstAnswer(members, { ask, drop, hedgeMs: 300, time })
  over.catch(() => undefined)
  return { time, asked, dropped, over }
}

test('one that answers in time is asked alone', async () => {
  const { time, asked, over } = race([4, 5])
  await time.advance(299)
  asked.get(4)!.resolve('four')
  expect(await over).toEqual({ member: 4, answer: 'four' })
  await time.advance(10_000)
  expect([...asked.keys()]).toEqual([4])
  expect(time.waiting).toBe(0)
})

test('a slow one gets company, the first answer counts, the later one is dropped', async () => {
  const { time, asked, dropped, over } = race([4, 5, 6])
  await time.advance(300)
  expect([...asked.keys()]).toEqual([4, 5])
  asked.get(5)!.resolve('five')
  expect(await over).toEqual({ member: 5, answer: 'five' })
  asked.get(4)!.resolve('four')
  await settled()
  expect(dropped).toEqual(['four'])
  await time.advance(10_000)
  expect([...asked.keys()]).toEqual([4, 5])
})

test('the next one is asked at once when one fails', async () => {
  const { time, asked, over } = race([4, 5])
  asked.get(4)!.reject(new Error('gone'))
  await settled()
  expect([...asked.keys()]).toEqual([4, 5])
  asked.get(5)!.resolve('five')
  expect((await over).member).toBe(5)
  expect(time.waiting).toBe(0)
})

test('all errors are told when nobody is left, and not before', async () => {
  const { time, asked, over } = race([4, 5])
  await time.advance(300)
  const errors = [new Error('one'), new Error('two')]
  asked.get(5)!.reject(errors[0]!)
  await settled()
  asked.get(4)!.reject(errors[1]!)
  await expect(over).rejects.toThrow(NoAnswer)
  await over.catch((error: NoAnswer) => expect(error.errors).toEqual(errors))
  await expect(race([]).over).rejects.toThrow(NoAnswer)
})
