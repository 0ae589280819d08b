/**
 * @module The main thread's side of the pager: requests of one turn travel in one message. It also
 * remembers which metadata values were read lately, because those are resident and need no trip.
 */

import type { Digest } from '../../registry/digest.ts'
import { RecentSet } from '../../runtime/recent-set.ts'
import { SupervisedTask } from '../../runtime/supervised-task.ts'
import { WorkerError } from '../../runtime/worker-failure.ts'
import type { LongTask } from '../../runtime/worker-pool.ts'
import type { Promised } from '../driver.ts'
import type { Extent } from './address-space.ts'
import type { OpenedFile, PagerReply, PagerRequest, ValueTable } from './worker/messages.ts'

/** Values that are remembered as read lately: two generations of this many keys. */
const recentValuesMax = 32_768

interface Waiting {
  /** With what a file was when it was mapped. */
  readonly resolve: (file: OpenedFile | undefined) => void
  readonly reject: (error: Error) => void
}

/** What is left of a request kind when its `id` is the pager's to give. */
type Numbered = Exclude<PagerRequest, { kind: 'vacate' | 'unmap' }>
type Unnumbered<R> = R extends { readonly id: number } ? Omit<R, 'id'> : never

export class Pager {
  readonly #task: SupervisedTask<readonly PagerRequest[], readonly PagerReply[]>
  readonly #waiting = new Map<number, Waiting>()
  readonly #recentValues = new RecentSet(recentValuesMax)
  #queue: PagerRequest[] = []
  #nextId = 1

  /** `start` runs `workers/pager.ts`; it is run again if it dies. */
  constructor(start: () => LongTask) {
    this.#task = new SupervisedTask(start, {
      onReply: (replies) => {
        for (const reply of replies) this.#onReply(reply)
      },
      onDown: (error) => this.#onDown(error),
    })
  }

  /**
   * Maps a blob file into an extent, which is the caller's to give back, also when this fails; its first
   * `populateBytes` are resident. Resolves to what the file is. Rejects with `EDAMAGED` when its length
   * is not the row's, or when it was written to after its row was made and is not its digest.
   */
  async map(
    { address }: Extent,
    path: string,
    digest: Digest,
    { sizeBytes, createdAt }: Promised,
    populateBytes: number,
  ): Promise<OpenedFile> {
    const what = {
      address,
      path,
      digest,
      sizeBytes,
      writtenBefore: createdAt,
      populateBytes,
    }
    return (await this.#ask({ kind: 'map', ...what }))!
  }

  /** Reads a whole file into the slot that begins at `slotOffset`. Rejects as `map` does. */
  async read(
    path: string,
    digest: Digest,
    { sizeBytes, createdAt }: Promised,
    slotOffset: number,
  ): Promise<void> {
    await this.#ask({ kind: 'read', path, digest, sizeBytes, writtenBefore: createdAt, slotOffset })
  }

  /** Maps a file that is still being written to, with `sizeBytes`, as `map` does. */
  async mapGrowing({ address }: Extent, path: string, sizeBytes: number): Promise<void> {
    const file = { path, digest: undefined, sizeBytes, writtenBefore: undefined }
    await this.#ask({ kind: 'map', address, ...file, populateBytes: 0 })
  }

  /** Compares a file that was written to after its row was made with its digest, as `map` does. */
  async verify(path: string, digest: Digest, { createdAt }: Promised): Promise<void> {
    await this.#ask({ kind: 'verify', path, digest, writtenBefore: createdAt })
  }

  /** Rejects with `EDAMAGED` when somebody wrote to the file since it was opened. */
  async check(file: OpenedFile): Promise<void> {
    await this.#ask({ kind: 'check', file })
  }

  /**
   * Makes a page-aligned part of a mapping resident, and checks the file as above. `startBytes` are asked of
   * the disk, before the part is waited for. Rejects when the disk cannot deliver it.
   */
  async populate(
    file: OpenedFile | undefined,
    address: bigint,
    { length, startBytes }: { readonly length: number; readonly startBytes: number },
  ): Promise<void> {
    await this.#ask({ kind: 'populate', file, address, length, startBytes })
  }

  /**
   * Takes away what is mapped in an extent, `length` bytes from its start, before whatever is asked next. The
   * caller reads there no more.
   */
  unmap({ address, isWhole }: Extent, length: number): void {
    this.#post({ kind: isWhole ? 'unmap' : 'vacate', address, length })
  }

  /** See `MetadataReader.pageIn`. */
  pageIn(database: ValueTable, key: string): Promise<void> | undefined {
    if (this.#recentValues.has(key)) return undefined
    return this.#ask({ kind: 'page-in', database, key }).then(() => this.#recentValues.add(key))
  }

  #ask(request: Unnumbered<Numbered>): Promise<OpenedFile | undefined> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#post({ ...request, id } as Numbered)
    })
  }

  #post(request: PagerRequest): void {
    if (this.#queue.length === 0) setImmediate(() => this.#send())
    this.#queue.push(request)
  }

  /**
   * A file whose `vacate` is lost with the worker stays mapped until its extent has the next one; one whose
   * `unmap` is lost stays: address space, not memory.
   */
  #send(): void {
    const requests = this.#queue
    this.#queue = []
    if (!this.#task.post(requests)) this.#onDown(new Error('pager is down'))
  }

  #onReply(reply: PagerReply): void {
    const waiting = this.#waiting.get(reply.id)!
    this.#waiting.delete(reply.id)
    if (reply.kind === 'failed') waiting.reject(new WorkerError(reply.failure))
    else waiting.resolve(reply.kind === 'mapped' ? reply.file : undefined)
  }

  #onDown(error: Error): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error)
    this.#waiting.clear()
  }

  close(): Promise<void> {
    return this.#task.close()
  }
}
