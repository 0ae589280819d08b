/**
 * @module Callers that wait until an index is reached, in the order of the indexes, for a bounded time.
 */
import { RegistryError } from '../registry/errors.ts'

/** Longest wait, ms: a dead member is put out sooner. */
const waitMsMax = 5_000

interface Waiter {
  readonly index: number
  readonly until: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export class Waiters {
  /** By index: who comes later mostly waits for more. */
  #waiting: Waiter[] = []

  /** Resolves when the index is reached; rejects with LOG_SILENT after five seconds. */
  add(index: number, now: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter = { index, until: now + waitMsMax, resolve, reject }
      let at = this.#waiting.length
      while (at > 0 && this.#waiting[at - 1]!.index > index) at -= 1
      this.#waiting.splice(at, 0, waiter)
    })
  }

  reach(index: number): void {
    let count = 0
    while (count < this.#waiting.length && this.#waiting[count]!.index <= index) count += 1
    if (count === 0) return
    const reached = this.#waiting
    this.#waiting = reached.slice(count)
    for (let at = 0; at < count; at += 1) reached[at]!.resolve()
  }

  /** Ends the waits that are too long. */
  expire(now: number): void {
    if (!this.#waiting.some(({ until }) => until <= now)) return
    const all = this.#waiting
    this.#waiting = all.filter(({ until }) => until > now)
    for (const waiter of all)
      if (waiter.until <= now) waiter.reject(new RegistryError('LOG_SILENT'))
  }

  refuse(error: Error): void {
    const all = this.#waiting
    this.#waiting = []
    for (const { reject } of all) reject(error)
  }
}
