/**
 * @module The main thread's side of the pager: requests of one turn travel in one message. It also
 * remembers which metadata values were read lately, because those are resident and need no trip.
 */
import type { MessagePort } from 'node:worker_threads'
import { type PagerReply, type PagerRequest, WorkerError } from '../runtime/worker-messages.ts'
import type { LongTask } from '../runtime/worker-pool.ts'
import { RecentSet } from './recent-set.ts'

/** Values that are remembered as read lately: two generations of this many keys. */
const recentValuesMax = 32_768

interface Waiting {
  readonly resolve: (address: bigint) => void
  readonly reject: (error: Error) => void
}

/** What is left of a request kind when its `id` is the pager's to give. */
type Numbered = Exclude<PagerRequest, { kind: 'unmap' }>
type Unnumbered<R> = R extends { readonly id: number } ? Omit<R, 'id'> : never

export class Pager {
  readonly #port: MessagePort
  readonly #waiting = new Map<number, Waiting>()
  readonly #recentValues = new RecentSet(recentValuesMax)
  #queue: PagerRequest[] = []
  #nextId = 1
  #gone: Error | undefined

  /** `task` runs `workers/pager.ts`. */
  constructor(task: LongTask) {
    this.#port = task.port
    this.#port.on('message', (replies: readonly PagerReply[]) => {
      for (const reply of replies) this.#onReply(reply)
    })
    task.ended.catch((error: unknown) => this.#onGone(new Error(`pager ended: ${String(error)}`)))
  }

  /** Maps a blob file whose length must be `sizeBytes`; its first `populateBytes` are resident. */
  map(path: string, sizeBytes: number, populateBytes: number): Promise<bigint> {
    return this.#ask({ kind: 'map', path, sizeBytes, populateBytes })
  }

  /** Makes a page-aligned part of a mapping resident. Rejects when the disk cannot deliver it. */
  async populate(address: bigint, length: number): Promise<void> {
    await this.#ask({ kind: 'populate', address, length })
  }

  /** Takes a mapping away. The caller has no view of it any more. */
  unmap(address: bigint, length: number): void {
    this.#post({ kind: 'unmap', address, length })
  }

  /** See `MetadataReader.touch`. */
  touch(database: 'manifestBytes' | 'blobBytes', key: string): Promise<void> | undefined {
    if (this.#recentValues.has(key)) return undefined
    return this.#ask({ kind: 'touch', database, key }).then(() => this.#recentValues.add(key))
  }

  #ask(request: Unnumbered<Numbered>): Promise<bigint> {
    if (this.#gone !== undefined) return Promise.reject(this.#gone)
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#post({ ...request, id } as Numbered)
    })
  }

  #post(request: PagerRequest): void {
    if (this.#queue.length === 0) {
      setImmediate(() => {
        const requests = this.#queue
        this.#queue = []
        this.#port.postMessage(requests)
      })
    }
    this.#queue.push(request)
  }

  #onReply(reply: PagerReply): void {
    const waiting = this.#waiting.get(reply.id)!
    this.#waiting.delete(reply.id)
    if (reply.kind === 'failed') waiting.reject(new WorkerError(reply.failure))
    else waiting.resolve(reply.kind === 'mapped' ? reply.address : 0n)
  }

  #onGone(error: Error): void {
    this.#gone = error
    for (const waiting of this.#waiting.values()) waiting.reject(error)
    this.#waiting.clear()
  }

  close(): void {
    this.#port.close()
  }
}
