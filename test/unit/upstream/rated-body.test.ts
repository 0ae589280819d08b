import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Rate } from '../../../src/runtime/token-bucket.ts'
import { ratedBody } from '../../../src/upstream/rated-body.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** A body that a test feeds, held to so many bytes a second; its reader takes all. */
function bodyAt(perSecond: number) {
  let onChunk: (bytes: Uint8Array) => void = () => undefined
  const [pause, resume, onBytes] = [vi.fn(), vi.fn(), vi.fn()]
  const body = {
    read: (take: (bytes: Uint8Array) => void) => {
      onChunk = take
      return Promise.resolve()
    },
    pause,
    resume,
    abort: () => undefined,
  }
  const clock = { monotonic: () => performance.now() }
  const rated = ratedBody(body, new Rate(perSecond, clock, 'all'), onBytes)
  void rated.read(() => undefined)
  return { rated, feed: (count: number) => onChunk(new Uint8Array(count)), pause, resume, onBytes }
}

test('a body waits until its rate allows the next piece, and counts what has come', () => {
  const { feed, pause, resume, onBytes } = bodyAt(1_000)
  feed(1_000)
  expect(pause).not.toHaveBeenCalled()
  feed(500)
  expect(pause).toHaveBeenCalledOnce()
  expect(onBytes.mock.calls).toEqual([[1_000], [500]])
  vi.advanceTimersByTime(499)
  expect(resume).not.toHaveBeenCalled()
  vi.advanceTimersByTime(1)
  expect(resume).toHaveBeenCalledOnce()
})

test('its reader’s pause outlasts the wait', () => {
  const { rated, feed, resume } = bodyAt(1_000)
  feed(2_000)
  rated.pause()
  vi.advanceTimersByTime(60_000)
  expect(resume).not.toHaveBeenCalled()
  rated.resume()
  expect(resume).toHaveBeenCalledOnce()
})

test('a wait that is longer than any timer is waited out', () => {
  // 2 500 000 s, where a timer takes 2 147 483 s at most.
  const { feed, resume } = bodyAt(1)
  feed(2_500_001)
  vi.advanceTimersByTime(2_499_999_000)
  expect(resume).not.toHaveBeenCalled()
  vi.advanceTimersByTime(60_000)
  expect(resume).toHaveBeenCalledOnce()
})
