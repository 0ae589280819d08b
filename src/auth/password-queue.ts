/**
 * @module Passwords on their way to the worker: one at a time for each address in turn, so that a
 * flood from one place does not make others wait for it; bounded for each and in all.
 */
import { RegistryError } from '../registry/errors.ts'
import { SupervisedTask } from '../runtime/supervised-task.ts'
import type { PasswordReply, PasswordRequest } from '../runtime/worker-messages.ts'
import type { LongTask } from '../runtime/worker-pool.ts'

/** Checks that wait, of one address and in all. */
const waitingPerAddressMax = 32
const waitingMax = 2_000

interface Waiting {
  readonly password: string
  readonly hash: string
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

  /** `start` runs `workers/password.ts`; it is run again if it dies. */
  constructor(start: () => LongTask) {
    this.#task = new SupervisedTask(start, {
      onReply: ({ id, isRight }) => {
        if (id === this.#lastId) this.#settle((waiting) => waiting.resolve(isRight))
      },
      onDown: () => this.#settle((waiting) => waiting.reject(busy())),
    })
  }

  /** Rejects with UNAVAILABLE when too many wait, or when the worker is down. */
  check(password: string, hash: string, address: string): Promise<boolean> {
    const queue = this.#byAddress.get(address) ?? []
    if (queue.length >= waitingPerAddressMax || this.#waitingCount >= waitingMax) {
      return Promise.reject(busy())
    }
    return new Promise((resolve, reject) => {
      queue.push({ password, hash, resolve, reject })
      this.#byAddress.set(address, queue)
      this.#waitingCount += 1
      this.#next()
    })
  }

  close(): Promise<void> {
    return this.#task.close()
  }

  #settle(how: (waiting: Waiting) => void): void {
    const current = this.#current
    this.#current = undefined
    if (current !== undefined) how(current)
    this.#next()
  }

  #next(): void {
    if (this.#current !== undefined) return
    const [address, queue] = this.#byAddress.entries().next().value ?? []
    if (address === undefined || queue === undefined) return
    const waiting = queue.shift()!
    this.#waitingCount -= 1
    // To the end of the line: the next address has its turn first.
    this.#byAddress.delete(address)
    if (queue.length > 0) this.#byAddress.set(address, queue)
    this.#current = waiting
    this.#lastId += 1
    const { password, hash } = waiting
    if (!this.#task.post({ id: this.#lastId, password, hash })) {
      this.#settle((one) => one.reject(busy()))
    }
  }
}

function busy(): RegistryError {
  return new RegistryError('UNAVAILABLE', {
    message: 'too many passwords are being checked; try again later',
    headers: { 'Retry-After': '2' },
  })
}
