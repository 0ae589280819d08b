/**
 * @module Seeded randomness (mulberry32): the same run draws the same sizes and orders.
 */

/** Numbers in [0, 1). */
export type Draw = () => number

export function seededDraw(seed: number): Draw {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A log-normal value: `median` times e to the power of `sigma` times a standard normal. */
export function logNormal(draw: Draw, median: number, sigma: number): number {
  const radius = Math.sqrt(-2 * Math.log(1 - draw()))
  return median * Math.exp(sigma * radius * Math.cos(2 * Math.PI * draw()))
}

/** A new array in random order (Fisher and Yates). */
export function shuffled<T>(values: readonly T[], draw: Draw): T[] {
  const result = [...values]
  for (let index = result.length - 1; index > 0; index -= 1) {
    const other = Math.floor(draw() * (index + 1))
    const kept = result[index]!
    result[index] = result[other]!
    result[other] = kept
  }
  return result
}
