import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../../src/runtime/clock.ts'
import { PendingAnswer } from '../../../src/upstream/answer.ts'
import { Breaker } from '../../../src/upstream/breaker.ts'
import { UpstreamError } from '../../../src/upstream/error.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('the clock of a request', () => {
  const times = { headMs: 5_000, fairMs: 1_000, wholeMs: undefined }
  const begin = () =>
    new PendingAnswer({ host: 'h', lineMs: 30_000, stallMs: 1_000, onOver: () => undefined })

  test('starts with its slot: waiting in our own line is nobody’s failure', async () => {
    const pending = begin()
    const failed = pending.answer.catch((error: UpstreamError) => error)
    vi.advanceTimersByTime(30_000)
    expect(await failed).toMatchObject({ kind: 'busy', isOurs: true })
  })

  test('gives the host all of its time after a long wait', async () => {
    const pending = begin()
    const failed = pending.answer.catch((error: UpstreamError) => error)
    vi.advanceTimersByTime(29_000)
    pending.started(times)
    vi.advanceTimersByTime(4_900)
    expect(pending.isOver).toBe(false)
    vi.advanceTimersByTime(200)
    expect(await failed).toMatchObject({ kind: 'timeout', isOurs: false })
  })

  test('with too little left for a fair chance is ours again', async () => {
    const pending = begin()
    const failed = pending.answer.catch((error: UpstreamError) => error)
    pending.started({ ...times, headMs: 500 })
    vi.advanceTimersByTime(600)
    expect(await failed).toMatchObject({ kind: 'timeout', isOurs: true })
  })

  test('is for the whole of a small answer', async () => {
    const pending = begin()
    pending.started({ ...times, wholeMs: 2_000 })
    pending.head(200, {})
    const read = pending.read(() => undefined).catch((error: UpstreamError) => error)
    for (let count = 0; count < 3; count += 1) {
      pending.data(Buffer.alloc(20_000))
      vi.advanceTimersByTime(900)
    }
    expect(await read).toMatchObject({ kind: 'timeout' })
  })

  test('a breaker stands as it stood when the host was not heard', () => {
    const breaker = new Breaker(systemClock)
    const failure = new UpstreamError('server', 'x')
    for (let count = 0; count < 10; count += 1) {
      breaker.enter('h')
      breaker.unheard()
    }
    expect(breaker.state).toBe('closed')
    for (let count = 0; count < 4; count += 1) {
      breaker.enter('h')
      breaker.failed(failure)
    }
    expect(breaker.state).toBe('open')
  })
})
