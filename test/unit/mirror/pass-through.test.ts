import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { PassBudget } from '../../../src/mirror/pass-budget.ts'
import { PassThrough } from '../../../src/mirror/pass-through.ts'
import { clientKey } from '../../../src/runtime/client-key.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { Exchange } from '../../../src/upstream/answer.ts'
import { Breaker } from '../../../src/upstream/breaker.ts'
import { UpstreamError } from '../../../src/upstream/error.ts'

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
    answer: { status: 206, headers: {}, body },
    feed: (count: number) => onChunk(Buffer.alloc(count)),
    end: () => end(),
    aborted,
  }
}

describe('a client of a pass-through', () => {
  test('that takes too little of what there is loses upstream’s connection', async () => {
    const { answer, feed, aborted } = answerOf()
    const over = vi.fn()
    const source = new PassThrough(answer, 1_000_000, over)
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
    const { answer, feed, aborted } = answerOf()
    const source = new PassThrough(answer, 1_000_000)
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

describe('the budget of pass-throughs', () => {
  test('is two a client and a quarter of the slots in all', () => {
    const budget = new PassBudget(16)
    const [a1, a2] = [budget.take('a'), budget.take('a')]
    expect([a1, a2].every((it) => it !== undefined)).toBe(true)
    expect(budget.take('a')).toBeUndefined()
    expect(budget.take('b')).toBeDefined()
    expect(budget.take('c')).toBeDefined()
    expect(budget.take('d')).toBeUndefined()
    a1!()
    a1!()
    expect(budget.take('d')).toBeDefined()
    expect(budget.take('e')).toBeUndefined()
  })

  test('leaves one where there are few slots', () => {
    expect(new PassBudget(1).take('a')).toBeDefined()
  })

  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:1:2::1', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['', ''],
  ])('counts the client %j as %j', (address, key) => {
    expect(clientKey(address)).toBe(key)
  })
})

describe('the clock of a request', () => {
  const times = { headMs: 5_000, fairMs: 1_000, wholeMs: undefined }
  const begin = () =>
    new Exchange({ host: 'h', lineMs: 30_000, stallMs: 1_000, onOver: () => undefined })

  test('starts with its slot: waiting in our own line is nobody’s failure', async () => {
    const exchange = begin()
    const failed = exchange.answer.catch((error: UpstreamError) => error)
    vi.advanceTimersByTime(30_000)
    expect(await failed).toMatchObject({ kind: 'busy', isOurs: true })
  })

  test('gives the host all of its time after a long wait', async () => {
    const exchange = begin()
    const failed = exchange.answer.catch((error: UpstreamError) => error)
    vi.advanceTimersByTime(29_000)
    exchange.started(times)
    vi.advanceTimersByTime(4_900)
    expect(exchange.isOver).toBe(false)
    vi.advanceTimersByTime(200)
    expect(await failed).toMatchObject({ kind: 'timeout', isOurs: false })
  })

  test('with too little left for a fair chance is ours again', async () => {
    const exchange = begin()
    const failed = exchange.answer.catch((error: UpstreamError) => error)
    exchange.started({ ...times, headMs: 500 })
    vi.advanceTimersByTime(600)
    expect(await failed).toMatchObject({ kind: 'timeout', isOurs: true })
  })

  test('is for the whole of a small answer', async () => {
    const exchange = begin()
    exchange.started({ ...times, wholeMs: 2_000 })
    exchange.head(200, {})
    const read = exchange.read(() => undefined).catch((error: UpstreamError) => error)
    for (let count = 0; count < 3; count += 1) {
      exchange.data(Buffer.alloc(20_000))
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
