/**
 * @module Jobs: long work that an operator can look at, wait for and cancel. What runs is in memory;
 * beginning and end are rows, so that the history survives a restart.
 */

import type { MetadataStore } from '../metadata/port.ts'
import { RowIds } from '../metadata/row-ids.ts'
import type { JobRow, JobState } from '../metadata/rows/jobs.ts'
import type { Clock } from '../runtime/clock.ts'

/** Jobs that are remembered after their end. */
export const jobsKeptMax = 1_000

/** Work that a job's counters are written down after, ms. */
const writeEveryMs = 5_000

/** Ends of jobs that wait for a disk that takes them. */
const unwrittenMax = 100

/** A job while it runs. */
export interface RunningJob {
  readonly id: string
  readonly signal: AbortSignal
  /** Sets counters and, once known, the plan. */
  update(counts: Readonly<Record<string, number>>, plan?: string): void
}

interface Running {
  row: JobRow
  readonly stop: AbortController
  writtenAt: number
  readonly ended: Promise<void>
}

export class Jobs {
  readonly #metadata: MetadataStore
  readonly #clock: Clock
  readonly #ids: RowIds
  readonly #running = new Map<string, Running>()
  /** Ends that the disk did not take: told from here, and written with the next job. */
  readonly #unwritten = new Map<string, JobRow>()

  constructor(metadata: MetadataStore, clock: Clock) {
    this.#metadata = metadata
    this.#clock = clock
    this.#ids = new RowIds(metadata, 'jobs', clock)
  }

  /** The job's row as it is now. */
  get(id: string): JobRow | undefined {
    return this.#running.get(id)?.row ?? this.#unwritten.get(id) ?? this.#metadata.get('jobs', id)
  }

  /** Whether a job of this kind runs, and which. One that says that it has ended does not, written or not. */
  running(kind: string): string | undefined {
    for (const [id, { row }] of this.#running) {
      if (row.kind === kind && row.state === 'running') return id
    }
    return undefined
  }

  /**
   * Starts `work`; its row is on disk when this resolves. The result is the state that it ended in,
   * with a sentence; a throw is `failed`. `id`: of a job that an earlier run of the server began.
   */
  async start(
    kind: string,
    by: string,
    work: (job: RunningJob) => Promise<{ readonly state: JobState; readonly message?: string }>,
    id = this.#ids.next(),
  ): Promise<{ readonly id: string; readonly ended: Promise<void> }> {
    const before = this.#metadata.get('jobs', id)
    const createdAt = before?.createdAt ?? this.#clock.now()
    const row: JobRow = { kind, state: 'running', by, createdAt, counts: before?.counts ?? {} }
    const stop = new AbortController()
    let finish!: () => void
    const ended = new Promise<void>((resolve) => {
      finish = resolve
    })
    const running: Running = { row, stop, writtenAt: this.#clock.monotonic(), ended }
    this.#running.set(id, running)
    try {
      await this.#write(id, row)
    } catch (error) {
      this.#running.delete(id)
      finish()
      throw error
    }
    await this.#writeLeft()
    const update: RunningJob['update'] = (counts, plan) => {
      const rowNow = running.row
      running.row = {
        ...rowNow,
        counts: { ...rowNow.counts, ...counts },
        ...(plan === undefined ? {} : { plan }),
      }
      if (this.#clock.monotonic() - running.writtenAt < writeEveryMs) return
      running.writtenAt = this.#clock.monotonic()
      void this.#write(id, running.row).catch(() => undefined)
    }
    void this.#run(id, running, () => work({ id, signal: stop.signal, update })).finally(finish)
    return { id, ended }
  }

  async #run(
    id: string,
    running: Running,
    work: () => Promise<{ readonly state: JobState; readonly message?: string }>,
  ): Promise<void> {
    let end: { readonly state: JobState; readonly message?: string }
    try {
      end = await work()
    } catch (error) {
      end = { state: 'failed', message: error instanceof Error ? error.message : String(error) }
    }
    const { state, message } = end
    // One that stops with the server goes on with it.
    const ending = state === 'running' ? {} : { endedAt: this.#clock.now() }
    running.row = {
      ...running.row,
      state,
      ...ending,
      ...(message === undefined ? {} : { message }),
    }
    await this.#write(id, running.row).catch(() => {
      if (this.#unwritten.size < unwrittenMax) this.#unwritten.set(id, running.row)
    })
    this.#running.delete(id)
  }

  /** Asks a running job to stop; false when it does not run. */
  cancel(id: string): boolean {
    const running = this.#running.get(id)
    running?.stop.abort()
    return running !== undefined
  }

  /** Stops everything and waits for it. */
  async stop(): Promise<void> {
    const all = [...this.#running.values()]
    for (const { stop } of all) stop.abort()
    await Promise.all(all.map(({ ended }) => ended))
    await this.#writeLeft()
  }

  async #writeLeft(): Promise<void> {
    for (const [id, row] of this.#unwritten) {
      await this.#write(id, row).then(
        () => this.#unwritten.delete(id),
        () => undefined,
      )
    }
  }

  /** Marks jobs that a crash ended; the collection takes its own up again before. */
  async recover(isResumed: (id: string) => boolean): Promise<void> {
    let last: string | undefined
    while (true) {
      const rows = this.#metadata.entries('jobs', [], last, 500)
      for (const { key, row } of rows) {
        if (row.state !== 'running' || this.#running.has(key) || isResumed(key)) continue
        const message = 'the server stopped before the job ended'
        await this.#write(key, { ...row, state: 'stopped', endedAt: this.#clock.now(), message })
      }
      if (rows.length < 500) return
      last = rows.at(-1)!.key
    }
  }

  async #write(id: string, row: JobRow): Promise<void> {
    await this.#metadata.commit({
      checks: [],
      changes: [{ change: 'put', in: 'jobs', key: id, row }],
    })
  }
}
