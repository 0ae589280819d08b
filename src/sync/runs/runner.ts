/**
 * @module The runs of one source, one at a time: by its schedule, when a person or a hook asks, and again
 * after a crash. What must outlive the process is in the row of the source's state.
 */
import type { Jobs, RunningJob } from '../../jobs/jobs.ts'
import { recordEvent } from '../../metadata/edits.ts'
import type { JobState } from '../../metadata/rows/jobs.ts'
import type { SyncRunRow, SyncStateRow } from '../../metadata/rows/upstream.ts'
import type { EventAction } from '../../metadata/schema.ts'
import type { Random } from '../../runtime/random.ts'
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
import type { SyncRequest, SyncRunState, SyncTrigger } from '../syncs.ts'
import { ActiveRun, endOf, jobStateOf, type WantedRun } from './active-run.ts'
import { RunOutages, refusedAtStart, refusedOnceMore } from './back-off.ts'
import type { RunParts } from './parts.ts'
import type { RunEnd } from './source-run.ts'
import type { Tally } from './tally.ts'

const resumed: SyncRequest = { by: 'resume', isResumed: true }

export interface RunnerParts extends RunParts {
  readonly jobs: Jobs
  readonly random: Random
}

export class SyncRunner {
  readonly #parts: RunnerParts
  #state: SyncStateRow = { isPaused: false, hasTick: false }
  #times: RunTimes
  #share: number
  #active: ActiveRun | undefined
  #last: { readonly tally: Tally; readonly end: RunEnd } | undefined
  #remembered: WantedRun | undefined
  readonly #outages: RunOutages
  #wake: () => void = () => undefined
  readonly #stop = new AbortController()
  #loop: Promise<void> | undefined

  constructor(parts: RunnerParts) {
    this.#parts = parts
    this.#outages = new RunOutages(parts.clock)
    this.#times = storedTimes(undefined, false, this.#now())
    this.#share = drawShare(parts.random)
  }

  get name(): string {
    return this.#parts.config.name
  }

  get state(): SyncRunState {
    const { tally } = this.#active?.run ?? {}
    if (tally !== undefined) return tally.waiting === undefined ? 'running' : 'waiting'
    if (this.#state.isPaused) return 'paused'
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
    return this.#state
  }

  get runningJob(): string | undefined {
    return this.#active?.job
  }

  /** Undefined: only when it is asked for. */
  get nextRunAt(): number | undefined {
    if (this.#state.isPaused) return undefined
    const now = this.#now()
    if (this.#remembered !== undefined) return now.wall
    this.#times = settled(this.#times, now)
    const at = nextRunAt(this.#parts.config, this.#times, now, this.#share)
    const { refusedUntil = 0 } = this.#state
    return at === undefined ? at : Math.max(at, refusedUntil, now.wall + this.#outages.leftMs)
  }

  /** Takes up what is stored, and runs what is due from now on. */
  start(): void {
    const { journal, config, fingerprint } = this.#parts
    this.#state = refusedAtStart(journal.state(config.name) ?? this.#state, this.#now().wall)
    const [last] = journal.runs(config.name, 1)
    const times = last && { startedAt: last.startedAt, endedAt: last.endedAt ?? last.startedAt }
    const isDone = this.#state.lastOkAt !== undefined && this.#state.fingerprint === fingerprint
    this.#times = storedTimes(times, isDone, this.#now())
    const { running, hasTick } = this.#state
    if (running !== undefined || hasTick) {
      this.#remembered = { request: resumed, isScheduled: true }
    }
    this.#loop = this.#closeLast()
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
    if (this.#active !== undefined) return { kind: 'running' }
    if (this.#state.isPaused) {
      this.#remembered = { request, isScheduled: false }
      await this.#put({ hasTick: true })
      return { kind: 'remembered' }
    }
    const started = await this.#begin({ request, isScheduled: false })
    return { kind: 'started', ...started }
  }

  cancel(): boolean {
    this.#active?.stop('cancelled')
    return this.#active !== undefined
  }

  async pause(): Promise<void> {
    await this.#put({ isPaused: true })
    this.#active?.stop('paused')
  }

  async resume(): Promise<void> {
    const { hasTick, running } = this.#state
    await this.#put({ isPaused: false, hasTick: false })
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
    const { isPaused, refusedUntil = 0 } = this.#state
    if (this.#active !== undefined || isPaused || this.#stop.signal.aborted) return false
    // A hook is no word on the credential, nor on the host.
    if (refusedUntil > this.#now().wall || this.#outages.leftMs > 0) return false
    const active = this.#activate({ request, isScheduled: false })
    let end: RunEnd
    try {
      end = await active.run.run()
      if (end.isRefused) await this.#put(refusedOnceMore(this.#state, this.#now().wall))
    } finally {
      this.#leave(active)
    }
    const { result, message } = end
    const { numbers } = active.run.tally
    const fields = { event: 'sync-look', sync: this.name, by: request.by, result, ...numbers }
    this.#parts.logger.info({ ...fields, ...(message && { message }) }, 'looked at what changed')
    return result !== 'cancelled'
  }

  /** A run that a crash ended has no end of its own. */
  async #closeLast(): Promise<void> {
    const { journal, config, clock } = this.#parts
    const [last] = journal.runs(config.name, 1)
    if (last === undefined || last.endedAt !== undefined) return
    const message = 'the server stopped before the run ended'
    await journal.putRun(config.name, {
      ...last,
      endedAt: Math.max(last.startedAt, clock.now()),
      result: 'cancelled',
      message,
    })
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
    const wanted = this.#remembered ?? { request: { by: 'schedule' }, isScheduled: true }
    try {
      await this.#begin(wanted)
    } catch (error) {
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
    const active = new ActiveRun(this.#parts, wanted, (some) => this.#put(some))
    this.#active = active
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
      await journal.putRun(config.name, row)
      await this.#put({ running: job.id, lastRunAt: startedAt, hasTick: false })
      await this.#record('sync-started', by)
      hasBegun()
      logger.info({ event: 'sync-started', sync: config.name, job: job.id, by }, 'sync started')
      this.#limit(active, over.signal)
      const end = endOf(await active.run.run(), active.cause)
      await this.#ended(active, row, end)
      const { message } = end
      return { state: jobStateOf(end, active.cause), ...(message === undefined ? {} : { message }) }
    } finally {
      over.abort()
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
    const refused = refusedOnceMore(this.#state, now)
    const { running, refusedUntil: _until, refusals: _count, ...state } = this.#state
    const isToGoOn = active.cause === 'server-stop' || active.cause === 'paused'
    const isDownStill = this.#outages.note(end)
    await this.#set({
      ...state,
      hasTick: state.hasTick || active.cause === 'paused',
      ...(active.cause === 'server-stop' && running !== undefined ? { running } : {}),
      ...(result === 'ok' && isWhole ? { lastOkAt: now, fingerprint } : {}),
      ...(tally.isListingComplete && isWhole ? { listedFingerprint: fingerprint } : {}),
      ...(isRefused ? refused : {}),
    })
    if (active.cause === 'paused' && !this.#state.isPaused) await this.#goOn(active)
    const failed = result === 'failed'
    await this.#record(failed ? 'sync-failed' : 'sync-finished', request.by, message ?? result)
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
    await this.#put({ hasTick: false })
  }

  async #record(action: EventAction, by: string, why?: string): Promise<void> {
    const { metadata, clock, config } = this.#parts
    const said = `${config.name}${why === undefined ? '' : `: ${why}`}`
    const row = { at: clock.now(), action, repository: '', by, why: said.slice(0, whyMax) }
    await metadata.commit({ checks: [], changes: [recordEvent(row)] })
  }

  async #put(some: Partial<SyncStateRow>): Promise<void> {
    await this.#set({ ...this.#state, ...some })
  }

  async #set(row: SyncStateRow): Promise<void> {
    this.#state = row
    await this.#parts.journal.putState(this.name, row)
  }

  #now(): Moment {
    const { clock } = this.#parts
    return { wall: clock.now(), monotonic: clock.monotonic() }
  }
}

/** Longest sentence of an event, characters. */
const whyMax = 300
