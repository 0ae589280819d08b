/** @module The rate of one asker: what waits for its turn, for how long, and what ends that. */
import { expect, test } from 'vitest'
import { systemClock } from '../../../src/runtime/clock.ts'
import { Rate } from '../../../src/runtime/token-bucket.ts'
import type { Ask } from '../../../src/upstream/ask.ts'
import { Pace } from '../../../src/upstream/pace.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const ask = (more: Partial<Ask> = {}): Ask => {
  const common = { method: 'GET', repository: 'app', tail: 'manifests/v1' } as const
  return { ...common, by: 'sync', deadline: 1_000, ...more }
}

/** One whose next turn is in an hour. */
function spent(): Rate {
  const rate = new Rate(1, new FakeClock(), 'all')
  rate.take(3_600)
  return rate
}

test('moves the deadline on by what is waited for', async () => {
  const rate = new Rate(20, systemClock, 'nothing')
  const pace = new Pace({ requestRate: rate }, ask())
  await pace.turn()
  expect(pace.deadline).toBeGreaterThan(1_000)
  expect(pace.deadline).toBeLessThan(1_100)
})

test('keeps no pull, which counts all the same', async () => {
  const rate = spent()
  const before = rate.take(0)
  await new Pace({ requestRate: rate }, ask({ by: 'pull' })).turn()
  expect(rate.take(0)).toBe(before + 1_000)
})

test('keeps nothing for which a client waits by now', async () => {
  let isHurried = false
  const turn = new Pace({ requestRate: spent() }, ask({ isHurried: () => isHurried })).turn()
  isHurried = true
  await turn
})

test.each(['signal', 'waitSignal'] as const)(
  'ends with the %s, and leaves no debt',
  async (name) => {
    const rate = spent()
    const before = rate.take(0)
    const controller = new AbortController()
    const more = { isHurried: () => false, [name]: controller.signal }
    const turn = new Pace({ requestRate: rate }, ask(more)).turn()
    controller.abort(new Error('the server stops'))
    await expect(turn).rejects.toThrow('the server stops')
    expect(rate.take(0)).toBe(before)
  },
)

test('of content keeps nothing else', async () => {
  const contentRate = spent()
  const before = contentRate.take(0)
  const controller = new AbortController()
  const pace = new Pace({ contentRate }, ask({ signal: controller.signal }))
  await pace.turn()
  expect(contentRate.take(0)).toBe(before)
  const turn = pace.turn(true)
  controller.abort(new Error('the server stops'))
  await expect(turn).rejects.toThrow('the server stops')
  expect(contentRate.take(0)).toBe(before)
})
