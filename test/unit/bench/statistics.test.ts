/**
 * @module Percentiles, medians, and what becomes of several rounds.
 */
import { describe, expect, test } from 'vitest'
import { latencyMetrics, median, overRounds, percentile } from '../../../bench/statistics.ts'

describe('percentile', () => {
  test('takes the nearest rank of values in any order', () => {
    const values = Array.from({ length: 100 }, (_, index) => 100 - index)
    expect(percentile(values, 50)).toBe(50)
    expect(percentile(values, 99)).toBe(99)
    expect(percentile(values, 100)).toBe(100)
  })

  test('of one value is that value, of nothing is not a number', () => {
    expect(percentile([7], 99.9)).toBe(7)
    expect(percentile([], 50)).toBeNaN()
  })
})

test('median is the middle, or the mean of two', () => {
  expect(median([3, 1, 2])).toBe(2)
  expect(median([4, 1, 3, 2])).toBe(2.5)
})

test('rounds become medians, but the worst of errors and of memory', () => {
  const rounds = [
    { rate: 10, errors: 0, peakAnonMiB: 50 },
    { rate: 30, errors: 2, peakAnonMiB: 70 },
    { rate: 20, errors: 0, peakAnonMiB: 60, loopMsP99: Number.NaN },
  ]
  expect(overRounds(rounds)).toEqual({ rate: 20, errors: 2, peakAnonMiB: 70 })
})

test('latencies are named by their percentile, with a prefix where there is one', () => {
  expect(latencyMetrics([1, 2, 3])).toEqual({ p50Ms: 2, p99Ms: 3, p999Ms: 3 })
  expect(Object.keys(latencyMetrics([1], 'ttfb'))).toEqual(['ttfbP50Ms', 'ttfbP99Ms', 'ttfbP999Ms'])
})
