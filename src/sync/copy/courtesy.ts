/**
 * @module What all copies together take of the main thread while clients ask much: a request of a copy costs it as
 * much as some of theirs. So copies fetch one manifest or blob for so many that were answered, and at least a few a
 * second. What lists and compares goes on meanwhile.
 * The more a machine can do for clients, the more it does for copies; without clients nothing is held back.
 */
import type { Clock } from '../../runtime/clock.ts'

/** Answers a second below which clients leave room for copies by themselves. */
const busyPerSecond = 500

/**
 * Answers to clients for one request of a copy. With its hashing, its rows and their flush it takes 60 to 160 small
 * answers from two cores: so copies take less than a fifth.
 */
const answersPerRequest = 800

/** Requests of copies a second that go on beside any load. */
const leastPerSecond = 50

/** Answers are counted over at least so long, ms. */
const windowMs = 100

export class Courtesy {
  readonly #answered: () => number
  readonly #clock: Pick<Clock, 'monotonic'>
  #seenAt: number
  #seen: number
  #perSecond = 0
  /** When the next request may be made, ms on the monotonic clock. */
  #freeAt = 0

  /** `answered`: requests of clients that were answered so far. */
  constructor(answered: () => number, clock: Pick<Clock, 'monotonic'>) {
    this.#answered = answered
    this.#clock = clock
    this.#seenAt = clock.monotonic()
    this.#seen = answered()
  }

  /** Takes `count` requests; returns how long to wait before they are made, ms. */
  take(count: number): number {
    const now = this.#clock.monotonic()
    const answersPerSecond = this.#measure(now)
    if (answersPerSecond < busyPerSecond) {
      this.#freeAt = now
      return 0
    }
    const perSecond = Math.max(leastPerSecond, answersPerSecond / answersPerRequest)
    const at = Math.max(now, this.#freeAt)
    this.#freeAt = at + (count * 1_000) / perSecond
    return Math.ceil(at - now)
  }

  #measure(now: number): number {
    const ms = now - this.#seenAt
    if (ms < windowMs) return this.#perSecond
    const answered = this.#answered()
    this.#perSecond = ((answered - this.#seen) * 1_000) / ms
    this.#seen = answered
    this.#seenAt = now
    return this.#perSecond
  }
}
