/**
 * @module The runs of one source, one at a time: by its schedule, when a person or a hook asks, and again
 * after a crash. What must outlive the process is in the row of the source's state.
 */
import type { Jobs, RunningJob } from '../../jobs/jobs.ts'
import { LeadTaken } from '../../jobs/leads.ts'
import type { Ticks } from '../../jobs/ticks.ts'
import type { JobState } from '../../metadata/rows/jobs.ts'
import type { SyncRunRow, SyncStateRow } from '../../metadata/rows/upstream.ts'
import type { Random } from '../../runtime/random.ts'
import { writerOf } from '../journal.ts'
import {
  drawShare,
  lookAfterMs,
  lookMsMax,
  type Moment,
  nextRunAt,
  type RunTimes,
  settled,
  storedTimes,
} from '../schedule.ts'
import { SharedSource } from '../shared-source.ts'
import { SourceState } from '../source-state.ts'
import type { SyncRequest, SyncRunState, SyncTrigger } from '../syncs.ts'
import { ActiveRun, endOf, jobStateOf, type WantedRun } from './active-run.ts'
import { RunOutages, refusedOnceMore } from './back-off.ts'
import type { RunParts } from './parts.ts'
import type { RunEnd } from './source-run.ts'
import type { Tally } from './tally.ts'

const resumed: SyncRequest = { by: 'resume', isResumed: true }

export interface RunnerParts extends RunParts {
  readonly jobs: Jobs
  readonly random: Random
  /** In a mesh, where every node has the source; undefined: this one alone has it. */
  readonly ticks?: Ticks | undefined
}

export class SyncRunner {
  readonly #parts: RunnerParts
  readonly #state: SourceState
  #times: RunTimes
  #share: number
  #active: ActiveRun | undefined
  #last: { readonly tally: Tally; readonly end: RunEnd } | undefined
  #remembered: WantedRun | undefined
  readonly #outages: RunOutages
  readonly #shared: SharedSource | undefined
  #wake: () => void = () => undefined
  readonly #stop = new AbortController()
  #loop: Promise<void> | undefined

  constructor(parts: RunnerParts) {
    this.#parts = parts
    this.#outages = new RunOutages(parts.clock)
    this.#times = storedTimes(undefined, false, this.#now())
    this.#share = drawShare(parts.random)
    this.#shared = parts.ticks && new SharedSource({ ...parts, ticks: parts.ticks })
    this.#state = new SourceState(parts, this.#shared !== undefined)
  }

  get name(): string {
    return this.#parts.config.name
  }

  get state(): SyncRunState {
    const { tally } = this.#active?.run ?? {}
    if (tally !== undefined) return tally.waiting === undefined ? 'running' : 'waiting'
    if (this.#elsewhere !== undefined) return 'running'
    if (this.#state.row.isPaused) return 'paused'
    return this.#last?.end.result === 'cancelled' ? 'cancelled' : 'idle'
  }

  get message(): string | undefined {
    if (this.#active !== undefined) return this.#active.run.tally.waiting
    return this.#last?.end.message
  }

  /** Of the running run, or of the last one since the start. */
  get tally(): Tally | undefined {
    return this.#active?.run.tally ?? this.#last?.tally
  }

  get isRunning(): boolean {
    return this.#active !== undefined
  }

  get row(): SyncStateRow {
    return this.#state.row
  }

  get runningJob(): string | undefined {
    return this.#active?.job ?? this.#elsewhere
  }

  /** The job of a run of another node of a mesh. */
  get #elsewhere(): string | undefined {
    return this.#active === undefined ? this.#shared?.jobElsewhere : undefined
  }

  /** Undefined: only when it is asked for. */
  get nextRunAt(): number | undefined {
    this.#learn()
    if (this.#state.row.isPaused || this.#elsewhere !== undefined) return undefined
    const now = this.#now()
    if (this.#remembered !== undefined || this.#isLeft) return now.wall
    this.#times = settled(this.#times, now)
    const at = nextRunAt(this.#parts.config, this.#times, now, this.#share)
    const { refusedUntil = 0 } = this.#state.row
    return at === undefined ? at : Math.max(at, refusedUntil, now.wall + this.#outages.leftMs)
  }

  /** Takes up what is stored, and runs what is due from now on. */
  start(): void {
    const { journal, config } = this.#parts
    this.#state.open()
    const [last] = journal.runs(config.name, 1)
    const times = last && { startedAt: last.startedAt, endedAt: last.endedAt ?? last.startedAt }
    this.#times = storedTimes(times, this.#state.isOk, this.#now())
    const { running, hasTick } = this.#state.row
    if (this.#shared === undefined && (running !== undefined || hasTick)) {
      this.#remembered = { request: resumed, isScheduled: true }
    }
    // In a mesh the last run may be another node's: who has the lead closes it.
    const closed = this.#shared ? undefined : journal.closeLast(config.name, this.#now().wall)
    this.#loop = Promise.resolve(closed)
      .catch((error: unknown) => this.#logError(error, 'the end of the last run is not written'))
      .then(() => this.#wait())
      .catch((error: unknown) => this.#logError(error, 'sync no longer runs by itself'))
  }

  /** Ends the run in its middle; it goes on with the next start. */
  async stop(): Promise<void> {
    this.#stop.abort()
    this.#active?.stop('server-stop')
    this.#wake()
    await this.#active?.ended
    await this.#loop
  }

  async trigger(request: SyncRequest): Promise<SyncTrigger> {
    if (this.#active !== undefined || this.#elsewhere !== undefined) return { kind: 'running' }
    this.#learn()
    if (this.#state.row.isPaused) {
      this.#remembered = { request, isScheduled: false }
      await this.#state.put({ hasTick: true })
      return { kind: 'remembered' }
    }
    const started = await this.#begin({ request, isScheduled: false }).catch(unlessTaken)
    return started === undefined ? { kind: 'running' } : { kind: 'started', ...started }
  }

  cancel(): boolean {
    this.#active?.stop('cancelled')
    return this.#active !== undefined
  }

  async pause(): Promise<void> {
    await this.#state.put({ isPaused: true })
    this.#active?.stop('paused')
  }

  async resume(): Promise<void> {
    this.#learn()
    const { hasTick, running } = this.#state.row
    await this.#state.put({ isPaused: false, hasTick: false })
    if ((hasTick || running !== undefined) && this.#active === undefined) {
      this.#remembered ??= { request: resumed, isScheduled: false }
    }
    this.#wake()
  }

  /**
   * A look at some repositories that upstream says have changed: without a job and a row of its own. False:
   * not now.
   */
  async look(request: SyncRequest): Promise<boolean> {
    const { isPaused, refusedUntil = 0 } = this.#state.row
    if (this.#active !== undefined || isPaused || this.#stop.signal.aborted) return false
    // A hook is no word on the credential, nor on the host.
    if (refusedUntil > this.#now().wall || this.#outages.leftMs > 0) return false
    const active = this.#activate({ request, isScheduled: false })
    let end: RunEnd
    try {
      end = await (this.#shared === undefined ? active.run.run() : this.#shared.run(active))
      if (end.isRefused) await this.#state.put(refusedOnceMore(this.#state.row, this.#now().wall))
    } catch (error) {
      if (error instanceof LeadTaken) return false
      throw error
    } finally {
      this.#leave(active)
    }
    const { result, message } = end
    const { numbers } = active.run.tally
    const fields = { event: 'sync-look', sync: this.name, by: request.by, result, ...numbers }
    this.#parts.logger.info({ ...fields, ...(message && { message }) }, 'looked at what changed')
    return result !== 'cancelled'
  }

  /** Takes up what other nodes have come to. */
  #learn(): void {
    if (this.#shared === undefined || this.#active !== undefined) return
    this.#state.learn()
    this.#times = this.#shared.timesOf(this.#times, this.#state.isOk, this.#now())
  }

  /** Whether a node that is gone has left a run in its middle. */
  get #isLeft(): boolean {
    const isShared = this.#shared !== undefined && this.#active === undefined
    return isShared && this.#state.row.running !== undefined
  }

  async #wait(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      if (this.#active !== undefined) {
        await Promise.race([this.#active.ended, woken])
        continue
      }
      const at = this.nextRunAt
      const ms = lookAfterMs(at, this.#now())
      if (at !== undefined && ms === 0) {
        await this.#beginItself()
        continue
      }
      const over = new AbortController()
      await Promise.race([this.#parts.sleep(ms, over.signal), woken])
      over.abort()
    }
  }

  /** Where no row can be written, a minute later again. */
  async #beginItself(): Promise<void> {
    const request = this.#isLeft ? resumed : { by: 'schedule' }
    const wanted = this.#remembered ?? { request, isScheduled: true }
    try {
      if (this.#shared !== undefined && wanted.request.by === 'schedule') {
        const now = this.#now()
        const isOurs = await this.#shared.takes(now)
        this.#times = { ...this.#times, startedAt: now.wall }
        if (!isOurs) return
      }
      await this.#begin(wanted)
    } catch (error) {
      if (error instanceof LeadTaken) return await this.#parts.sleep(takenMs, this.#stop.signal)
      this.#remembered ??= wanted
      this.#logError(error, 'sync could not begin')
      await this.#parts.sleep(lookMsMax, this.#stop.signal)
    }
  }

  #logError(error: unknown, message: string): void {
    this.#parts.logger.error({ sync: this.name, error }, message)
  }

  async #begin(wanted: WantedRun): Promise<{ readonly id: string; readonly ended: Promise<void> }> {
    const active = this.#activate(wanted)
    this.#remembered = undefined
    try {
      let hasBegun!: () => void
      const begun = new Promise<void>((resolve) => {
        hasBegun = resolve
      })
      const work = (job: RunningJob) => this.#work(active, job, hasBegun)
      const { id, ended } = await this.#parts.jobs.start(
        `sync:${this.name}`,
        wanted.request.by,
        work,
        { lead: writerOf(this.name) },
      )
      void ended.finally(() => this.#leave(active))
      await Promise.race([begun, ended])
      return { id, ended: active.ended }
    } catch (error) {
      this.#leave(active)
      throw error
    }
  }

  #activate(wanted: WantedRun): ActiveRun {
    const active = new ActiveRun(this.#parts, wanted, (some) => this.#state.put(some))
    this.#active = active
    if (this.#shared !== undefined) void this.#shared.watch(active)
    return active
  }

  #leave(active: ActiveRun): void {
    this.#active = undefined
    active.finish()
    this.#wake()
  }

  async #work(
    active: ActiveRun,
    job: RunningJob,
    hasBegun: () => void,
  ): Promise<{ readonly state: JobState; readonly message?: string }> {
    const { journal, logger, config } = this.#parts
    const { by } = active.wanted.request
    const { tally } = active.run
    const { startedAt } = tally
    active.isJob(job)
    const row: SyncRunRow = { startedAt, job: job.id, by, isListingComplete: false, counts: {} }
    const over = new AbortController()
    try {
      if (this.#shared !== undefined) await journal.closeLast(config.name, this.#parts.clock.now())
      await journal.putRun(config.name, row)
      await this.#state.put({ running: job.id, lastRunAt: startedAt, hasTick: false })
      await journal.record(config.name, { action: 'sync-started', by, at: this.#now().wall })
      hasBegun()
      logger.info({ event: 'sync-started', sync: config.name, job: job.id, by }, 'sync started')
      this.#limit(active, over.signal)
      const end = endOf(await active.run.run(), active.cause)
      await this.#ended(active, row, end)
      const { message } = end
      return { state: jobStateOf(end, active.cause), ...(message === undefined ? {} : { message }) }
    } finally {
      over.abort()
      // While what it noted may be written still.
      if (this.#shared !== undefined) await journal.flush().catch(() => undefined)
      this.#times = { startedAt, endedAt: this.#now().monotonic, isDone: true }
      this.#share = drawShare(this.#parts.random)
    }
  }

  #limit(active: ActiveRun, over: AbortSignal): void {
    const { config, sleep } = this.#parts
    if (config.timeoutMs === 0) return
    void sleep(config.timeoutMs, over).then(() => {
      if (!over.aborted) active.stop('timeout')
    })
  }

  async #ended(active: ActiveRun, row: SyncRunRow, end: RunEnd): Promise<void> {
    const { journal, logger, config, clock, fingerprint, metrics } = this.#parts
    const { tally } = active.run
    const { request } = active.wanted
    const { result, message, isRefused } = end
    const now = clock.now()
    this.#last = { tally, end }
    metrics.run(config.name, result)
    metrics.oldestPending(config.name, tally.oldestLate)
    await journal.putRun(config.name, {
      ...row,
      endedAt: now,
      result,
      ...(message === undefined ? {} : { message }),
      isListingComplete: tally.isListingComplete,
      counts: tally.numbers,
    })
    const isWhole = request.repositories === undefined && request.tags === undefined
    const refused = refusedOnceMore(this.#state.row, now)
    const isToGoOn = active.cause === 'server-stop' || active.cause === 'paused'
    const isDownStill = this.#outages.note(end)
    await this.#state.change(({ running, refusedUntil: _until, refusals: _count, ...state }) => ({
      ...state,
      hasTick: state.hasTick || active.cause === 'paused',
      ...(active.cause === 'server-stop' && running !== undefined ? { running } : {}),
      ...(result === 'ok' && isWhole ? { lastOkAt: now, fingerprint } : {}),
      ...(tally.isListingComplete && isWhole ? { listedFingerprint: fingerprint } : {}),
      ...(isRefused ? refused : {}),
    }))
    if (active.cause === 'paused' && !this.#state.row.isPaused) await this.#goOn(active)
    const failed = result === 'failed'
    const action = failed ? 'sync-failed' : 'sync-finished'
    await journal.record(
      config.name,
      { action, by: request.by, at: clock.now() },
      message ?? result,
    )
    const fields = { event: 'sync-ended', sync: config.name, job: active.job, result, message }
    const numbers = { seconds: Math.round((now - tally.startedAt) / 1_000), ...tally.numbers }
    logger[failed && !isToGoOn && !isDownStill ? 'warn' : 'info'](
      { ...fields, ...numbers },
      'sync ended',
    )
  }

  /** Resumed while its last tags ended. */
  async #goOn({ wanted }: ActiveRun): Promise<void> {
    this.#remembered ??= { request: wanted.request, isScheduled: wanted.isScheduled }
    await this.#state.put({ hasTick: false })
  }

  #now(): Moment {
    const { clock } = this.#parts
    return { wall: clock.now(), monotonic: clock.monotonic() }
  }
}

/** Until a source that another node runs is looked at again, ms. */
const takenMs = 10_000

function unlessTaken(error: unknown): undefined {
  if (!(error instanceof LeadTaken)) throw error
}
