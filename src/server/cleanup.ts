/**
 * @module Clean-up, put together for one registry: plans, the collection, its schedule, and what status
 * and metrics report of them.
 */
import type { GcStatus } from '../admin/gc-endpoints.ts'
import { toJob } from '../admin/job-endpoints.ts'
import { defined, isoTime } from '../admin/schemas.ts'
import type { Config } from '../config/config.ts'
import { ClockGuard } from '../gc/clock-guard.ts'
import { Collector, gcLead } from '../gc/collector.ts'
import { Explain } from '../gc/explain.ts'
import { compileRules } from '../gc/mark/rules.ts'
import { Plans } from '../gc/plan/plans.ts'
import { pruneHistory } from '../gc/prune-history.ts'
import { Totals } from '../gc/totals.ts'
import { TrashWatch } from '../gc/trash-watch.ts'
import { type Jobs, jobsKeptMax } from '../jobs/jobs.ts'
import type { MetadataReader } from '../metadata/port.ts'
import type { Logger } from '../observability/logger.ts'
import type { CleanupSources } from '../observability/metrics/cleanup.ts'
import { systemClock } from '../runtime/clock.ts'
import type { LifeCycle } from '../runtime/life-cycle.ts'
import { type Schedule, startSchedule } from '../runtime/schedule.ts'
import type { Storage } from '../storage/open.ts'
import { beginJobs, collectionIn } from './interrupted-jobs.ts'
import type { UseCases } from './use-cases.ts'

export interface CleanupParts {
  readonly storage: Storage
  readonly useCases: UseCases
  readonly logger: Logger
  /** Repositories that a mirror fills: collection leaves them to the mirror's own rules. */
  readonly isMirrored: (repository: string) => boolean
  /** Everything that is opened here is closed with it. */
  readonly life: LifeCycle
}

export interface Cleanup {
  readonly plans: Plans
  readonly collector: Collector
  readonly explain: Explain
  readonly isMirrored: (repository: string) => boolean
  readonly metrics: CleanupSources
  readonly status: () => GcStatus
  /** Starts the schedule, and goes on with what a stop interrupted. */
  readonly start: () => Promise<void>
}

/** Pins that are read at once; all of them travel with a plan's task. */
const pinsMax = 100_000

/** Nothing runs before `start`. */
export function makeCleanup(config: Config, parts: CleanupParts): Cleanup {
  const { storage, useCases, logger, isMirrored, life } = parts
  const { metadata, setup, digestLock, forget } = storage
  const { jobs, uploads, protection, shared } = useCases.writes
  const clock = systemClock
  const collection = shared && collectionIn(shared)
  const clockGuard = new ClockGuard(clock, metadata, collection?.spreadMs)
  life.opened('clock guard', clockGuard, (one) => one.stop())
  const led = jobs.storeOf(gcLead)
  const plans = new Plans({ metadata: led, path: storage.path, clock, run: collection?.run })
  const totals = new Totals(clock)
  const collector = new Collector({
    metadata: led,
    shared: collection,
    ...{ setup, digestLock, forget },
    filesFollow: storage.shared !== undefined,
    clock,
    config: config.cleanup,
    jobs,
    plans,
    clockGuard,
    headPromise: useCases.reads.headPromise,
    pulls: useCases.reads.pulls,
    uploads,
    isMirrored,
    pins: () =>
      metadata
        .entries('pins', [], undefined, pinsMax)
        .map(({ key, row }) => [key[0], row] as const),
    dryRules: dryRulesOf(config),
    prune: () => pruneHistory(led, clock),
    onFreed: (freed) => totals.freed(freed),
    onEnded: (state) => totals.ended(state),
    onStep: () => totals.step(),
    log: logger,
  })
  // Ended before everything above: a run that is stopped keeps its place.
  life.opened('cleanup', collector, async (one) => {
    one.stop()
    await jobs.stop()
  })
  let schedule: Schedule | undefined
  const trash = new TrashWatch(metadata, clock)
  return {
    plans,
    collector,
    explain: new Explain(storage.setup, config.cleanup, collection?.pullsLagMs),
    isMirrored,
    metrics: {
      runs: () => totals.runs,
      removed: () => totals.removed,
      steps: () => totals.steps,
      removedBytes: () => totals.removedBytes,
      freedBytes: () => totals.freedBytes,
      isRunning: () => jobs.running('gc') !== undefined,
      candidates: () => collector.candidateCount,
      heldTags: () => collector.lastCounts['heldTags'] ?? 0,
      lastSuccessSeconds: () => totals.lastSuccessSeconds,
      nextRunSeconds: () => (schedule?.next ?? 0) / 1_000,
      trashBytes: () => trash.bytes,
      trashBlobs: () => trash.blobs,
      oldestTrashSeconds: () => trash.oldestSeconds,
      blockedDeletes: () => protection.blockedCount,
      clockIsDoubted: () => clockGuard.doubt !== undefined,
    },
    status: () =>
      defined({
        enabled: config.cleanup.gc.enabled,
        schedule: config.cleanup.gc.schedule,
        nextAt: isoTime(schedule?.next),
        running: jobs.running('gc'),
        lastJob: lastCollection(metadata, jobs),
        clockDoubt: clockGuard.doubt,
      }),
    start: async () => {
      useCases.reads.pulls.start()
      clockGuard.start()
      const { enabled, schedule: when } = config.cleanup.gc
      const onError = (error: unknown) => logger.error({ error }, 'collection did not run')
      if (enabled) {
        const work = () => runScheduled(collector, jobs, logger)
        const once = shared?.ticks.once(metadata, gcLead, when, work) ?? work
        schedule = startSchedule(when, once, onError)
        life.opened('collection schedule', schedule, (one) => one.stop())
      }
      await beginJobs(useCases.writes, { collector, metadata, logger, life })
    },
  }
}

/** As the job is now: its row in the store lags behind, and may never have its end. */
function lastCollection(metadata: MetadataReader, jobs: Jobs): GcStatus['lastJob'] {
  const ids = metadata.keysBackward('jobs', [], undefined, jobsKeptMax)
  const id = ids.find((one) => metadata.get('jobs', one)?.kind === 'gc')
  return id === undefined ? undefined : toJob(id, jobs.get(id)!)
}

/** Policies that are applied by hand only. */
function dryRulesOf({ cleanup }: Config): ReadonlySet<string> {
  const dry = compileRules(cleanup).policies.filter(({ policy }) => policy.isDryRun)
  return new Set(dry.map(({ approval }) => approval))
}

async function runScheduled(collector: Collector, jobs: Jobs, logger: Logger): Promise<void> {
  const { id, ended } = await collector.start({ kind: 'run', by: 'schedule', isScheduled: true })
  await ended
  const job = jobs.get(id)
  logger.info({ event: 'gc', job: id, ...job }, 'collection ended')
  // Rules that wait for a first yes leave a plan to look at.
  if (job?.state !== 'done' || (job.counts['heldTags'] ?? 0) === 0) return
  const plan = await collector.start({ kind: 'plan', by: 'schedule' })
  await plan.ended
}
