/**
 * @module The metadata on LMDB: reads from the memory map on this thread, writes as data to the
 * writer thread. Transactions of one turn of the event loop travel together and share one flush.
 */

import type { Digest } from '../../registry/digest.ts'
import { storageFault } from '../../registry/disk-fault.ts'
import { RegistryError } from '../../registry/errors.ts'
import { nextTurn } from '../../runtime/next-turn.ts'
import { SupervisedTask } from '../../runtime/supervised-task.ts'
import { WorkerError, type WorkerFailure } from '../../runtime/worker-failure.ts'
import type { LongTask } from '../../runtime/worker-pool.ts'
import { type EffectListener, tellEffects } from '../effects.ts'
import type { MetadataStore } from '../port.ts'
import type { DatabaseName, Databases } from '../schema.ts'
import type { CommitOutcome, Transaction } from '../transaction.ts'
import { backwardRange, type LmdbEnvironment, prefixRange } from './environment.ts'
import type { MetadataWriterReply, MetadataWriterRequest } from './worker/messages.ts'

/** Transactions between the callers and the disk; beyond it callers hear 503. */
const waitingTransactionsMax = 20_000

interface Waiting {
  readonly transaction: Transaction
  readonly resolve: (outcome: CommitOutcome) => void
  readonly reject: (error: unknown) => void
}

/** What brings rows into memory on another thread. */
export interface RowPager {
  /** Undefined when the row was read lately. */
  pageIn(database: 'manifestBytes' | 'blobBytes', key: Digest): Promise<void> | undefined
}

export class LmdbMetadataStore implements MetadataStore {
  readonly #environment: LmdbEnvironment
  readonly #writer: SupervisedTask<MetadataWriterRequest, MetadataWriterReply>
  readonly #pager: RowPager
  readonly #sent = new Map<number, readonly Waiting[]>()
  readonly #listeners: EffectListener[] = []
  readonly #doubtListeners: (() => void)[] = []
  #queue: Waiting[] = []
  #waitingCount = 0
  #nextBatchId = 1
  #commitCount = 0

  /** `startWriter` runs `workers/metadata-writer.ts` on the same path; it is run again if it dies. */
  constructor(environment: LmdbEnvironment, startWriter: () => LongTask, pager: RowPager) {
    this.#environment = environment
    this.#pager = pager
    this.#writer = new SupervisedTask(startWriter, {
      onReply: (reply) => this.#onReply(reply),
      onDown: (error) => this.#onWriterDown(error),
    })
  }

  get<N extends DatabaseName>(
    database: N,
    key: Databases[N]['key'],
  ): Databases[N]['row'] | undefined {
    return this.#environment.get(database, key) as Databases[N]['row'] | undefined
  }

  getBytes(database: 'manifestBytes' | 'blobBytes', key: Digest): Uint8Array | undefined {
    return this.#environment.getBytes(database, key)
  }

  keys<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    last: string | undefined,
    limit: number,
  ): Databases[N]['key'][] {
    const range = { ...prefixRange(prefix, last), limit }
    return [...this.#environment.keys(database, range)] as Databases[N]['key'][]
  }

  entries<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    last: string | undefined,
    limit: number,
  ): { key: Databases[N]['key']; row: Databases[N]['row'] }[] {
    const range = { ...prefixRange(prefix, last), limit }
    const found: { key: Databases[N]['key']; row: Databases[N]['row'] }[] = []
    for (const { key, value } of this.#environment.entries(database, range)) {
      found.push({ key, row: value } as (typeof found)[number])
    }
    return found
  }

  entriesWithin<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    last: string | undefined,
    limit: number,
    bytesMax: number,
  ): { key: Databases[N]['key']; row: Databases[N]['row'] | undefined }[] {
    const found: { key: Databases[N]['key']; row: Databases[N]['row'] | undefined }[] = []
    let bytes = 0
    for (const key of this.keys(database, prefix, last, limit)) {
      const length = this.#environment.valueLength(database, key)
      bytes += length
      if (bytes > bytesMax && found.length > 0) break
      const row = length > bytesMax ? undefined : this.#environment.get(database, key)
      found.push({ key, row } as (typeof found)[number])
    }
    return found
  }

  keysBackward<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    before: string | undefined,
    limit: number,
  ): Databases[N]['key'][] {
    const range = { ...backwardRange(prefix, before), limit }
    return [...this.#environment.keys(database, range)] as Databases[N]['key'][]
  }

  entriesBackward<N extends DatabaseName>(
    database: N,
    prefix: readonly string[],
    before: string | undefined,
    limit: number,
  ): { key: Databases[N]['key']; row: Databases[N]['row'] }[] {
    const range = { ...backwardRange(prefix, before), limit }
    const found: { key: Databases[N]['key']; row: Databases[N]['row'] }[] = []
    for (const { key, value } of this.#environment.entries(database, range)) {
      found.push({ key, row: value } as (typeof found)[number])
    }
    return found
  }

  pageIn(database: 'manifestBytes' | 'blobBytes', key: Digest): Promise<void> | undefined {
    return this.#pager.pageIn(database, key)
  }

  commit(transaction: Transaction): Promise<CommitOutcome> {
    if (!this.#writer.isUp || this.#waitingCount >= waitingTransactionsMax) {
      return Promise.reject(new RegistryError('BUSY'))
    }
    this.#waitingCount += 1
    this.#commitCount += 1
    return new Promise((resolve, reject) => {
      if (this.#queue.length === 0) setImmediate(() => this.#send())
      this.#queue.push({ transaction, resolve, reject })
    })
  }

  count(database: DatabaseName): number {
    return this.#environment.count(database)
  }

  get commitCount(): number {
    return this.#commitCount
  }

  #send(): void {
    const batch = this.#queue
    const id = this.#nextBatchId++
    this.#queue = []
    if (batch.length === 0) return
    this.#sent.set(id, batch)
    const isSent = this.#writer.post({ id, transactions: batch.map((it) => it.transaction) })
    if (!isSent) this.#onWriterDown(new Error('metadata writer is down'))
  }

  #onReply(reply: MetadataWriterReply): void {
    if (reply.kind === 'ready') return
    const batch = this.#sent.get(reply.id)!
    this.#sent.delete(reply.id)
    this.#waitingCount -= batch.length
    if (reply.kind === 'failed') return this.#refuse(batch, reply.failure)
    this.#environment.refresh()
    const outcomes = reply.outcomes
    for (const [index, { transaction }] of batch.entries()) {
      const outcome = outcomes[index]!
      if (!outcome.applied) continue
      for (const listener of this.#listeners) tellEffects(transaction, outcome, listener)
    }
    for (const [index, { resolve }] of batch.entries()) resolve(outcomes[index]!)
  }

  onApplied(listener: EffectListener): void {
    this.#listeners.push(listener)
  }

  onDoubt(listener: () => void): void {
    this.#doubtListeners.push(listener)
  }

  #refuse(batch: readonly Waiting[], failure: WorkerFailure): void {
    const error = storageFault(new WorkerError(failure))
    for (const waiting of batch) waiting.reject(error)
  }

  /** What was under way may or may not be stored; nobody is told that it is. */
  #onWriterDown(error: Error): void {
    const failure = { errno: undefined, message: error.message }
    for (const batch of [...this.#sent.values(), this.#queue]) this.#refuse(batch, failure)
    this.#sent.clear()
    this.#queue = []
    this.#waitingCount = 0
    // It may have committed before it died.
    this.#environment.refresh()
    for (const listener of this.#doubtListeners) listener()
  }

  /** Whether writes are taken: for the health check. */
  get isHealthy(): boolean {
    return this.#writer.isUp
  }

  /** Lets the writer finish what it was given, then closes both sides. */
  async close(): Promise<void> {
    this.#send()
    while (this.#sent.size > 0) await nextTurn()
    await this.#writer.close()
    await this.#environment.close()
  }
}
