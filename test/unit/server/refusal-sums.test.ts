/** @module Refusals that are repeated are a line a minute, and every one of them is counted. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { AuditRecord } from '../../../src/observability/audit.ts'
import { RefusalSums } from '../../../src/server/refusal-sums.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function sumsOf() {
  const lines: AuditRecord[] = []
  const sums = new RefusalSums((record) => lines.push(record), Date.now)
  return {
    sums,
    lines,
    refuse: (address: string, reason = 'no-credentials', user = '') =>
      sums.add({ action: 'pull', decision: 'refused', user, via: 'none', address, reason }),
    counted: () => lines.reduce((all, { count = 1 }) => all + count, 0),
  }
}

test('a day of refusals from one client is a line a minute', () => {
  const { sums, lines, refuse, counted } = sumsOf()
  const minutes = 24 * 60
  for (let minute = 0; minute < minutes; minute += 1) {
    for (let index = 0; index < 100; index += 1) refuse(`2001:db8:1:1::${index.toString(16)}`)
    vi.advanceTimersByTime(60_000)
  }
  sums.close()
  expect(counted()).toBe(minutes * 100)
  expect(lines.length).toBeLessThanOrEqual(minutes + 64)
  expect(lines.at(-1)).toEqual({
    ...{ action: 'pull', decision: 'refused', user: '', via: 'none', reason: 'no-credentials' },
    ...{ address: '2001:db8:1:1::63', count: 100, since: expect.any(String) },
  })
})

test('other clients, other reasons and other users are lines of their own', () => {
  const { lines, refuse } = sumsOf()
  for (let index = 0; index < 500; index += 1) refuse('192.0.2.1')
  const before = lines.length
  refuse('192.0.2.2')
  refuse('192.0.2.1', 'throttled')
  refuse('192.0.2.1', 'wrong-credentials', 'alice')
  expect(lines.length - before).toBe(3)
})

test('what is counted is written at the end, and after an hour of quiet each is a line again', () => {
  const { sums, lines, refuse, counted } = sumsOf()
  for (let index = 0; index < 100; index += 1) refuse('192.0.2.1')
  expect(lines).toHaveLength(64)
  vi.advanceTimersByTime(2 * 60 * 60 * 1000)
  expect(lines.at(-1)).toMatchObject({ count: 36 })
  refuse('192.0.2.1')
  expect(lines.at(-1)).not.toHaveProperty('count')
  for (let index = 0; index < 70; index += 1) refuse('192.0.2.1')
  sums.close()
  expect(counted()).toBe(171)
})

test('more kinds than are remembered are summed up by reason', () => {
  const { sums, lines, refuse, counted } = sumsOf()
  for (let index = 0; index < 10_000; index += 1) refuse(`10.0.${index >> 8}.${index & 255}`)
  for (let index = 0; index < 5_000; index += 1) refuse(`10.1.${index >> 8}.${index & 255}`)
  sums.close()
  expect(counted()).toBe(15_000)
  expect(lines.length).toBe(10_000 + 64 + 1)
  expect(lines.at(-1)!.address).toBeUndefined()
})
