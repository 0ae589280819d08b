/**
 * @module Reconciliation at start: files and rows that a crash left without each other find together
 * again, or go (invariant 7). It runs behind the first requests and takes time by what changed, not by what is
 * stored. Two rows of the database `system` carry it from run to run:
 *
 *   cleanStop      1 after a stop in order; gone while the server runs
 *   checkpointAt   until then (ms since the epoch) every blob file had its row and every row its file
 *
 *   start ── cleanStop? ──yes──► upload files ──────────────► done ──► checkpoint every minute
 *                      └──no───► upload files, blob folders     │
 *                                touched since checkpointAt ────┘          stop ──► cleanStop
 */
import type { Change } from '../metadata/transaction.ts'
import { WorkerPool } from '../runtime/worker-pool.ts'
import {
  type DecisionsOptions,
  type ReconcileCounts,
  ReconcileDecisions,
} from './reconcile-decisions.ts'
import type { StoreSetup } from './setup.ts'
import type { ReconcileAnswer, ReconcileProposal, ReconcileSetup } from './worker/messages.ts'

export interface ReconciliationOptions extends Omit<DecisionsOptions, 'startedAt' | 'onAdopt'> {
  readonly setup: StoreSetup
  /** Files are not flushed before their rows: after a power loss rows may be without bytes. */
  readonly isRelaxed: boolean
  /** Blob files follow the rows of a mesh: other nodes may have them, and what has no row here goes by itself. */
  readonly filesFollow?: boolean | undefined
}

export interface ReconcileStatus extends ReconcileCounts {
  readonly state: 'waiting' | 'running' | 'done' | 'failed'
}

/** How often the checkpoint moves on while there is something new, ms. */
const checkpointEveryMs = 60_000

/**
 * How far before the checkpoint the walk begins, ms: a file may have been moved into place this long
 * before its row was committed, and clocks are set back by less.
 */
const clockMarginMs = 5 * 60_000

/** How long a stop waits for commits that are under way, ms. */
const commitsEndWithinMs = 2_000

export class Reconciliation {
  readonly #options: ReconciliationOptions
  readonly #decisions: ReconcileDecisions
  #state: ReconcileStatus['state'] = 'waiting'
  #blobsSince: number | undefined
  #running: Promise<void> = Promise.resolve()
  readonly #stopped = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #hasNews = false
  #filesInDoubt = 0

  constructor(options: ReconciliationOptions) {
    this.#options = options
    this.#decisions = new ReconcileDecisions({ ...options, startedAt: options.clock.now() })
    options.metadata.onApplied({
      anything: () => {
        this.#hasNews = true
      },
    })
  }

  get status(): ReconcileStatus {
    return { state: this.#state, ...this.#decisions.counts }
  }

  /** A blob's file may be in place without its row: the next start looks, whatever comes. */
  doubt(): void {
    this.#filesInDoubt += 1
  }

  /** Finds out how the last run ended, and writes down that this one has not. Before any request. */
  async begin(): Promise<void> {
    const { metadata, clock, driver, log, filesFollow } = this.#options
    const wasClean = metadata.get('system', 'cleanStop') !== undefined
    const checkpointAt = metadata.get('system', 'checkpointAt')
    const changes: Change[] = [{ change: 'delete', in: 'system', key: 'cleanStop' }]
    if (checkpointAt === undefined || wasClean) changes.push(checkpointChange(clock.now()))
    else if (!filesFollow) this.#blobsSince = checkpointAt - clockMarginMs
    await metadata.commit({ checks: [], changes })
    if (filesFollow) return
    if (checkpointAt !== undefined || metadata.keys('blobs', [], undefined, 1).length > 0) return
    if (!(await driver.inventory.isEmpty())) {
      log.warn(
        { folder: driver.inventory.locate() },
        'blob files without metadata: see "fastregistry adopt"',
      )
    }
  }

  /** Begins the work behind the requests. */
  start(): void {
    this.#running = this.#run().catch((error: unknown) => {
      if (this.#stopped.signal.aborted) return
      this.#state = 'failed'
      this.#options.log.warn({ error }, 'reconciliation failed; the next start tries again')
    })
    this.#timer = setInterval(() => {
      this.#checkpoint().catch(() => undefined)
    }, checkpointEveryMs)
    this.#timer.unref()
  }

  async #run(): Promise<void> {
    const startedAt = performance.now()
    this.#state = 'running'
    if (await this.#hasWork()) {
      await this.#walk()
      if (this.#stopped.signal.aborted) return
      const milliseconds = Math.round(performance.now() - startedAt)
      const fields = { ...this.#decisions.counts, milliseconds, blobsSince: this.#blobsSince }
      this.#options.log.info({ event: 'reconciled', ...fields }, 'files and metadata agree')
    }
    this.#state = 'done'
    this.#hasNews = true
    await this.#checkpoint().catch(() => undefined)
  }

  /** After a clean stop without unfinished uploads there is nothing to compare. */
  async #hasWork(): Promise<boolean> {
    const { metadata, driver } = this.#options
    if (this.#blobsSince !== undefined) return true
    const [upload] = metadata.keys('uploads', [], undefined, 1)
    if (upload !== undefined) return true
    for await (const _stray of driver.inventory.listUploads()) return true
    return false
  }

  #walk(): Promise<void> {
    const { setup, isRelaxed } = this.#options
    const walk = {
      setup,
      checksUploads: true,
      blobsSince: this.#blobsSince,
      checksRows: isRelaxed,
      isPaced: true,
    }
    return runWalk(walk, this.#decisions, this.#stopped.signal)
  }

  /** Moves the checkpoint on, if all before it is settled and something came since the last. */
  async #checkpoint(): Promise<void> {
    const { metadata, clock } = this.#options
    if (this.#state !== 'done' || this.#filesInDoubt > 0 || !this.#hasNews) return
    this.#hasNews = false
    await metadata.commit({ checks: [], changes: [checkpointChange(clock.now())] })
  }

  /**
   * Ends the work; what is left of it is done at the next start. Marks the stop as clean when no
   * file can be without its row. Call when no request runs any more, before the metadata closes.
   */
  async stop(): Promise<void> {
    const { metadata, clock, digestLock } = this.#options
    this.#stopped.abort()
    clearInterval(this.#timer)
    await this.#running
    const deadline = clock.monotonic() + commitsEndWithinMs
    while (digestLock.size > 0 && clock.monotonic() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    if (this.#state !== 'done' || this.#filesInDoubt > 0 || digestLock.size > 0) return
    const cleanStop: Change = { change: 'put', in: 'system', key: 'cleanStop', row: 1 }
    await metadata
      .commit({ checks: [], changes: [cleanStop, checkpointChange(clock.now())] })
      .catch(() => undefined)
  }
}

function checkpointChange(at: number): Change {
  return { change: 'put', in: 'system', key: 'checkpointAt', row: at }
}

/**
 * Runs the walk in a worker of its own and settles what it finds. Resolves when all is settled, or
 * soon after `stopped`; rejects when the walk or a decision failed.
 */
export async function runWalk(
  walk: Omit<ReconcileSetup, 'port'>,
  decisions: ReconcileDecisions,
  stopped?: AbortSignal,
): Promise<void> {
  const pool = new WorkerPool({ worker: 'reconcile', threads: 1, tasksPerThread: 1 })
  const { port, ended } = pool.start(walk)
  const openDecisions = new Set<Promise<void>>()
  let failure: unknown
  port.on('message', ({ id, finding }: ReconcileProposal) => {
    const deciding = decisions
      .decide(finding)
      .catch((error: unknown) => {
        failure ??= error
      })
      .finally(() => {
        openDecisions.delete(deciding)
        port.postMessage({ id } satisfies ReconcileAnswer)
      })
    openDecisions.add(deciding)
  })
  stopped?.addEventListener('abort', () => port.close())
  try {
    await ended
    await Promise.all(openDecisions)
  } finally {
    await pool.close()
  }
  if (failure !== undefined) throw failure
}
