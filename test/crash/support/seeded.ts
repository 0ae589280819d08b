/**
 * @module Chance that replays: every draw hangs on a path (seed, cycle, client, number of the
 * operation), so an operation draws the same whatever the others did before it.
 */
import { createCipheriv, createHash } from 'node:crypto'

export class Seeded {
  readonly path: string
  #a: number
  #b: number
  #c: number
  #count = 1

  constructor(...path: readonly (string | number)[]) {
    this.path = path.join('/')
    const hash = createHash('sha256').update(this.path).digest()
    this.#a = hash.readUInt32LE(0)
    this.#b = hash.readUInt32LE(4)
    this.#c = hash.readUInt32LE(8)
    for (let round = 0; round < 12; round += 1) this.next()
  }

  /** At least 0, below 1 (sfc32). */
  next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#count) | 0
    this.#count = (this.#count + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    return (sum >>> 0) / 2 ** 32
  }

  /** A whole number from `low` to `high`, both possible. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.next() * items.length)]!
  }

  /** One of the items by its name: another item more or less seldom changes which. */
  pickNamed<T>(items: readonly T[], nameOf: (item: T) => string): T | undefined {
    const salt = this.next()
    let best: T | undefined
    let bestRank = Number.POSITIVE_INFINITY
    for (const item of items) {
      const rank = createHash('md5')
        .update(`${salt}${nameOf(item)}`)
        .digest()
        .readUInt32LE(0)
      if (rank >= bestRank) continue
      best = item
      bestRank = rank
    }
    return best
  }

  /** One of the names, each as often as its weight says. */
  weighted<N extends string>(weights: Readonly<Record<N, number>>): N {
    const names = Object.keys(weights) as N[]
    let left = this.next() * names.reduce((sum, name) => sum + weights[name], 0)
    for (const name of names) {
      left -= weights[name]
      if (left < 0) return name
    }
    return names[0]!
  }
}

/** Bytes that only their name and size decide. */
export function contentOf(name: string, sizeBytes: number): Buffer {
  const key = createHash('sha256').update(name).digest().subarray(0, 16)
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(sizeBytes))
}
