/**
 * @module How much copies do beside clients: as they please without them, a part of what clients get beside many,
 * and never nothing.
 */
import { describe, expect, test } from 'vitest'
import { Courtesy } from '../../../../src/sync/copy/courtesy.ts'
import { FakeClock } from '../../../support/fake-clock.ts'

/** Requests of copies in ten seconds beside so many answers a second, when each waits as it is told. */
function requestsBeside(answersPerSecond: number): number {
  const clock = new FakeClock()
  const start = clock.monotonic()
  const courtesy = new Courtesy(
    () => ((clock.monotonic() - start) * answersPerSecond) / 1_000,
    clock,
  )
  // What clients did before is known.
  clock.advance(1_000)
  let requests = 0
  while (clock.monotonic() - start < 11_000) {
    requests += 1
    // A request takes a millisecond by itself.
    clock.advance(Math.max(1, courtesy.take(1)))
  }
  return requests
}

describe('copies', () => {
  test.each([0, 100, 499])('are not held back by %i answers a second', (answers) => {
    expect(requestsBeside(answers)).toBe(10_000)
  })

  test.each([
    [1_000, 500],
    [80_000, 1_000],
    [160_000, 2_000],
    [320_000, 4_000],
  ])('beside %i answers a second make %i requests in ten', (answers, requests) => {
    expect(requestsBeside(answers)).toBeGreaterThan(requests * 0.95)
    expect(requestsBeside(answers)).toBeLessThan(requests * 1.1)
  })

  test('go on at once when clients have gone', () => {
    const clock = new FakeClock()
    let answered = 0
    const courtesy = new Courtesy(() => answered, clock)
    clock.advance(100)
    answered = 1_000
    courtesy.take(100)
    expect(courtesy.take(1)).toBeGreaterThan(100)
    clock.advance(100)
    expect(courtesy.take(1)).toBe(0)
  })
})
