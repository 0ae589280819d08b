/** @module The bucket of tokens: burst, debt, and a rate that changes on the way. */
import { expect, test } from 'vitest'
import { Rate, TokenBucket } from '../../../src/runtime/token-bucket.ts'
import { FakeClock } from '../../support/fake-clock.ts'

test('a burst is there at once, and a debt is paid by waiting', () => {
  const clock = new FakeClock()
  const bucket = new TokenBucket({ burst: 10, perSecond: 2, clock })
  expect(bucket.waitMs(10)).toBe(0)
  bucket.take(13)
  expect(bucket.waitMs(0)).toBe(1_500)
  clock.advance(1_500)
  expect(bucket.waitMs(0)).toBe(0)
  expect(bucket.waitMs(1)).toBe(500)
})

test('no more than the burst is saved up, by time or by giving back', () => {
  const clock = new FakeClock()
  const bucket = new TokenBucket({ burst: 4, perSecond: 100, clock })
  clock.advance(60_000)
  expect(bucket.waitMs(4)).toBe(0)
  expect(bucket.waitMs(5)).toBe(10)
  bucket.take(-3)
  expect(bucket.waitMs(5)).toBe(10)
})

test('what came back before the rate changed came at the old rate', () => {
  const clock = new FakeClock()
  const bucket = new TokenBucket({ burst: 10, perSecond: 1, clock })
  bucket.take(10)
  clock.advance(2_000)
  bucket.take(0, 0.5)
  expect(bucket.waitMs(3)).toBe(2_000)
  expect(bucket.usedAt).toBe(clock.monotonic())
})

test('a rate of 0 has no limit, and one that is lowered keeps its debt', () => {
  const clock = new FakeClock()
  const rate = new Rate(0, clock, 'nothing')
  expect(rate.take(1e12)).toBe(0)
  rate.lower(100)
  expect(rate.take(100)).toBe(0)
  expect(rate.take(50)).toBe(500)
  rate.lower(1_000)
  rate.lower(0)
  expect(rate.take(0)).toBe(500)
  rate.lower(10)
  expect(rate.take(0)).toBe(5_000)
})

test('a rate may begin with nothing saved', () => {
  const clock = new FakeClock()
  const rate = new Rate(1_000, clock, 'nothing')
  clock.advance(20)
  expect(rate.take(100)).toBe(80)
})

test('of a rate that several have together each takes its part', () => {
  const clock = new FakeClock()
  let sharers = 4
  const rate = new Rate(100, clock, 'nothing', 1, () => sharers)
  expect(rate.take(10)).toBe(400)
  clock.advance(400)
  sharers = 1
  expect(rate.take(10)).toBe(100)
})
