/**
 * @module Jobs: long work that an operator can look at, wait for and cancel. What runs is in memory;
 * beginning and end are rows, so that the history survives a restart.
 *
 * In a mesh the rows are those of all nodes, and say whose a job is. A job that no two nodes may run at once runs
 * under a lead: it begins when the lead is taken, does all that it does through `storeOf` the lead, and stops when the
 * lead is lost.
 */

import { setTimeout as pause } from 'node:timers/promises'
import type { MetadataStore } from '../metadata/port.ts'
import { RowIds } from '../metadata/row-ids.ts'
import type { JobRow, JobState } from '../metadata/rows/jobs.ts'
import type { SessionRow } from '../metadata/rows/mesh.ts'
import type { Clock } from '../runtime/clock.ts'
import { type Lead, LeadLost, type LeadSource, LeadTaken } from './leads.ts'
import { LedStore } from './led-store.ts'

/** Jobs that are remembered after their end. */
export const jobsKeptMax = 1_000

/** How often a lead is asked for while no job of the kind runs, and the time in between, ms. */
const takesMax = 10
const takeAgainMs = 50

/** Work that a job's counters are written down after, ms. */
const writeEveryMs = 5_000

/** Ends of jobs that wait for a disk that takes them. */
const unwrittenMax = 100

/** Rows that are looked at for one that runs on another node. */
const lookedAtMax = 500

/** How a job ended, with a sentence. */
interface JobEnd {
  readonly state: JobState
  readonly message?: string
}

export interface StartOptions {
  /** Of a job that an earlier run of the server began. */
  readonly id?: string
  /** In a mesh no two jobs of one lead run at once. */
  readonly lead?: string | undefined
}

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
  /** Where its row is written. */
  readonly store: MetadataStore
}

export class Jobs {
  readonly #metadata: MetadataStore
  readonly #clock: Clock
  readonly #leads: LeadSource | undefined
  /** By lead. */
  readonly #stores = new Map<string, LedStore>()
  readonly #ids: RowIds
  readonly #running = new Map<string, Running>()
  /** Ends that the disk did not take: told from here, and written with the next job. */
  readonly #unwritten = new Map<string, JobRow>()

  /** `leads`: of the mesh; undefined on one node. */
  constructor(metadata: MetadataStore, clock: Clock, leads?: LeadSource) {
    this.#metadata = metadata
    this.#clock = clock
    this.#leads = leads
    this.#ids = new RowIds(metadata, 'jobs', clock)
  }

  /** The job's row as it is now. */
  get(id: string): JobRow | undefined {
    return this.#running.get(id)?.row ?? this.#unwritten.get(id) ?? this.#metadata.get('jobs', id)
  }

  /**
   * Whether a job of this kind runs, here or on another node, and which. One that says that it has ended does not,
   * written or not.
   */
  running(kind: string): string | undefined {
    for (const [id, { row }] of this.#running) {
      if (row.kind === kind && row.state === 'running') return id
    }
    return this.#leads === undefined ? undefined : this.#runningElsewhere(kind)
  }

  #runningElsewhere(kind: string): string | undefined {
    const rows = this.#metadata.entriesBackward('jobs', [], undefined, lookedAtMax)
    const found = rows.find(({ row }) => row.kind === kind && this.#isElsewhere(row))
    return found?.key
  }

  /** Whether another member's run that takes part says that it is at it. */
  #isElsewhere({ state, member, boot }: JobRow): boolean {
    if (state !== 'running' || member === undefined) return false
    if (member === this.#leads?.run?.member) return false
    const session: SessionRow | undefined = this.#metadata.get('sessions', String(member))
    return session !== undefined && session.boot === boot && session.presentAt > 0
  }

  /**
   * The metadata for the work of jobs under this lead: whatever such a job commits carries the check of its lead.
   * On one node the metadata as it is.
   */
  storeOf(lead: string): MetadataStore {
    return this.#leads === undefined ? this.#metadata : this.#ledStore(lead)
  }

  #ledStore(lead: string): LedStore {
    let store = this.#stores.get(lead)
    if (store === undefined) {
      store = new LedStore(this.#metadata)
      this.#stores.set(lead, store)
    }
    return store
  }

  /**
   * Runs `work` under a lead, without a job; `signal`: the lead is lost. On one node at once. Throws LeadTaken, and
   * LOG_SILENT when the log does not answer.
   */
  async under<T>(name: string, work: (signal: AbortSignal | undefined) => Promise<T>): Promise<T> {
    const lead = await this.#take(name)
    try {
      return await work(lead?.signal)
    } finally {
      this.#give(lead)
    }
  }

  /**
   * Starts `work`; its row is on disk when this resolves. The result is the state that it ended in,
   * with a sentence; a throw is `failed`. In a mesh, with a lead: throws LeadTaken when another is at it, and
   * LOG_SILENT when the log does not answer.
   */
  async start(
    kind: string,
    by: string,
    work: (job: RunningJob) => Promise<JobEnd>,
    { id = this.#ids.next(), lead: name }: StartOptions = {},
  ): Promise<{ readonly id: string; readonly ended: Promise<void> }> {
    if (this.#leads === undefined || name === undefined) return this.#start(kind, by, work, id)
    const lead = await this.#takeFor(kind, name)
    try {
      await this.recover((one) => one === id, kind)
      const started = await this.#start(kind, by, work, id, lead)
      void started.ended.finally(() => this.#give(lead))
      return started
    } catch (error) {
      this.#give(lead)
      throw error
    }
  }

  /** A job that has just ended has its lead for a moment longer, in the log: that is no reason to refuse the next. */
  async #takeFor(kind: string, name: string): Promise<Lead | undefined> {
    for (let asked = 1; ; asked += 1) {
      try {
        return await this.#take(name)
      } catch (error) {
        const isEnding = error instanceof LeadTaken && this.running(kind) === undefined
        if (!isEnding || asked === takesMax) throw error
      }
      await pause(takeAgainMs)
    }
  }

  async #take(name: string): Promise<Lead | undefined> {
    if (this.#leads === undefined) return undefined
    const lead = await this.#leads.take(name)
    if (lead === undefined) throw new LeadTaken(name)
    this.#ledStore(name).lead = lead
    return lead
  }

  #give(lead: Lead | undefined): void {
    if (lead === undefined) return
    this.#ledStore(lead.check.job).lead = undefined
    this.#leads?.give(lead)
  }

  async #start(
    kind: string,
    by: string,
    work: (job: RunningJob) => Promise<JobEnd>,
    id: string,
    lead?: Lead,
  ): Promise<{ readonly id: string; readonly ended: Promise<void> }> {
    const before = this.#metadata.get('jobs', id)
    const createdAt = before?.createdAt ?? this.#clock.now()
    const counts = before?.counts ?? {}
    const row: JobRow = { kind, state: 'running', by, createdAt, counts, ...this.#leads?.run }
    const stop = new AbortController()
    if (lead?.signal.aborted === true) stop.abort()
    else lead?.signal.addEventListener('abort', () => stop.abort(), { once: true })
    let finish!: () => void
    const ended = new Promise<void>((resolve) => {
      finish = resolve
    })
    const store = lead === undefined ? this.#metadata : this.#ledStore(lead.check.job)
    const running: Running = { row, stop, writtenAt: this.#clock.monotonic(), ended, store }
    this.#running.set(id, running)
    try {
      await this.#write(id, row, store)
    } catch (error) {
      this.#running.delete(id)
      finish()
      throw error
    }
    await this.#writeLeft()
    const update = this.#updater(id, running)
    void this.#run(id, running, () => work({ id, signal: stop.signal, update })).finally(finish)
    return { id, ended }
  }

  #updater(id: string, running: Running): RunningJob['update'] {
    return (counts, plan) => {
      const rowNow = running.row
      running.row = {
        ...rowNow,
        counts: { ...rowNow.counts, ...counts },
        ...(plan === undefined ? {} : { plan }),
      }
      if (this.#clock.monotonic() - running.writtenAt < writeEveryMs) return
      running.writtenAt = this.#clock.monotonic()
      void this.#write(id, running.row, running.store).catch(() => undefined)
    }
  }

  async #run(id: string, running: Running, work: () => Promise<JobEnd>): Promise<void> {
    let end: JobEnd
    try {
      end = await work()
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      end = { state: error instanceof LeadLost ? 'stopped' : 'failed', message }
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
    await this.#write(id, running.row, running.store).catch(async (error: unknown) => {
      if (error instanceof LeadLost) await this.#endLost(id, running, error)
      else if (this.#unwritten.size < unwrittenMax) this.#unwritten.set(id, running.row)
    })
    this.#running.delete(id)
  }

  /** What it did under the lead is void by now: so is how it says that it ended. */
  async #endLost(id: string, running: Running, { message }: LeadLost): Promise<void> {
    const stored = this.#metadata.get('jobs', id)
    running.row = { ...running.row, state: 'stopped', endedAt: this.#clock.now(), message }
    if (stored?.state === 'running') await this.#close(id, stored, message).catch(() => undefined)
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

  /**
   * Marks jobs that a crash ended, of `kind` alone when it is given; the collection takes its own up again before. In
   * a mesh those of earlier runs of this member, and of runs that take part no more.
   */
  async recover(isResumed: (id: string) => boolean, kind?: string): Promise<void> {
    let last: string | undefined
    while (true) {
      const rows = this.#metadata.entries('jobs', [], last, 500)
      for (const { key, row } of rows) {
        if (row.state !== 'running' || this.#running.has(key) || isResumed(key)) continue
        if (this.#isElsewhere(row) || (kind !== undefined && row.kind !== kind)) continue
        await this.#close(key, row, 'the server stopped before the job ended')
      }
      if (rows.length < 500) return
      last = rows.at(-1)!.key
    }
  }

  /** Unless its row has changed meanwhile. */
  async #close(id: string, stored: JobRow, message: string): Promise<void> {
    const row = { ...stored, state: 'stopped', endedAt: this.#clock.now(), message } as const
    await this.#metadata.commit({
      checks: [{ check: 'unchanged', in: 'jobs', key: id, row: stored }],
      changes: [{ change: 'put', in: 'jobs', key: id, row }],
    })
  }

  async #write(id: string, row: JobRow, store = this.#metadata): Promise<void> {
    await store.commit({
      checks: [],
      changes: [{ change: 'put', in: 'jobs', key: id, row }],
    })
  }
}
