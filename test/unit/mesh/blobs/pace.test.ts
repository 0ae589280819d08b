/** @module How fast work on copies goes. */
import { expect, test } from 'vitest'
import { Pace } from '../../../../src/mesh/blobs/pace.ts'
import { FakeClock } from '../../../support/fake-clock.ts'

test('without a bound nothing waits', async () => {
  const pace = new Pace(new FakeClock(), 'nothing', () => true, 0)
  await pace.pay(Number.MAX_SAFE_INTEGER)
})

test('what is owed is waited for, until it does not go on', async () => {
  const clock = new FakeClock()
  let looks = 0
  const goesOn = () => {
    looks += 1
    // As time passes: the clock of a test stands still by itself.
    clock.advance(1)
    return looks < 100
  }
  const pace = new Pace(clock, 'nothing', goesOn, 1_000)
  await pace.pay(3)
  expect(looks).toBeGreaterThan(1)
  expect(looks).toBeLessThan(100)
  const isOver = new Pace(clock, 'nothing', () => false, 1)
  await isOver.pay(1_000_000)
})
