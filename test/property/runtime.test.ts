/** @module Properties of the small moving parts: locks, bounded memories, the buffer budget. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ChunkPool } from '../../src/blobs/files/chunk-pool.ts'
import { KeyedLock } from '../../src/runtime/keyed-lock.ts'
import { PerTurn } from '../../src/runtime/per-turn.ts'
import { RecentSet } from '../../src/runtime/recent-set.ts'

describe('the keyed lock', () => {
  const keys = fc.constantFrom('a', 'b', 'c')
  const job = fc.record({ key: keys, turns: fc.nat({ max: 3 }), fails: fc.boolean() })

  test('lets one in at a time, in order, and others by; a failure frees the key', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(job, { maxLength: 20 }),
        fc.scheduler(),
        async (jobs, scheduler) => {
          const lock = new KeyedLock()
          const inside = new Map<string, number>()
          const started = new Map<string, number[]>()
          const runs = jobs.map(({ key, turns, fails }, index) =>
            lock
              .run(key, async () => {
                const holders = (inside.get(key) ?? 0) + 1
                inside.set(key, holders)
                expect(holders).toBe(1)
                expect(lock.isHeld(key)).toBe(true)
                started.set(key, [...(started.get(key) ?? []), index])
                for (let turn = 0; turn < turns; turn += 1)
                  await scheduler.schedule(Promise.resolve())
                inside.set(key, holders - 1)
                if (fails) throw new Error(`job ${index}`)
                return index
              })
              .then(
                (value) => expect([value, fails]).toEqual([index, false]),
                (error: unknown) =>
                  expect([String(error), fails]).toEqual([`Error: job ${index}`, true]),
              ),
          )
          await scheduler.waitFor(Promise.all(runs))
          for (const [key, order] of started) {
            expect(order).toEqual([...order].sort((a, b) => a - b))
            expect(order).toHaveLength(jobs.filter((it) => it.key === key).length)
          }
          expect(lock.size).toBe(0)
        },
      ),
      { numRuns: 200 },
    )
  })
})

describe('the recent set', () => {
  test('remembers the last keys', () => {
    const key = fc.nat({ max: 30 }).map(String)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.array(key), (bound, added) => {
        const set = new RecentSet(bound)
        for (const it of added) set.add(it)
        const newest = [...new Set([...added].reverse())]
        for (const it of newest.slice(0, bound)) expect(set.has(it), it).toBe(true)
        expect(set.has('never')).toBe(false)
      }),
      { numRuns: 500 },
    )
  })

  test('forgets what twice as many came after', () => {
    const set = new RecentSet(4)
    for (let index = 0; index < 9; index += 1) set.add(String(index))
    expect(set.has('0')).toBe(false)
    expect(set.has('8')).toBe(true)
  })

  test('keeps what is asked for again', () => {
    const set = new RecentSet(4)
    set.add('kept')
    for (let index = 0; index < 100; index += 1) {
      set.add(`other ${index}`)
      expect(set.has('kept')).toBe(true)
    }
    expect(set.has('other 0')).toBe(false)
  })
})

describe('the chunk pool', () => {
  const move = fc.constantFrom('take', 'give', 'forget', 'wait')

  test('is over its budget just when as many are out, and wakes each waiter once', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.array(move, { maxLength: 60 }),
        (max, moves) => {
          const pool = new ChunkPool(16, 16 * max)
          const out: ArrayBuffer[] = []
          let asked = 0
          let woken = 0
          for (const it of moves) {
            if (it === 'take') out.push(pool.take())
            else if (it === 'wait') {
              asked += 1
              pool.whenFree(() => {
                woken += 1
              })
            } else if (out.length > 0) {
              const buffer = out.pop()!
              if (it === 'give') pool.give(buffer)
              else pool.forget(16)
            }
            expect(pool.isOverBudget).toBe(out.length >= max)
            if (!pool.isOverBudget) expect(woken).toBe(asked)
            expect(woken).toBeLessThanOrEqual(asked)
            for (const buffer of out) expect(buffer.byteLength).toBe(16)
            expect(new Set(out).size).toBe(out.length)
          }
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('so many a turn', () => {
  const turn = () => new Promise((resolve) => setImmediate(resolve))

  test('everyone passes once and in order, whenever they come', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.integer({ min: 0, max: 8 }), { maxLength: 12 }),
        async (max, arrivals) => {
          const turns = new PerTurn(max)
          const passed: number[] = []
          const waiting: Promise<unknown>[] = []
          let next = 0
          for (const count of arrivals) {
            for (let index = 0; index < count; index += 1) {
              const caller = next++
              if (turns.tryPass()) passed.push(caller)
              else waiting.push(turns.wait().then(() => passed.push(caller)))
            }
            await turn()
          }
          await Promise.all(waiting)
          expect(passed).toEqual(Array.from({ length: next }, (_, index) => index))
        },
      ),
      { numRuns: 200 },
    )
  })

  test('ten that come at once pass in four turns of three', async () => {
    const turns = new PerTurn(3)
    let passed = 0
    for (let index = 0; index < 10; index += 1) {
      if (turns.tryPass()) passed += 1
      else void turns.wait().then(() => (passed += 1))
    }
    const seen = [passed]
    while (passed < 10) {
      await turn()
      seen.push(passed)
    }
    expect(seen).toEqual([3, 6, 9, 10])
  })
})
