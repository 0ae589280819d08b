/** @module The gate of a class: its rate, its window after refusals, and who goes first. */
import { describe, expect, test } from 'vitest'
import { Gate, type Leave } from '../../../src/upstream/gate.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const settled = () => new Promise((resolve) => setImmediate(resolve))

function gateOf(perSecond: number, windowMax = 8) {
  const clock = new FakeClock()
  const gate = new Gate({ perSecond, clock, windowMax: () => windowMax })
  const entered: string[] = []
  const leaves: Leave[] = []
  const enter = (name: string, by: 'pull' | 'sync' = 'sync', signal?: AbortSignal) =>
    gate.enter(by, 60_000, signal).then((leave) => {
      entered.push(leave === undefined ? `${name} gave up` : name)
      if (leave !== undefined) leaves.push(leave)
    })
  return { clock, gate, entered, leaves, enter }
}

describe('without a rate', () => {
  test('nobody waits until something is refused', async () => {
    const { entered, enter } = gateOf(0)
    for (let index = 0; index < 100; index += 1) void enter(String(index))
    await settled()
    expect(entered).toHaveLength(100)
  })

  test('refusals of one time make the window half, once', async () => {
    const { gate, leaves, enter } = gateOf(0)
    for (let index = 0; index < 8; index += 1) void enter(String(index))
    await settled()
    for (const leave of leaves.splice(0, 6)) leave('congested')
    expect(gate.window).toBe(4)
    for (const leave of leaves.splice(0)) leave('unheard')
    void enter('later')
    await settled()
    leaves.pop()!('congested')
    expect(gate.window).toBe(1)
  })

  test('refusals of what did not enter count as well, once', async () => {
    const { gate, enter } = gateOf(0)
    for (let index = 0; index < 8; index += 1) void enter(String(index))
    await settled()
    gate.refused()
    gate.refused()
    expect(gate.window).toBe(4)
  })

  test('a window that is never below one grows by one for each window of good answers, then ends', async () => {
    const { gate, leaves, enter } = gateOf(0, 3)
    void enter('first')
    await settled()
    leaves.pop()!('congested')
    const windows: number[] = []
    for (let index = 0; index < 5; index += 1) {
      windows.push(gate.window)
      void enter('next')
      await settled()
      leaves.pop()!('good')
    }
    expect(windows.slice(0, 2)).toEqual([1, 2])
    expect(gate.window).toBe(Number.POSITIVE_INFINITY)
  })

  test('pulls do not wait for the window of syncs', async () => {
    const { entered, leaves, enter } = gateOf(0)
    void enter('first')
    await settled()
    leaves.pop()!('congested')
    void enter('holds')
    void enter('sync')
    for (const name of ['pull', 'another']) void enter(name, 'pull')
    await settled()
    expect(entered).toEqual(['first', 'holds', 'pull', 'another'])
    leaves[1]!('unheard')
    await settled()
    expect(entered).not.toContain('sync')
    leaves[0]!('unheard')
    await settled()
    expect(entered).toContain('sync')
  })

  test('whoever gives up is not waited for', async () => {
    const { entered, leaves, enter } = gateOf(0)
    void enter('first')
    await settled()
    leaves.pop()!('congested')
    const controller = new AbortController()
    void enter('holds')
    void enter('gone', 'sync', controller.signal)
    void enter('last')
    await settled()
    controller.abort()
    await settled()
    expect(entered).toEqual(['first', 'holds', 'gone gave up'])
    leaves.pop()!('unheard')
    await settled()
    expect(entered.at(-1)).toBe('last')
  })
})

describe('with a rate', () => {
  test('a quarter of a second may be saved up, and at least one', async () => {
    const fast = gateOf(40)
    for (let index = 0; index < 20; index += 1) void fast.enter(String(index))
    const slow = gateOf(4)
    for (let index = 0; index < 20; index += 1) void slow.enter(String(index))
    await settled()
    expect([fast.entered.length, slow.entered.length]).toEqual([10, 1])
  })

  test('of two rates the smaller one holds', async () => {
    const { gate, entered, enter } = gateOf(0)
    gate.lower(8)
    gate.lower(0)
    gate.lower(40)
    for (let index = 0; index < 9; index += 1) void enter(String(index))
    await settled()
    expect(entered).toHaveLength(2)
  })

  test('a pull goes before a sync that has waited longer', async () => {
    const { clock, entered, enter } = gateOf(20)
    for (let index = 0; index < 5; index += 1) void enter(String(index))
    void enter('sync')
    void enter('pull', 'pull')
    await settled()
    expect(entered).toHaveLength(5)
    clock.advance(50)
    await expect.poll(() => entered.length).toBe(6)
    expect(entered.at(-1)).toBe('pull')
  })

  test('time gives the next turn', async () => {
    const { clock, entered, enter } = gateOf(400)
    for (let index = 0; index < 101; index += 1) void enter(String(index))
    await settled()
    expect(entered).toHaveLength(100)
    clock.advance(1000)
    await expect.poll(() => entered.length).toBe(101)
  })
})

test('of a rate that three have together each sends its part', async () => {
  const clock = new FakeClock()
  const gate = new Gate({ perSecond: 3, clock, windowMax: () => 8, sharers: () => 3 })
  const entered: number[] = []
  const seconds = 6
  for (let second = 0; second < seconds; second += 1) {
    const asked = Array.from({ length: 3 }, () => gate.enter('pull', 1, undefined))
    for (const leave of await Promise.all(asked)) if (leave !== undefined) entered.push(second)
    clock.advance(1_000)
  }
  // One a second, and what was saved up at the beginning.
  expect(entered.length).toBeLessThanOrEqual(seconds + 3)
  expect(entered.length).toBeGreaterThanOrEqual(seconds)
})
