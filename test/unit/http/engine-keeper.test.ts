/** @module Which clients are waited for, and for how long: by what they move. */
import { expect, test } from 'vitest'
import { Progress, tickMs, windowBytesMin } from '../../../src/http/engine/keeper.ts'

/** How long a client is kept that moves so many bytes a tick, s; at most an hour. */
function secondsOf(bytesOf: (tick: number) => number, isAwaited = true): number {
  const progress = new Progress()
  let moved = 0
  for (let tick = 1; tick < 900; tick += 1) {
    moved += bytesOf(tick)
    if (progress.isTooSlow(moved, isAwaited)) return (tick * tickMs) / 1000
  }
  return 3600
}

test.each([
  ['nothing', () => 0, 124],
  ['a byte a tick', () => 1, 124],
  ['just too little', () => 3800, 124],
  ['as a slow modem', () => 20_000, 3600],
  ['all, and a byte now and then', (tick: number) => (tick === 1 ? 1e9 : 1), 248],
  ['a burst every two minutes', (tick: number) => (tick % 29 === 0 ? windowBytesMin : 0), 3600],
])('%s', (_what, bytesOf, seconds) => {
  expect(secondsOf(bytesOf)).toBe(seconds)
})

test('a client that waits for us is never given up', () => {
  expect(secondsOf(() => 0, false)).toBe(3600)
})
