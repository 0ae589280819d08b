/** @module Virtual time: one order of events, the same for a seed, whatever is paused or has crashed. */
import { describe, expect, test } from 'vitest'
import { SeededRandom } from '../../support/mesh/seeded-random.ts'
import { EVENTS_MAX, VirtualTime, WALL_START_MS } from '../../support/mesh/virtual-time.ts'

describe('events', () => {
  test('come by time, and by the order of asking within one time', async () => {
    const time = new VirtualTime(1)
    const seen: string[] = []
    for (const [delayMs, name] of [
      [5, 'd'],
      [1, 'a'],
      [3, 'b'],
      [3, 'c'],
      [0, '0'],
    ] as const) {
      time.at(delayMs, () => seen.push(`${name}${time.now()}`))
    }
    expect(await time.run()).toBe('idle')
    expect(seen).toEqual(['00', 'a1', 'b3', 'c3', 'd5'])
  })

  test('are in order, thousands of them, with some cancelled', async () => {
    const time = new VirtualTime(7, { drainTurns: 0 })
    const seen: [number, number][] = []
    let lost = 0
    for (let asked = 0; asked < 5000; asked += 1) {
      const timer = time.at(time.random.below(300), () => seen.push([time.now(), asked]))
      if (time.random.chance(0.2)) {
        timer.cancel()
        lost += 1
      }
    }
    await time.run()
    expect(seen).toHaveLength(5000 - lost)
    expect(seen).toEqual([...seen].sort(([a, b], [c, d]) => a - c || b - d))
  })

  test('end at a time, at a number, at a condition', async () => {
    const time = new VirtualTime(1)
    let ticks = 0
    const tick = (): void => {
      ticks += 1
      time.at(10, tick)
    }
    time.at(10, tick)
    expect(await time.run({ ms: 55 })).toBe('time')
    expect([ticks, time.now()]).toEqual([5, 55])
    expect(await time.run({ ms: 60 })).toBe('time')
    expect(ticks).toBe(6)
    expect(await time.run({ events: 3 })).toBe('events')
    expect([ticks, time.now()]).toEqual([9, 90])
    expect(await time.run({ when: () => ticks === 12 })).toBe('condition')
    expect(ticks).toBe(12)
    expect(EVENTS_MAX).toBeLessThanOrEqual(1e7)
  })

  test('that throw end the run', async () => {
    const time = new VirtualTime(1)
    time.at(1, () => {
      throw new Error('planted')
    })
    await expect(time.run()).rejects.toThrow('planted')
    expect(await time.run()).toBe('idle')
  })

  test('can be cancelled by an event of the same time', async () => {
    const time = new VirtualTime(1)
    const seen: string[] = []
    time.at(1, () => timer.cancel())
    const timer = time.at(1, () => seen.push('cancelled'))
    await time.run()
    expect(seen).toEqual([])
  })

  test('that are cancelled do not count, and time does not go on to them', async () => {
    const time = new VirtualTime(1)
    time.at(5, () => expect.unreachable()).cancel()
    time.at(9, () => expect.unreachable()).cancel()
    time.at(7, () => {})
    expect(await time.run({ events: 1 })).toBe('idle')
    expect(time.now()).toBe(7)
  })

  test('refuse a delay that is none', () => {
    const time = new VirtualTime(1)
    for (const delayMs of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => time.at(delayMs, () => {})).toThrow('not a delay')
    }
  })

  test('find the promises of the event before them settled', async () => {
    const time = new VirtualTime(1)
    const seen: string[] = []
    /** Each level hands on a promise: the dearest kind, three turns. */
    const deep = async (levels: number): Promise<void> =>
      levels === 0 ? undefined : deep(levels - 1)
    time.at(1, () => {
      void deep(6).then(() => seen.push('first'))
    })
    time.at(1, () => seen.push('second'))
    await time.run()
    expect(seen).toEqual(['first', 'second'])
  })

  test('are cheap', async () => {
    const time = new VirtualTime(1)
    let left = 100_000
    const next = (): void => {
      left -= 1
      if (left > 0) time.at(1, next)
    }
    time.at(1, next)
    const start = process.cpuUsage()
    await time.run()
    const { user } = process.cpuUsage(start)
    expect(left).toBe(0)
    // 0.15 s in a quiet hour.
    expect(user / 1000).toBeLessThan(3000)
  })
})

describe('nodes', () => {
  test('that are paused do everything when they wake, in order, before what is due later', async () => {
    const time = new VirtualTime(1)
    const node = time.boot('a')
    const seen: string[] = []
    for (const ms of [1, 3, 2, 10, 12]) node.at(ms, () => seen.push(`${ms}@${time.now()}`))
    const cancelled = node.at(4, () => seen.push('cancelled'))
    time.at(2.5, () => node.pause())
    time.at(5, () => cancelled.cancel())
    time.at(11, () => node.wake())
    node.at(11, () => seen.push(`11@${time.now()}`))
    time.boot('b').at(4, () => seen.push('other'))
    await time.run()
    expect(seen).toEqual(['1@1', '2@2', 'other', '3@11', '10@11', '11@11', '12@12'])
  })

  test('that never wake do not keep a run going', async () => {
    const time = new VirtualTime(1)
    const node = time.boot('a')
    node.at(5, () => expect.unreachable())
    node.pause()
    expect(await time.run({ ms: 20 })).toBe('idle')
    expect(time.now()).toBe(20)
  })

  test('that crash lose what was to come, also what was put off, and what the dead still ask for', async () => {
    const time = new VirtualTime(1)
    const first = time.boot('a')
    const seen: string[] = []
    first.at(1, () => seen.push('before'))
    first.at(3, () => seen.push('put off'))
    first.at(8, () => seen.push('dead'))
    void first.sleep(9).then(() => seen.push('asleep'))
    time.at(2, () => first.pause())
    time.at(4, () => {
      first.crash()
      first.wake()
      const second = time.boot('a')
      expect([first.boot, second.boot, first.isAlive]).toEqual([1, 2, false])
      first.at(1, () => seen.push('late'))
      second.at(1, () => seen.push('second'))
    })
    await time.run()
    expect(seen).toEqual(['before', 'second'])
    expect(() => time.boot('a')).toThrow('a runs already')
  })

  test('have a wall clock that is wrong and a monotonic one that is right', async () => {
    const time = new VirtualTime(1)
    const exact = time.boot('a').clock
    const { clock } = time.boot('b', { offsetMs: -5000, driftPpm: 1000 })
    await time.run({ ms: 10_000 })
    expect([exact.now(), exact.monotonic()]).toEqual([WALL_START_MS + 10_000, 10_000])
    expect([clock.now(), clock.monotonic()]).toEqual([WALL_START_MS + 5010, 10_000])
    clock.step(-7000)
    expect([clock.now(), clock.monotonic()]).toEqual([WALL_START_MS - 1990, 10_000])
  })
})

/** Nodes that send each other numbers, sleep, pause, crash and start again. */
async function ringTrace(seed: number): Promise<string> {
  const time = new VirtualTime(seed)
  const { random } = time
  const names = ['a', 'b', 'c']
  const live = (name: string): void => {
    const node = time.boot(name)
    const work = async (): Promise<void> => {
      for (;;) {
        await node.sleep(random.exponential(5))
        time.note(`${name}${node.boot} works`)
        const fate = random.uniform()
        if (fate < 0.1) {
          node.pause()
          time.at(random.between(1, 50), () => node.wake())
        } else if (fate < 0.15) {
          node.crash()
          time.at(random.below(30), () => live(name))
        }
      }
    }
    void work()
  }
  for (const name of names) live(name)
  await time.run({ ms: 2000 })
  expect(time.lastNotes(3)).toHaveLength(3)
  return time.traceHash()
}

describe('a seed', () => {
  test('decides the whole run', async () => {
    const hashes = new Set<string>()
    for (let seed = 0; seed < 20; seed += 1) {
      const hash = await ringTrace(seed)
      expect(await ringTrace(seed)).toBe(hash)
      hashes.add(hash)
    }
    expect(hashes.size).toBe(20)
  })

  test('gives numbers that are spread as they say', () => {
    const random = new SeededRandom(5)
    const count = 20_000
    const mean = (draw: () => number): number => {
      let sum = 0
      for (let drawn = 0; drawn < count; drawn += 1) sum += draw()
      return sum / count
    }
    expect(mean(() => random.uniform())).toBeCloseTo(0.5, 1)
    expect(mean(() => random.exponential(10)) / 10).toBeCloseTo(1, 1)
    expect(mean(() => (random.chance(0.02) ? 1 : 0))).toBeCloseTo(0.02, 2)
    expect(mean(() => random.between(4, 6))).toBeCloseTo(5, 1)
    const seen = new Set(Array.from({ length: 200 }, () => random.pick(['x', 'y', 'z'])))
    expect([...seen].sort()).toEqual(['x', 'y', 'z'])
    expect(new Set(random.bytes(2000)).size).toBe(256)
    expect(random.exponential(0)).toBe(0)
  })

  test('gives each part its own numbers', () => {
    const one = new SeededRandom(9)
    const other = new SeededRandom(9)
    const [part, twin] = [one.fork(), other.fork()]
    part.uniform()
    expect(one.uniform()).toBe(other.uniform())
    twin.uniform()
    expect(part.uniform()).toBe(twin.uniform())
  })
})
