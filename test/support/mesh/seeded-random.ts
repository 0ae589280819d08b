/**
 * @module Random numbers that a seed decides: sfc32, small, and the same on every machine. One stream for
 * each part of a simulation (`fork`), so that a fault that draws once more does not change all the rest.
 */
import assert from 'node:assert/strict'
import type { Random } from '../../../src/runtime/random.ts'

export class SeededRandom implements Random {
  #a: number
  #b: number
  #c: number
  #count = 1

  /** `seed` is taken as 32 bits. */
  constructor(seed: number) {
    const mix = splitMix(seed | 0)
    this.#a = mix()
    this.#b = mix()
    this.#c = mix()
    for (let round = 0; round < 12; round += 1) this.#next()
  }

  /** 0 up to, but without, 1. */
  uniform(): number {
    return this.#next() / 4_294_967_296
  }

  /** `low` up to, but without, `high`. */
  between(low: number, high: number): number {
    return low + this.uniform() * (high - low)
  }

  /** A whole number: 0 up to, but without, `count`. */
  below(count: number): number {
    assert(Number.isInteger(count) && count > 0 && count <= 2 ** 32, 'a count from 1 to 2^32')
    return Math.floor(this.uniform() * count)
  }

  /** Many short ones and few long ones; 0 when the mean is 0. */
  exponential(mean: number): number {
    return mean === 0 ? 0 : -mean * Math.log(1 - this.uniform())
  }

  /** True in a share of 0 to 1 of the calls. Draws nothing when the share is 0. */
  chance(share: number): boolean {
    return share > 0 && this.uniform() < share
  }

  pick<T>(all: readonly T[]): T {
    assert(all.length > 0, 'something to pick from')
    return all[this.below(all.length)] as T
  }

  /** Another stream, which depends on the draws up to here and on nothing later. */
  fork(): SeededRandom {
    return new SeededRandom(this.#next())
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.#next() & 0xff)
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#count) | 0
    this.#count = (this.#count + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    this.#c |= 0
    return sum >>> 0
  }
}

/** Spreads a seed: neighbours get streams that have nothing in common. */
function splitMix(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x9e3779b9) | 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return mixed ^ (mixed >>> 15)
  }
}
