/** @module The checker of registers: it must refuse what no order explains, and nothing else. */
import { describe, expect, test } from 'vitest'
import { checkLinearizable } from '../../support/mesh/linearizable.ts'
import {
  isLinearizableByTrial,
  MUTATIONS,
  realHistory,
  wildHistory,
} from '../../support/mesh/random-histories.ts'
import {
  HistoryRecorder,
  type RegisterAct,
  type RegisterOperation,
  type RegisterValue,
  withoutUnseen,
} from '../../support/mesh/register-history.ts'
import { SeededRandom } from '../../support/mesh/seeded-random.ts'

type Line = readonly [call: number, end: number | undefined, act: RegisterAct, key?: string]

const history = (...lines: readonly Line[]): RegisterOperation[] =>
  lines.map(([call, end, act, key = 'k']) => ({ key, act, call, end }))

const read = (value: RegisterValue): RegisterAct => ({ kind: 'read', value })
const write = (value: RegisterValue): RegisterAct => ({ kind: 'write', value })
const swap = (
  expected: RegisterValue,
  value: RegisterValue,
  ok: boolean | undefined,
): RegisterAct => ({ kind: 'compareAndSet', expected, value, ok })

const unknown = undefined

describe('linearizable is', () => {
  test.each<[string, RegisterOperation[]]>([
    ['nothing at all', []],
    ['a read of nothing', history([1, 2, read(undefined)])],
    ['a write and its read', history([1, 2, write('a')], [3, 4, read('a')])],
    ['a read beside a write: the old', history([1, 9, write('a')], [2, 3, read(undefined)])],
    ['a read beside a write: the new', history([1, 9, write('a')], [2, 3, read('a')])],
    ['a read that ends when a write begins', history([1, 3, read('a')], [3, 4, write('a')])],
    [
      'one winner of two',
      history([1, 2, write('a')], [3, 6, swap('a', 'b', true)], [4, 5, swap('a', 'c', false)]),
    ],
    [
      'a chain of winners, each beside the others',
      history(
        [1, 9, swap('b', 'c', true)],
        [1, 9, swap('a', 'b', true)],
        [1, 9, swap(undefined, 'a', true)],
        [10, 11, read('c')],
      ),
    ],
    ['a delete', history([1, 2, write('a')], [3, 4, write(undefined)], [5, 6, read(undefined)])],
    [
      'an unknown write that is seen late',
      history([1, unknown, write('a')], [2, 3, read(undefined)], [90, 91, read('a')]),
    ],
    [
      'an unknown write that is never seen',
      history([1, unknown, write('a')], [2, 3, read(undefined)]),
    ],
    [
      'a compare that failed because of an unknown write that no read saw',
      history([1, 2, write('a')], [3, unknown, write('b')], [4, 5, swap('a', 'c', false)]),
    ],
    [
      'a compare that failed because of an unknown compare that no read saw',
      history(
        [1, 2, write('a')],
        [3, unknown, swap('a', 'b', unknown)],
        [4, 5, swap('a', 'c', false)],
      ),
    ],
    [
      'an unknown compare on an unknown write that is seen',
      history([1, unknown, swap('a', 'b', unknown)], [2, unknown, write('a')], [4, 5, read('b')]),
    ],
    ['an unknown read', history([1, unknown, read('never')], [2, 3, read(undefined)])],
    [
      'two keys that have nothing to do with each other',
      history([1, 2, write('a'), 'x'], [3, 4, read(undefined), 'y'], [5, 6, read('a'), 'x']),
    ],
  ])('%s', (_name, operations) => {
    expect(checkLinearizable(operations).outcome).toBe('linearizable')
    expect(isLinearizableByTrial(operations.filter(({ key }) => key !== 'y'))).toBe(true)
  })
})

describe('not linearizable is', () => {
  test.each<[string, RegisterOperation[]]>([
    ['a stale read', history([1, 2, write('a')], [3, 4, write('b')], [5, 6, read('a')])],
    ['a read of nothing after a write', history([1, 2, write('a')], [3, 4, read(undefined)])],
    [
      'a lost update',
      history([1, 2, write('a')], [3, 4, swap('a', 'b', true)], [5, 6, swap('a', 'c', true)]),
    ],
    ['a read of a write that had not begun', history([1, 2, read('a')], [3, 4, write('a')])],
    [
      'two winners side by side',
      history([1, 2, write('a')], [3, 9, swap('a', 'b', true)], [4, 8, swap('a', 'c', true)]),
    ],
    [
      'the new value, then the old one, beside the write',
      history([1, 2, write('a')], [3, 99, write('b')], [4, 5, read('b')], [6, 7, read('a')]),
    ],
    [
      'an unknown write that a later read sees, then an older value again',
      history([1, 2, write('a')], [3, unknown, write('b')], [4, 5, read('b')], [6, 7, read('a')]),
    ],
    [
      'a read of an unknown write that had not begun',
      history([1, 2, read('a')], [3, unknown, write('a')]),
    ],
    [
      'a compare that failed though it fits',
      history([1, 2, write('a')], [3, 4, swap('a', 'b', false)]),
    ],
    ['a compare that succeeded though nothing fits', history([1, 2, swap('a', 'b', true)])],
    [
      'an unknown compare that cannot have been done, seen',
      history([1, 2, write('a')], [3, unknown, swap('z', 'b', unknown)], [4, 5, read('b')]),
    ],
    [
      'a failed compare that only an unknown write of the same value stands beside',
      history([1, 2, write('a')], [3, unknown, write('a')], [4, 5, swap('a', 'c', false)]),
    ],
    [
      'one unknown write, seen twice with another value between',
      history(
        [1, unknown, write('a')],
        [2, 3, read('a')],
        [4, 5, write('b')],
        [6, 7, read('b')],
        [8, 9, read('a')],
      ),
    ],
  ])('%s', (_name, operations) => {
    expect(checkLinearizable(operations).outcome).toBe('not linearizable')
    expect(isLinearizableByTrial(operations)).toBe(false)
  })

  test('one bad key among good ones, with the place where it does not go on', () => {
    const good = realHistory(new SeededRandom(3), {
      operations: 200,
      keys: 4,
      clients: 4,
      unknown: 0,
    })
    const bad = history(
      [1, 2, write('a'), 'bad'],
      [3, 4, read('b'), 'bad'],
      [5, 6, read('a'), 'bad'],
    )
    const verdict = checkLinearizable([...good, ...bad])
    expect(verdict).toMatchObject({ outcome: 'not linearizable', key: 'bad', taken: 1 })
    expect(verdict).toHaveProperty('stuckAt', bad[1])
  })
})

describe('an unknown change', () => {
  const kept = (...lines: readonly Line[]) =>
    withoutUnseen(history(...lines)).filter(({ end }) => end === unknown).length

  test('is left out only when nothing can have seen its value', () => {
    expect(kept([1, unknown, write('a')], [2, 3, read('b')])).toBe(0)
    expect(kept([1, unknown, write('a')], [2, 3, read('a')])).toBe(1)
    expect(kept([1, unknown, write('a')], [2, 3, swap('a', 'b', true)])).toBe(1)
    expect(kept([1, unknown, write('a')], [2, 3, swap('b', 'c', false)])).toBe(1)
    expect(kept([1, unknown, write('a')], [2, 3, swap('a', 'c', false)])).toBe(0)
    expect(
      kept([1, unknown, write('a')], [2, 3, swap('b', 'c', false)], [2, 4, swap('a', 'c', false)]),
    ).toBe(1)
    expect(kept([1, unknown, write('a')], [2, unknown, swap('a', 'b', unknown)])).toBe(1)
    // Those were over before it began.
    expect(kept([4, unknown, write('a')], [2, 3, read('a')], [2, 3, swap('b', 'c', false)])).toBe(0)
  })
})

describe('random histories', () => {
  test('of pure chance are judged as by the trial of every order', () => {
    const random = new SeededRandom(11)
    const counts = { linearizable: 0, 'not linearizable': 0, undecided: 0 }
    for (let round = 0; round < 6000; round += 1) {
      const operations = wildHistory(random, 1 + random.below(6))
      const { outcome } = checkLinearizable(operations)
      const wanted = isLinearizableByTrial(operations) ? 'linearizable' : 'not linearizable'
      if (outcome !== wanted) expect(operations, `${outcome}, but ${wanted}`).toEqual([])
      counts[outcome] += 1
    }
    expect(counts.undecided).toBe(0)
    expect(Math.min(counts.linearizable, counts['not linearizable'])).toBeGreaterThan(1000)
  })

  test('of a real register are linearizable', () => {
    for (let seed = 0; seed < 100; seed += 1) {
      const random = new SeededRandom(seed)
      const shape = {
        operations: 400,
        keys: 1 + random.below(4),
        clients: 1 + random.below(12),
        unknown: random.pick([0, 0.05, 0.2]),
      }
      const verdict = checkLinearizable(realHistory(random, shape))
      expect(verdict.outcome, `seed ${seed}`).toBe('linearizable')
    }
  })

  test.each(Object.keys(MUTATIONS))('with %s are not', (name) => {
    let found = 0
    for (let seed = 0; seed < 100; seed += 1) {
      const random = new SeededRandom(seed)
      const shape = { operations: 60, keys: 2, clients: 4, unknown: seed % 2 === 0 ? 0 : 0.1 }
      const wrong = MUTATIONS[name]!(random, realHistory(random, shape))
      if (wrong === undefined) continue
      expect(checkLinearizable(wrong).outcome, `seed ${seed}`).toBe('not linearizable')
      found += 1
    }
    expect(found).toBeGreaterThan(50)
  })
})

describe('the work', () => {
  /** Twenty unknown writes at once, and at the end a read that none of their orders explains. */
  const hard = [
    ...Array.from({ length: 20 }, (_, at): Line => [1, 100, write(`v${at}`)]),
    ...Array.from({ length: 20 }, (_, at): Line => [1, 100, read(`v${at}`)]),
    [101, 102, swap('never', 'x', true)] as Line,
  ]

  test('is bounded, and what is not decided is called so', () => {
    const verdict = checkLinearizable(history(...hard), { stepsMax: 10_000 })
    expect(verdict).toMatchObject({ outcome: 'undecided', key: 'k' })
    expect(verdict.steps).toBeLessThanOrEqual(10_001)
  })

  test('is not done twice: neither for other orders of the same, nor for reads that fit anyway', () => {
    const writes = Array.from({ length: 9 }, (_, at): Line => [1, 100, write(`v${at}`)])
    const reads = Array.from({ length: 9 }, (_, at): Line => [1, 100, read(`v${at % 3}`)])
    const verdict = checkLinearizable(history(...reads, ...writes, [101, 102, read('never')]))
    expect(verdict).toMatchObject({ outcome: 'not linearizable', taken: 18 })
    expect(verdict.steps).toBeLessThan(20_000)
  })

  test('does not hide a key that is decided', () => {
    const bad = history([1, 2, read('b'), 'bad'])
    const verdict = checkLinearizable([...history(...hard), ...bad], { stepsMax: 1000 })
    expect(verdict).toMatchObject({ outcome: 'not linearizable', key: 'bad' })
  })

  test('is small where few operations overlap, however long the history', () => {
    const random = new SeededRandom(1)
    const long = realHistory(random, { operations: 20_000, keys: 1, clients: 6, unknown: 0.01 })
    const { outcome, steps } = checkLinearizable(long)
    expect(outcome).toBe('linearizable')
    expect(steps).toBeLessThan(400_000)
  })

  test('starts from what the registers hold at first', () => {
    const operations = history([1, 2, read('old')])
    expect(checkLinearizable(operations).outcome).toBe('not linearizable')
    expect(checkLinearizable(operations, { initial: 'old' }).outcome).toBe('linearizable')
  })

  test('refuses an operation that ends before its call', () => {
    expect(() => checkLinearizable(history([2, 1, read('a')]))).toThrow(RangeError)
    expect(() => checkLinearizable(history([2, Number.NaN, read('a')]))).toThrow(RangeError)
  })
})

test('a recorder writes down what was called and heard', () => {
  const recorder = new HistoryRecorder()
  const first = recorder.change('k', { kind: 'write', value: 'a' })
  const beside = recorder.read('k')
  first.done()
  beside.saw('a')
  recorder.change('k', { kind: 'write', value: 'lost' })
  recorder.change('k', { kind: 'write', value: 'no' }).refused()
  recorder.change('k', { kind: 'compareAndSet', expected: 'a', value: 'b' }).done(false)
  recorder.read('k')
  const { operations } = recorder
  expect([...operations].sort((one, other) => one.call - other.call)).toEqual(
    history(
      [1, 3, write('a')],
      [2, 4, read('a')],
      [5, undefined, write('lost')],
      [7, 8, swap('a', 'b', false)],
    ),
  )
  expect(checkLinearizable(operations).outcome).toBe('linearizable')
})
