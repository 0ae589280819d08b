import { expect, test } from 'vitest'
import { judgeGrowth, type Sample } from '../../../bench/soak/growth.ts'

const flat: Sample = { anonMiB: 100, descriptors: 60, mappedMiB: 90, openUploads: 12, p99Ms: 3 }

const bad = (samples: readonly Sample[]) =>
  judgeGrowth(samples)
    .filter(({ isBad }) => isBad)
    .map(({ what }) => what)

test('what stays as it is has not grown, whatever the first quarter was', () => {
  const cold = { ...flat, anonMiB: 20 }
  expect(bad([...Array(10).fill(cold), ...Array(30).fill(flat)])).toEqual([])
})

test.each([
  ['anonMiB', 2],
  ['descriptors', 2],
  ['mappedMiB', 2],
  ['openUploads', 2],
  ['p99Ms', 2],
] as const)('%s that rises all the time is seen', (what, step) => {
  const samples = Array.from({ length: 80 }, (_, index) => ({
    ...flat,
    [what]: flat[what] + step * index,
  }))
  expect(bad(samples)).toEqual([what])
})

test('a handful of samples says nothing', () => {
  expect(() => judgeGrowth([flat, flat, flat])).toThrow(/too few/)
})
