/**
 * @module The way of transactions to the thread that writes them, on this thread: those of one turn of the event
 * loop travel together. Here the way of a single node; `log-commits.ts` has that of a node of a mesh.
 */
import { storageFault } from '../../registry/disk-fault.ts'
import { RegistryError } from '../../registry/errors.ts'
import { nextTurn } from '../../runtime/next-turn.ts'
import { SupervisedTask } from '../../runtime/supervised-task.ts'
import { WorkerError, type WorkerFailure } from '../../runtime/worker-failure.ts'
import type { LongTask } from '../../runtime/worker-pool.ts'
import type { Effect } from '../effects.ts'
import type { ReadGate } from '../port.ts'
import type { CommitOutcome, Transaction } from '../transaction.ts'
import type { MetadataWriterReply, MetadataWriterRequest } from './worker/messages.ts'

/** Transactions between the callers and the disk; beyond it callers hear 503. */
export const waitingTransactionsMax = 20_000

export interface Commits {
  /** See `MetadataStore.commit`. */
  commit(transaction: Transaction): Promise<CommitOutcome>
  /** Undefined: no other node changes the rows. */
  readonly gate: ReadGate | undefined
  /** Whether writes are taken. */
  readonly isUp: boolean
  /** Lets the writer finish what it was given. */
  close(): Promise<void>
}

/** Where a store hears of what was applied. */
export interface CommitListener {
  /** Makes reads show what is committed. */
  refresh(): void
  /** The last entry of the log that reads show, as far as it is written; 0 before the first. */
  shown(): number
  tell(it: Transaction, outcome: Extract<CommitOutcome, { applied: true }>): void
  retell(effects: readonly Effect[]): void
  /** So many transactions of other nodes were applied. */
  othersWrote(count: number): void
  /** Transactions may have been applied whose outcome is not known. */
  doubt(): void
}

export type StartCommits = (listener: CommitListener) => Commits

export interface WaitingCommit {
  readonly transaction: Transaction
  readonly resolve: (outcome: CommitOutcome) => void
  readonly reject: (error: unknown) => void
}

/** Commits on the disk of this node; what waits shares one flush. */
export class DirectCommits implements Commits {
  readonly gate = undefined
  readonly #listener: CommitListener
  readonly #writer: SupervisedTask<MetadataWriterRequest, MetadataWriterReply>
  readonly #sent = new Map<number, readonly WaitingCommit[]>()
  #queue: WaitingCommit[] = []
  #waitingCount = 0
  #nextBatchId = 1

  /** `startWriter` runs `workers/metadata-writer.ts`; it is run again if it dies. */
  constructor(startWriter: () => LongTask, listener: CommitListener) {
    this.#listener = listener
    this.#writer = new SupervisedTask(startWriter, {
      onReply: (reply) => this.#onReply(reply),
      onDown: (error) => this.#onWriterDown(error),
    })
  }

  commit(transaction: Transaction): Promise<CommitOutcome> {
    if (!this.#writer.isUp || this.#waitingCount >= waitingTransactionsMax) {
      return Promise.reject(new RegistryError('BUSY'))
    }
    this.#waitingCount += 1
    return new Promise((resolve, reject) => {
      if (this.#queue.length === 0) setImmediate(() => this.#send())
      this.#queue.push({ transaction, resolve, reject })
    })
  }

  get isUp(): boolean {
    return this.#writer.isUp
  }

  async close(): Promise<void> {
    this.#send()
    while (this.#sent.size > 0) await nextTurn()
    await this.#writer.close()
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
    if (reply.kind === 'failed') return refuse(batch, reply.failure)
    this.#listener.refresh()
    const outcomes = reply.outcomes
    for (const [index, { transaction }] of batch.entries()) {
      const outcome = outcomes[index]!
      if (outcome.applied) this.#listener.tell(transaction, outcome)
    }
    for (const [index, { resolve }] of batch.entries()) resolve(outcomes[index]!)
  }

  /** What was under way may or may not be stored; no caller hears that it is. */
  #onWriterDown(error: Error): void {
    const failure = { errno: undefined, message: error.message }
    for (const batch of [...this.#sent.values(), this.#queue]) refuse(batch, failure)
    this.#sent.clear()
    this.#queue = []
    this.#waitingCount = 0
    this.#listener.doubt()
  }
}

/** Rejects with what a failure of the disk means to a client. */
export function refuse(batch: readonly WaitingCommit[], failure: WorkerFailure): void {
  const error = storageFault(new WorkerError(failure))
  for (const waiting of batch) waiting.reject(error)
}
