/** @module A bucket that fills the slower the longer somebody goes on. */
import { expect, test } from 'vitest'
import { Throttle } from '../../../src/runtime/throttle.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const day = 24 * 60 * 60 * 1000

function throttleOf(clock: FakeClock) {
  const slows = { every: 10, secondsMax: 300 }
  return new Throttle({ burst: 10, perSecond: 1, keysMax: 100, clock, slows })
}

/** How often a key can fail within a time when it always comes as soon as it may. */
function failuresIn(ms: number, clock: FakeClock, throttle: Throttle): number {
  const end = clock.monotonic() + ms
  let count = 0
  while (clock.monotonic() < end && count < 1_000_000) {
    const wait = throttle.waitSeconds('key')
    if (wait === 0) {
      throttle.spend('key')
      count += 1
    } else {
      clock.advance(Math.ceil(wait * 1000) + 1)
    }
  }
  return count
}

test('whoever never stops gets some hundreds a day, and no wait is longer than the bound', () => {
  const clock = new FakeClock()
  const throttle = throttleOf(clock)
  const first = failuresIn(day, clock, throttle)
  expect(first).toBeLessThan(500)
  expect(first).toBeGreaterThan(100)
  const second = failuresIn(day, clock, throttle)
  expect(second).toBeLessThanOrEqual(289)
  expect(throttle.waitSeconds('key')).toBeLessThanOrEqual(300)
})

test('a few failures cost what they did, a day of quiet or a good login starts anew', () => {
  const clock = new FakeClock()
  const throttle = throttleOf(clock)
  for (let count = 0; count < 12; count += 1) throttle.spend('key')
  expect(throttle.waitSeconds('key')).toBeCloseTo(3, 1)
  expect(failuresIn(day, clock, throttle)).toBeGreaterThan(100)
  if (throttle.waitSeconds('key') === 0) throttle.spend('key')
  expect(throttle.waitSeconds('key')).toBeGreaterThan(200)
  clock.advance(day + 1)
  throttle.spend('key')
  expect(throttle.waitSeconds('key')).toBe(0)
  for (let count = 0; count < 100; count += 1) throttle.spend('key')
  throttle.forgive('key')
  expect(throttle.waitSeconds('key')).toBe(0)
})

test('what was given back does not count', () => {
  const clock = new FakeClock()
  const throttle = throttleOf(clock)
  for (let count = 0; count < 1000; count += 1) {
    throttle.spend('key')
    throttle.refund('key')
  }
  expect(throttle.waitSeconds('key')).toBe(0)
  for (let count = 0; count < 11; count += 1) throttle.spend('key')
  expect(throttle.waitSeconds('key')).toBeCloseTo(2, 1)
})
