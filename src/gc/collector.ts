/**
 * @module The collection, seen from the main thread. Every run makes a plan and applies it; a dry run
 * is the first half of it. One run at a time. Where a run stands is a row, so that a restart goes on
 * there:
 *
 *   mark ──► plan file ──► [scheduled: too much? stop, leave the plan] ──► sweep ──► purge ──► done
 *    │ cursor: repository or digest                                         │ cursor: byte of the file
 *    └─ worker: reads indexes only                                          └─ worker proposes, this
 *                                                                              thread commits
 */

import type { RunningJob } from '../jobs/jobs.ts'
import { LeadTaken } from '../jobs/leads.ts'
import type { JobState } from '../metadata/rows/jobs.ts'
import { listKeys } from '../metadata/scan.ts'
import { RegistryError } from '../registry/errors.ts'
import { cutoffMs } from '../registry/grace.ts'
import { spreadMsMax } from './clock-guard.ts'
import { type CollectorOptions, type RunRequest, RunState, type RunStateRow } from './run-state.ts'
import { gcHeapMiB, runGcTask } from './run-task.ts'
import { Settler } from './sweep/settle.ts'
import { heldMessage, prefixed } from './totals.ts'
import type { Counts } from './worker/messages.ts'

type End = { readonly state: JobState; readonly message?: string }

/** Of all collections: in a mesh one runs at once, and what it does carries the check. */
export const gcLead = 'gc'

/** How often a sweep writes down where it stands, ms. */
const cursorEveryMs = 1_000

export class Collector {
  readonly #options: CollectorOptions
  readonly #state: RunState
  #isStarting = false
  #isStopping = false
  #lastCounts: Counts = {}
  /** What the sweep of this run freed at once. */
  #finalBytes = 0

  constructor(options: CollectorOptions) {
    this.#options = options
    this.#state = new RunState(options.metadata)
  }

  /**
   * Starts a run. Throws COLLECTION_RUNS, CLOCK_IN_DOUBT, and PLAN_UNKNOWN or PLAN_SPENT for a plan
   * that cannot be applied. Resolves when the job is on disk.
   */
  async start(
    request: RunRequest,
  ): Promise<{ readonly id: string; readonly ended: Promise<void> }> {
    const running = this.#options.jobs.running('gc')
    if (running !== undefined) {
      throw new RegistryError('COLLECTION_RUNS', { detail: { job: running } })
    }
    if (this.#isStarting) {
      throw new RegistryError('COLLECTION_RUNS', { message: 'a collection is starting already' })
    }
    this.#isStarting = true
    try {
      return await this.#start(request)
    } finally {
      this.#isStarting = false
    }
  }

  async #start(
    request: RunRequest,
  ): Promise<{ readonly id: string; readonly ended: Promise<void> }> {
    const { jobs, clockGuard, plans } = this.#options
    if (request.acceptClock === true) clockGuard.accept()
    this.#requireClock()
    const plan = request.kind === 'apply' ? request.plan : undefined
    const ready = plan === undefined ? undefined : await plans.take(plan)
    // Before the time is taken by which everything is judged: a pull must not seem to come after it.
    await this.#options.pulls.write()
    const begun: RunStateRow = {
      job: '',
      kind: request.kind,
      isScheduled: request.kind === 'run' && request.isScheduled === true,
      by: request.by,
      plan: plan ?? plans.newId(),
      phase: plan === undefined ? 'mark' : 'sweep',
      cursor: { stage: 'repositories', after: undefined },
      fileBytes: 0,
      offset: 0,
      // In a mesh by the clock that is most behind.
      now: this.#options.clock.now() - this.#spreadMs,
    }
    try {
      const work = (job: RunningJob) => this.#work(job, { ...begun, job: job.id })
      return await jobs.start('gc', request.by, work, { lead: gcLead })
    } catch (error) {
      if (!(error instanceof LeadTaken)) throw error
      if (ready !== undefined) await plans.put(begun.plan, ready)
      throw new RegistryError('COLLECTION_RUNS')
    }
  }

  /** Of the plan of the running or last run. */
  get lastCounts(): Counts {
    return this.#lastCounts
  }

  /** What the last plan would remove, all kinds together. */
  get candidateCount(): number {
    const { heldTags: _held, ...kinds } = this.#lastCounts
    return Object.values(kinds).reduce((sum, it) => sum + it, 0)
  }

  /** From now on a run that is ended keeps its place, for the next start. */
  stop(): void {
    this.#isStopping = true
  }

  /** The job that a crash or a stop interrupted here, if there is one. */
  get interruptedJob(): string | undefined {
    const state = this.#state.read()
    const { shared } = this.#options
    if (state === undefined || shared === undefined) return state?.job
    // In a mesh the row is of all, and the file of the plan is where the job ran.
    const run = shared.run()
    const job = this.#options.jobs.get(state.job)
    return run !== undefined && job?.member === run.member ? state.job : undefined
  }

  /** Goes on with an interrupted run. Call once, at the start of the server. In a mesh it may throw LeadTaken. */
  async resume(): Promise<void> {
    const state = this.#state.read()
    if (state === undefined || state.job !== this.interruptedJob) return
    this.#options.log.info({ job: state.job, phase: state.phase }, 'collection goes on')
    const work = async (job: RunningJob): Promise<End> => {
      // Another node may have run one since.
      if (this.#state.read()?.job === job.id) return this.#work(job, state)
      return { state: 'stopped', message: 'another node has collected meanwhile' }
    }
    await this.#options.jobs.start('gc', state.by, work, { id: state.job, lead: gcLead })
  }

  /** How far the clocks of the nodes are apart, as far as it is made good by waiting, ms. */
  get #spreadMs(): number {
    return Math.min(this.#options.shared?.spreadMs() ?? 0, spreadMsMax)
  }

  #requireClock(): void {
    const { clockGuard } = this.#options
    const message = clockGuard.doubt
    if (message !== undefined) throw new RegistryError('CLOCK_IN_DOUBT', { message })
  }

  async #work(job: RunningJob, begun: RunStateRow): Promise<End> {
    let state = begun
    try {
      job.update({}, state.plan)
      // A node that is gone has left its run, and nobody else has the file of its plan.
      const left = this.#state.read()
      if (left !== undefined && left.job !== state.job) await this.#fail(left)
      await this.#state.write(state)
      if (state.phase === 'mark') {
        const marked = await this.#mark(job, state)
        if (marked !== undefined) return await this.#end(marked)
        state = { ...state, phase: 'sweep', offset: 0 }
        await this.#state.write(state)
      }
      const end = await this.#sweep(job, state)
      if (end.state !== 'done') return await this.#end(end)
      await this.#purge(job, state)
      await this.#housekeeping()
      return await this.#end(end)
    } catch (error) {
      if (job.signal.aborted && this.#isStopping) return { state: 'running' }
      await this.#fail(state)
      this.#options.log.warn({ error, job: job.id }, 'collection failed')
      await this.#state.clear().catch(() => undefined)
      this.#options.onEnded('failed', this.#lastCounts)
      throw error
    }
  }

  /** A stop of the server keeps the cursor; every other end is one. */
  async #end(end: End): Promise<End> {
    if (end.state === 'cancelled' && this.#isStopping) return { state: 'running' }
    await this.#state.clear()
    this.#options.onEnded(end.state, this.#lastCounts)
    return end
  }

  async #fail(state: RunStateRow): Promise<void> {
    const { plans } = this.#options
    const row = plans.get(state.plan)
    if (row?.state === 'applying')
      await plans.put(state.plan, { ...row, state: 'stopped' }).catch(() => undefined)
  }

  /** Makes the plan. Undefined: it is to be applied now; else how the run ended. */
  async #mark(job: RunningJob, state: RunStateRow): Promise<End | undefined> {
    const { plans, config, clock, headPromise } = this.#options
    const isDry = state.kind === 'plan'
    const approved = isDry ? undefined : this.#approvals()
    let last: {
      counts: Counts
      bytes: number
      rules: readonly string[]
      heldRules: readonly string[]
    } = {
      counts: {},
      bytes: 0,
      rules: [],
      heldRules: [],
    }
    const settler = this.#settler(job, state)
    const isComplete = await runGcTask(
      this.#options.setup,
      {
        kind: 'mark',
        planFile: plans.path(state.plan),
        from: state.cursor,
        fileBytes: state.fileBytes,
        now: state.now,
        config,
        pullsLagMs: this.#options.shared?.pullsLagMs ?? 0,
        approved,
        mirrored: await this.#mirrored(),
        pins: this.#options.pins(),
      },
      job.signal,
      {
        onCandidates: ({ candidates }, doFiles) => settler.settle(candidates, doFiles),
        onMarked: async ({ cursor, fileBytes, counts, bytes, rules, heldRules }) => {
          last = { counts, bytes, rules, heldRules }
          job.update({ ...counts, bytes })
          this.#lastCounts = counts
          settler.noteOwnCommit()
          await this.#state.write({ ...state, cursor, fileBytes })
        },
      },
      gcHeapMiB(this.#options.metadata),
    )
    if (!isComplete) return { state: 'cancelled' }
    const row = {
      createdAt: clock.now(),
      by: state.by,
      kind: 'collection' as const,
      counts: last.counts,
      bytes: last.bytes,
      rules: last.rules,
      unapproved: last.heldRules,
    }
    job.update({ ...last.counts, bytes: last.bytes })
    if (isDry) {
      const unapproved = last.rules.filter((rule) => !this.#isApproved(rule))
      await plans.put(state.plan, { ...row, unapproved, state: 'ready' })
      return { state: 'done' }
    }
    const stopped = await this.#whyNot(job, state, last.bytes, headPromise.hasUnwritten)
    if (stopped !== undefined) {
      await plans.put(state.plan, { ...row, state: 'ready', message: stopped })
      return { state: 'stopped', message: stopped }
    }
    await plans.put(state.plan, { ...row, state: 'applying' })
    return undefined
  }

  /** Why a run must not apply its plan by itself. */
  async #whyNot(
    job: RunningJob,
    { isScheduled }: RunStateRow,
    bytes: number,
    hasUnwritten: boolean,
  ): Promise<string | undefined> {
    const { maxDeletePercent } = this.#options.config.gc
    if (this.#options.clockGuard.doubt !== undefined) return this.#options.clockGuard.doubt
    if (hasUnwritten) return 'the disk took no writes lately; promises to clients are not on it'
    if (!isScheduled || bytes === 0) return undefined
    let total = 0
    const listener = { onTotal: (count: number) => (total = count) }
    await runGcTask(this.#options.setup, { kind: 'total' }, job.signal, listener)
    const percent = total === 0 ? 0 : (bytes / total) * 100
    if (percent <= maxDeletePercent) return undefined
    return (
      `the plan would remove ${Math.round(percent)} % of the stored bytes, more than ` +
      `storage.gc.max_delete_percent (${maxDeletePercent}); look at it and apply it by hand`
    )
  }

  async #sweep(job: RunningJob, state: RunStateRow): Promise<End> {
    const { plans, clock, clockGuard } = this.#options
    const settler = this.#settler(job, state)
    let writtenAt = clock.monotonic()
    let doubt: string | undefined
    const stop = new AbortController()
    const signal = AbortSignal.any([job.signal, stop.signal])
    const isComplete = await runGcTask(
      this.#options.setup,
      {
        kind: 'sweep',
        planFile: plans.path(state.plan),
        offset: state.offset,
      },
      signal,
      {
        onCandidates: async ({ candidates, offset }, doFiles) => {
          doubt ??= clockGuard.doubt
          if (doubt !== undefined) {
            stop.abort()
            return 1
          }
          const atOnce = await settler.settle(candidates, doFiles)
          this.#options.onStep()
          job.update({ ...prefixed(settler.counts), bytesRemoved: settler.bytes })
          if (clock.monotonic() - writtenAt > cursorEveryMs) {
            writtenAt = clock.monotonic()
            settler.noteOwnCommit()
            await this.#state.write({ ...state, offset })
          }
          return atOnce
        },
      },
    )
    this.#finalBytes = settler.finalBytes
    this.#options.onFreed({ ...settler, freedBytes: settler.finalBytes })
    job.update({ ...prefixed(settler.counts), bytesRemoved: settler.bytes })
    const row = plans.get(state.plan)
    if (row === undefined) return { state: 'failed', message: 'the plan is gone' }
    if (!isComplete) {
      const isPaused = doubt === undefined && this.#isStopping
      if (!isPaused) await plans.put(state.plan, { ...row, state: 'stopped' })
      return doubt === undefined ? { state: 'cancelled' } : { state: 'stopped', message: doubt }
    }
    await plans.finish(state.plan, row, state)
    if (row.kind === 'collection' && row.unapproved.length > 0 && state.kind === 'run') {
      return { state: 'done', message: heldMessage(row.counts['heldTags'] ?? 0) }
    }
    return { state: 'done' }
  }

  #settler(job: RunningJob, state: RunStateRow): Settler {
    const { bytesPerSecond, maxPauseMs, graceMs, undeleteWindowMs } = this.#options.config.gc
    const { metadata, digestLock, forget, filesFollow, clock, isMirrored, log, shared } =
      this.#options
    return new Settler({
      metadata,
      digestLock,
      forget,
      filesFollow,
      clock,
      isMirrored,
      by: state.kind === 'apply' || !state.isScheduled ? state.by : 'collection',
      pulledWithinMs: cutoffMs(graceMs) + (shared?.pullsLagMs ?? 0) + this.#spreadMs,
      isFinal: undeleteWindowMs === 0,
      bytesPerSecond,
      maxPauseMs,
      onSkipped: (candidate, why) => {
        log.debug({ job: job.id, candidate, why }, 'collection skipped')
      },
    })
  }

  /** Frees what nobody can want back any more, and ends what expired. */
  async #purge(job: RunningJob, state: RunStateRow): Promise<void> {
    const { clock, config, uploads, setup } = this.#options
    await uploads.sweep()
    const settler = this.#settler(job, state)
    const before = clock.now() - this.#spreadMs - config.gc.undeleteWindowMs + 1
    const task = { kind: 'purge', before, oldest: this.#state.readOldest() } as const
    await runGcTask(setup, task, job.signal, {
      onCandidates: ({ candidates }, doFiles) => settler.settle(candidates, doFiles),
      // What could not be removed is older than what the walk left: the next one looks again.
      onPurged: (oldest) =>
        'notPurged' in settler.counts ? undefined : this.#state.writeOldest(oldest),
    })
    const bytesFreed = settler.bytes + settler.freedBytes + this.#finalBytes
    job.update({ ...settler.counts, bytesFreed })
    this.#options.onFreed(settler)
  }

  async #housekeeping(): Promise<void> {
    await this.#options.plans.prune()
    await this.#options.prune()
  }

  #approvals(): string[] {
    return this.#options.metadata
      .keys('approvals', [], undefined, 10_000)
      .filter((rule) => !this.#options.dryRules.has(rule))
  }

  #isApproved(rule: string): boolean {
    return this.#options.metadata.get('approvals', rule) !== undefined
  }

  #mirrored(): Promise<string[]> {
    const { metadata, isMirrored } = this.#options
    return listKeys(metadata, 'repositories', [], undefined, Number.POSITIVE_INFINITY, isMirrored)
  }
}
