/**
 * @module The list of mixed traffic: three pulls for each push, the same for the same seed.
 */
import { expect, test } from 'vitest'
import { makeTraffic } from '../../../bench/macro/traffic.ts'

test('a quarter are pushes, each of content that nobody has pushed before', () => {
  const { stock, operations } = makeTraffic(7, 1000, 5, 40)
  const pushed = operations.flatMap((one) => (one.kind === 'push' ? [one.blob] : []))
  expect(operations).toHaveLength(40)
  expect(pushed).toHaveLength(10)
  expect(new Set([...stock, ...pushed].map(({ digest }) => digest)).size).toBe(15)
})

test('pulls draw from zero to one, and stand between the pushes', () => {
  const { operations } = makeTraffic(7, 1000, 5, 400)
  const draws = operations.flatMap((one) => (one.kind === 'pull' ? [one.draw] : []))
  expect(draws.every((draw) => draw >= 0 && draw < 1)).toBe(true)
  expect(new Set(draws).size).toBeGreaterThan(250)
  const firstHalf = operations.slice(0, 200).filter(({ kind }) => kind === 'push').length
  expect(firstHalf).toBeGreaterThan(30)
  expect(firstHalf).toBeLessThan(70)
})

test('the same seed is the same traffic, another is not', () => {
  expect(makeTraffic(7, 1000, 5, 40)).toEqual(makeTraffic(7, 1000, 5, 40))
  expect(makeTraffic(8, 1000, 5, 40)).not.toEqual(makeTraffic(7, 1000, 5, 40))
})
