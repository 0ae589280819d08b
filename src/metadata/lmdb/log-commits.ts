/**
 * @module The way of transactions through the log of a mesh, on this thread. A caller hears of its own when reads of
 * all nodes show it: acknowledged by one, seen on every other.
 */
import { RegistryError } from '../../registry/errors.ts'
import { nextTurn } from '../../runtime/next-turn.ts'
import { SupervisedTask } from '../../runtime/supervised-task.ts'
import type { LongTask } from '../../runtime/worker-pool.ts'
import type { Control, SeenEntry } from '../entry.ts'
import type { CopyNews } from '../log/copy-news.ts'
import type { ReadGate } from '../port.ts'
import type { SessionRow } from '../rows/mesh.ts'
import type { CommitOutcome, Transaction } from '../transaction.ts'
import {
  type CommitListener,
  type Commits,
  refuse,
  type WaitingCommit,
  waitingTransactionsMax,
} from './commits.ts'
import { type ReadTail, TailRelay } from './log-tail.ts'
import type { LogFault, LogWriterReply, LogWriterRequest } from './worker/messages.ts'

/** Until a caller hears that the outcome is not known, ms. */
const waitMsMax = 5_000

/** What the gate of a run stands on. */
export interface RunOfLog {
  readonly boot: number
  readonly applied: number
  readonly sessions: readonly (readonly [number, SessionRow])[]
  /** `ended`: they were applied or are void; never called when the run ends before. */
  readonly submit: (controls: readonly Control[], ended?: () => void) => void
  readonly head: () => Promise<number>
  readonly isSilent: () => boolean
  readonly durable: () => number
  /** Where the log is reached too. */
  readonly addEndpoints: (endpoints: readonly string[]) => void
  /** Whether nothing more is applied for now: the disk has no room for it. */
  readonly hold: (isHeld: boolean) => void
  /**
   * The log may forget what all members have, up to the last entry that is on all their disks; it is left as it is
   * when that cannot be done now.
   */
  readonly truncate: (durable: number) => void
}

export interface LogCommitsParts {
  /** Runs `workers/log-writer.ts`; it is run again if it dies, as another run of the node. */
  readonly startWriter: () => LongTask
  readonly startGate: (run: RunOfLog) => ReadGate
  readonly onFault: (fault: LogFault) => void
  /** Entries were applied, and reads here show them. */
  readonly onSeen?: (entries: readonly SeenEntry[]) => void
  /** A run has begun; that before is over. */
  readonly onRun?: (run: RunOfLog) => void
  /** What applied entries mean to the files of blobs here, in order. Reads here show them. */
  readonly onCopies?: (news: readonly CopyNews[]) => void
  /** What peers have kept of the log, for a node that it has left behind. Default: they are not asked. */
  readonly readTail?: ReadTail
}

interface Batch {
  readonly commits: readonly WaitingCommit[]
  readonly timer: NodeJS.Timeout
}

export class LogCommits implements Commits {
  readonly #parts: LogCommitsParts
  readonly #listener: CommitListener
  readonly #writer: SupervisedTask<LogWriterRequest, LogWriterReply>
  readonly #sent = new Map<number, Batch>()
  readonly #heads = new Map<number, (index: number | undefined) => void>()
  /** Told when controls that were sent under a number are over. */
  readonly #said = new Map<number, () => void>()
  readonly #tail: TailRelay
  #gate: ReadGate = closedGate
  #queue: WaitingCommit[] = []
  #waitingCount = 0
  #nextId = 1
  #isSilent = false
  #durable = 0

  constructor(parts: LogCommitsParts, listener: CommitListener) {
    this.#parts = parts
    this.#listener = listener
    this.#writer = new SupervisedTask(parts.startWriter, {
      onReply: (reply) => this.#onReply(reply),
      onDown: (error) => this.#onWriterDown(error),
    })
    this.#tail = new TailRelay(parts.readTail, (request) => this.#writer.post(request))
  }

  get gate(): ReadGate {
    return this.#gate
  }

  get isUp(): boolean {
    return this.#writer.isUp
  }

  /**
   * Resolves when the transaction is in the log, on the disks of a majority, and reads of all nodes show it; a
   * refusal, too, when they show what it rests on. Rejects with NOT_DONE, and with OUTCOME_UNKNOWN after five
   * seconds.
   */
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

  async close(): Promise<void> {
    this.#send()
    while (this.#sent.size > 0) await nextTurn()
    this.#tail.stop()
    await this.#gate.leave()
    this.#gate.close()
    await this.#writer.close()
  }

  #send(): void {
    const commits = this.#queue
    if (commits.length === 0) return
    this.#queue = []
    const id = this.#nextId++
    const timer = setTimeout(() => this.#onLate(id), waitMsMax)
    this.#sent.set(id, { commits, timer })
    this.#writer.post({ kind: 'commit', id, transactions: commits.map((it) => it.transaction) })
  }

  #onReply(reply: LogWriterReply): void {
    switch (reply.kind) {
      case 'ready':
        this.#startGate(reply)
        break
      case 'seen':
        this.#durable = reply.durable
        this.#refresh()
        this.#listener.othersWrote(reply.others)
        this.#listener.retell(reply.effects)
        this.#gate.onSeen(reply.entries)
        this.#parts.onSeen?.(reply.entries)
        if (reply.copies.length > 0) this.#parts.onCopies?.(reply.copies)
        break
      case 'said':
        this.#said.get(reply.id)?.()
        this.#said.delete(reply.id)
        break
      case 'settled':
        this.#refresh()
        this.#listener.retell(reply.effects)
        this.#onSettled(reply.id, reply.index, reply.outcomes)
        break
      case 'not-done':
        this.#take(reply.id)?.forEach(({ reject }) => {
          reject(new RegistryError('NOT_DONE', { detail: { outcome: 'not done' } }))
        })
        break
      case 'failed':
        refuse(this.#take(reply.id) ?? [], reply.failure)
        break
      case 'head':
        this.#heads.get(reply.id)?.(reply.index)
        this.#heads.delete(reply.id)
        break
      case 'cut':
        void this.#tail.start(reply)
        break
      case 'tail-taken':
        this.#tail.onTaken(reply.index)
        break
      case 'silent':
        this.#isSilent = reply.isSilent
        break
      case 'fault':
        if (isFatal(reply.fault)) this.#closeGate()
        this.#parts.onFault(reply.fault)
        break
      default:
        throw new TypeError(`no such reply: ${JSON.stringify(reply)}`)
    }
  }

  /** Whether what is here is the newest is not known from now on. */
  #closeGate(): void {
    this.#gate.close()
    this.#gate = closedGate
  }

  /** Reads may be ahead of what the writer has said: it goes on meanwhile. */
  #refresh(): void {
    this.#listener.refresh()
    this.#gate.onShown(this.#listener.shown())
  }

  #startGate({ boot, applied, sessions }: Extract<LogWriterReply, { kind: 'ready' }>): void {
    this.#listener.refresh()
    this.#durable = applied
    this.#isSilent = false
    const run: RunOfLog = {
      boot,
      applied,
      sessions,
      submit: (controls, ended) => this.#submit(controls, ended),
      head: () => this.#head(),
      isSilent: () => this.#isSilent,
      durable: () => this.#durable,
      addEndpoints: (endpoints) => {
        this.#writer.post({ kind: 'endpoints', endpoints })
      },
      hold: (isHeld) => {
        this.#writer.post({ kind: 'hold', isHeld })
      },
      truncate: (durable) => {
        this.#writer.post({ kind: 'truncate', durable })
      },
    }
    this.#parts.onRun?.(run)
    this.#gate = this.#parts.startGate(run)
    this.#gate.onShown(this.#listener.shown())
  }

  #submit(controls: readonly Control[], ended: (() => void) | undefined): void {
    if (ended === undefined) {
      this.#writer.post({ kind: 'say', controls })
      return
    }
    const id = this.#nextId++
    this.#said.set(id, ended)
    this.#writer.post({ kind: 'say', controls, id })
  }

  #head(): Promise<number> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      const answer = (index: number | undefined): void => {
        if (index === undefined) reject(new RegistryError('LOG_SILENT'))
        else resolve(index)
      }
      this.#heads.set(id, answer)
      if (this.#writer.post({ kind: 'head', id })) return
      this.#heads.delete(id)
      answer(undefined)
    })
  }

  #onSettled(id: number, index: number, outcomes: readonly CommitOutcome[]): void {
    const commits = this.#take(id)
    if (commits === undefined) return
    const settle = (): void => {
      for (const [at, { resolve }] of commits.entries()) resolve(outcomes[at]!)
    }
    const stable = this.#gate.whenStable(index)
    if (stable === undefined) settle()
    else stable.then(settle, () => refuseUnknown(commits))
  }

  /** Undefined: its callers have heard. */
  #take(id: number): readonly WaitingCommit[] | undefined {
    const batch = this.#sent.get(id)
    if (batch === undefined) return undefined
    this.#sent.delete(id)
    clearTimeout(batch.timer)
    this.#waitingCount -= batch.commits.length
    return batch.commits
  }

  /** What was not sent yet is taken back; of the rest nothing can be said. */
  #onLate(id: number): void {
    const batch = this.#sent.get(id)
    if (batch === undefined) return
    this.#writer.post({ kind: 'withdraw', id })
    // The answer to that comes at once, if it comes: the writer's thread is not the log.
    const timer = setTimeout(() => {
      const commits = this.#take(id)
      if (commits !== undefined) refuseUnknown(commits)
    }, tookBackMs)
    this.#sent.set(id, { ...batch, timer })
  }

  /** What was under way may or may not be in the log. */
  #onWriterDown(error: Error): void {
    this.#closeGate()
    this.#tail.stop()
    for (const id of [...this.#sent.keys()]) refuseUnknown(this.#take(id) ?? [])
    this.#waitingCount -= this.#queue.length
    refuse(this.#queue, { errno: undefined, message: error.message })
    this.#queue = []
    for (const answer of this.#heads.values()) answer(undefined)
    this.#heads.clear()
    this.#said.clear()
    this.#listener.doubt()
  }
}

/** Until the writer has said whether it could take something back, ms. */
const tookBackMs = 500

/** After these the writer applies nothing more. */
function isFatal({ is }: LogFault): boolean {
  return fatal.has(is)
}

const fatal: ReadonlySet<LogFault['is']> = new Set([
  'cut',
  'refused',
  'went-back',
  'fenced',
  'outdated',
])

function refuseUnknown(commits: readonly WaitingCommit[]): void {
  if (commits.length === 0) return
  const error = new RegistryError('OUTCOME_UNKNOWN', { detail: { outcome: 'unknown' } })
  for (const { reject } of commits) reject(error)
}

/** Before the writer has said where it stands: nothing can be read that may be old. */
const closedGate: ReadGate = {
  fresh: () => Promise.reject(new RegistryError('LOG_SILENT')),
  settled: () => undefined,
  // What rests on no entry is of this node alone.
  whenStable: (index) =>
    index === 0 ? undefined : Promise.reject(new RegistryError('LOG_SILENT')),
  onSeen: () => undefined,
  onShown: () => undefined,
  leave: () => Promise.resolve(),
  close: () => undefined,
}
