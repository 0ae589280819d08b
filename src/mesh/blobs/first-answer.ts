/**
 * @module One question to several members, one after the other: the next one is asked when one fails, or is slow to
 * answer; the first answer counts.
 */
import type { Time } from '../../metadata/log/etcd/time.ts'

export interface Race<T> {
  readonly ask: (member: number) => Promise<T>
  /** An answer that came too late. */
  readonly drop: (answer: T) => void
  /** After so long the next member is asked, ms. */
  readonly hedgeMs: number
  readonly time: Time
}

/** Why no member has answered, each with its error. */
export class NoAnswer extends Error {
  readonly errors: readonly unknown[]

  constructor(errors: readonly unknown[]) {
    super('no member has answered', { cause: errors[0] })
    this.name = 'NoAnswer'
    this.errors = errors
  }
}

/** Rejects with NoAnswer when all have failed. */
export function firstAnswer<T>(
  members: readonly number[],
  { ask, drop, hedgeMs, time }: Race<T>,
): Promise<{ readonly member: number; readonly answer: T }> {
  return new Promise((resolve, reject) => {
    const errors: unknown[] = []
    let asked = 0
    let isOver = false
    let cancel: () => void = () => undefined
    const fail = (error: unknown) => {
      errors.push(error)
      if (isOver) return
      if (asked < members.length) next()
      else if (errors.length === members.length) end(() => reject(new NoAnswer(errors)))
    }
    const end = (settle: () => void) => {
      isOver = true
      cancel()
      settle()
    }
    const next = () => {
      cancel()
      const member = members[asked]!
      asked += 1
      ask(member).then((answer) => {
        if (isOver) drop(answer)
        else end(() => resolve({ member, answer }))
      }, fail)
      if (asked < members.length) cancel = time.after(hedgeMs, next)
    }
    if (members.length === 0) reject(new NoAnswer([]))
    else next()
  })
}
