/**
 * @module Passwords on their way to the worker: one at a time for each address in turn, so that a
 * flood from one place does not make others wait for it; bounded for each and in all. After a wrong
 * password its address rests, so that nobody keeps a processor busy by guessing.
 */
import type { Clock } from '../runtime/clock.ts'
import { SupervisedTask } from '../runtime/supervised-task.ts'
import type { PasswordReply, PasswordRequest } from '../runtime/worker-messages.ts'
import type { LongTask } from '../runtime/worker-pool.ts'
import { LoginPutOff } from './login-put-off.ts'

/** Checks that wait, of one address and in all. */
const waitingPerAddressMax = 32
const waitingMax = 2_000

/** Of an address that was wrong within the last ten seconds: its rests would add up. */
const waitingSuspectMax = 4
const suspectMs = 10_000

/** Rest after a wrong password, in times of what its check has taken: a fifth of one processor. */
const restFactor = 4

/** Addresses at rest that are remembered. */
const restingMax = 10_000

interface Waiting {
  readonly address: string
  readonly password: string
  readonly hash: string
  startedAt: number
  readonly resolve: (isRight: boolean) => void
  readonly reject: (error: Error) => void
}

export class PasswordQueue {
  readonly #task: SupervisedTask<PasswordRequest, PasswordReply>
  /** In the order of their turns. */
  readonly #byAddress = new Map<string, Waiting[]>()
  #waitingCount = 0
  #current: Waiting | undefined
  #lastId = 0
  readonly #clock: Pick<Clock, 'monotonic'>
  /** Until when an address rests, or rested. */
  readonly #restUntil = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined

  /** `start` runs `workers/password.ts`; it is run again if it dies. */
  constructor(start: () => LongTask, clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
    this.#task = new SupervisedTask(start, {
      onReply: ({ id, isRight }) => {
        if (id !== this.#lastId) return
        if (this.#current !== undefined) this.#rest(this.#current, isRight)
        this.#settle((waiting) => waiting.resolve(isRight))
      },
      onDown: () => this.#settle((waiting) => waiting.reject(busy())),
    })
  }

  /** Rejects with LoginPutOff when too many wait, or when the worker is down. */
  check(password: string, hash: string, address: string): Promise<boolean> {
    const queue = this.#byAddress.get(address) ?? []
    const max = this.#isSuspect(address) ? waitingSuspectMax : waitingPerAddressMax
    if (queue.length >= max || this.#waitingCount >= waitingMax) {
      return Promise.reject(busy())
    }
    return new Promise((resolve, reject) => {
      queue.push({ address, password, hash, startedAt: 0, resolve, reject })
      this.#byAddress.set(address, queue)
      this.#waitingCount += 1
      this.#next()
    })
  }

  close(): Promise<void> {
    clearTimeout(this.#timer)
    return this.#task.close()
  }

  #settle(how: (waiting: Waiting) => void): void {
    const current = this.#current
    this.#current = undefined
    if (current !== undefined) how(current)
    this.#next()
  }

  #isSuspect(address: string): boolean {
    const until = this.#restUntil.get(address)
    return until !== undefined && this.#clock.monotonic() < until + suspectMs
  }

  #rest({ address, startedAt }: Waiting, isRight: boolean): void {
    const now = this.#clock.monotonic()
    this.#restUntil.delete(address)
    if (isRight) return
    if (this.#restUntil.size >= restingMax) {
      this.#restUntil.delete(this.#restUntil.keys().next().value!)
    }
    this.#restUntil.set(address, now + restFactor * (now - startedAt))
    const queue = this.#byAddress.get(address) ?? []
    for (const waiting of queue.splice(waitingSuspectMax)) {
      this.#waitingCount -= 1
      waiting.reject(busy())
    }
  }

  /** The address whose turn it is; when all of them rest, it is looked for again at the first end. */
  #firstRested(): [string, Waiting[]] | undefined {
    const now = this.#clock.monotonic()
    let soonest = Number.POSITIVE_INFINITY
    for (const entry of this.#byAddress) {
      const until = this.#restUntil.get(entry[0]) ?? 0
      if (until <= now) return entry
      soonest = Math.min(soonest, until)
    }
    clearTimeout(this.#timer)
    if (soonest !== Number.POSITIVE_INFINITY) {
      this.#timer = setTimeout(() => this.#next(), soonest - now)
    }
    return undefined
  }

  #next(): void {
    if (this.#current !== undefined) return
    const found = this.#firstRested()
    if (found === undefined) return
    const [address, queue] = found
    const waiting = queue.shift()!
    this.#waitingCount -= 1
    // To the end of the line: the next address has its turn first.
    this.#byAddress.delete(address)
    if (queue.length > 0) this.#byAddress.set(address, queue)
    this.#current = waiting
    waiting.startedAt = this.#clock.monotonic()
    this.#lastId += 1
    const { password, hash } = waiting
    if (!this.#task.post({ id: this.#lastId, password, hash })) {
      this.#settle((one) => one.reject(busy()))
    }
  }
}

function busy(): LoginPutOff {
  return new LoginPutOff('busy', 'too many passwords are being checked; try again later', 2)
}
