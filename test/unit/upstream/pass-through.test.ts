import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { PassThrough } from '../../../src/upstream/pass-through.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** An answer of upstream that a test feeds. */
function answerOf() {
  let onChunk: (bytes: Uint8Array) => void = () => undefined
  let end: () => void = () => undefined
  const aborted = vi.fn()
  const body = {
    read: (take: (bytes: Uint8Array) => void) => {
      onChunk = take
      return new Promise<void>((resolve) => {
        end = resolve
      })
    },
    pause: () => undefined,
    resume: () => undefined,
    abort: aborted,
  }
  return {
    body,
    feed: (count: number) => onChunk(Buffer.alloc(count)),
    end: () => end(),
    aborted,
  }
}

describe('a client of a pass-through', () => {
  test('that takes too little of what there is loses upstream’s connection', async () => {
    const { body, feed, aborted } = answerOf()
    const over = vi.fn()
    const source = new PassThrough(body, 1_000_000, over)
    feed(600_000)
    expect(source.ready(0, 100_000)).toBe(100_000)
    source.use(0, 10_000, () => undefined)
    void source.ready(10_000, 100)
    vi.advanceTimersByTime(15_000)
    expect(aborted).toHaveBeenCalled()
    expect(over).toHaveBeenCalled()
    await expect(source.ready(10_000, 100)).rejects.toMatchObject({ kind: 'reset' })
  })

  test('that takes 16 KiB in 15 s keeps it, and so does one that waits for upstream', () => {
    const { body, feed, aborted } = answerOf()
    const source = new PassThrough(body, 1_000_000)
    void source.ready(0, 100)
    vi.advanceTimersByTime(60_000)
    expect(aborted).not.toHaveBeenCalled()
    feed(500_000)
    for (let offset = 0; offset < 160_000; offset += 16 * 1024) {
      void source.ready(offset, 16 * 1024)
      vi.advanceTimersByTime(14_000)
    }
    expect(aborted).not.toHaveBeenCalled()
    source.close()
    expect(aborted).toHaveBeenCalledOnce()
  })
})
