/**
 * @module Signatures on their way to the thread that looks at them. Bounded: what waits holds the bytes of what
 * strangers attached.
 */
import { RegistryError } from '../registry/errors.ts'
import { SupervisedTask } from '../runtime/supervised-task.ts'
import type { LongTask } from '../runtime/worker-pool.ts'
import type { Examined, ExamineReply, ExamineRequest } from './worker/messages.ts'

/** Images that wait or are being looked at: as many as `Signatures` lets in, and some more. */
const waitingMax = 8

interface Waiting {
  resolve(examined: Examined): void
  reject(error: unknown): void
}

export class Examiner {
  readonly #start: () => LongTask
  readonly #waiting = new Map<number, Waiting>()
  /** Most registries are never asked about a signature: the thread starts with the first question. */
  #task: SupervisedTask<ExamineRequest, ExamineReply> | undefined
  #lastId = 0

  /** `start` runs `workers/signature.ts`; it is run again if it dies. */
  constructor(start: () => LongTask) {
    this.#start = start
  }

  /** Rejects with SIGNATURES_BUSY when too many wait or the thread has died. */
  examine(request: Omit<ExamineRequest, 'id'>): Promise<Examined> {
    if (this.#waiting.size >= waitingMax) return Promise.reject(busy())
    this.#task ??= new SupervisedTask(this.#start, {
      onReply: (reply) => this.#settle(reply),
      onDown: () => this.#fail(),
    })
    const id = ++this.#lastId
    if (!this.#task.post({ id, ...request })) return Promise.reject(busy())
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }

  /** Ends the thread; who waits hears SIGNATURES_BUSY. */
  async close(): Promise<void> {
    this.#fail()
    await this.#task?.close()
  }

  #settle({ id, examined, fault }: ExamineReply): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (examined !== undefined) waiting?.resolve(examined)
    // A fault of this program: what asks fails as it does when the thread is gone.
    else waiting?.reject(new RegistryError('SIGNATURES_BUSY', { cause: new Error(fault) }))
  }

  #fail(): void {
    for (const waiting of this.#waiting.values()) waiting.reject(busy())
    this.#waiting.clear()
  }
}

function busy(): RegistryError {
  return new RegistryError('SIGNATURES_BUSY')
}
