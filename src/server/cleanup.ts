/**
 * @module Clean-up, put together for one server: history, protection, pull times, promises, jobs,
 * plans, the collection and its schedule, and the endpoints that show them.
 */
import type { Endpoint } from '../admin/endpoint.ts'
import { type GcStatus, gcEndpoints } from '../admin/gc-endpoints.ts'
import { jobEndpoints, toJob } from '../admin/job-endpoints.ts'
import { defined, isoTime } from '../admin/schemas.ts'
import type { Config } from '../config/config.ts'
import { History } from '../distribution/history.ts'
import { Protection } from '../distribution/protection.ts'
import { PullTimes } from '../distribution/pull-times.ts'
import { Reliance } from '../distribution/reliance.ts'
import { TagLocks } from '../distribution/tag-locks.ts'
import type { Uploads } from '../distribution/uploads.ts'
import { ClockGuard } from '../gc/clock-guard.ts'
import { Collector } from '../gc/collector.ts'
import { Jobs } from '../gc/jobs.ts'
import { Plans } from '../gc/plans.ts'
import { pruneHistory } from '../gc/prune-history.ts'
import { compileRules } from '../gc/rules.ts'
import type { Logger } from '../observability/logger.ts'
import { systemClock } from '../runtime/clock.ts'
import { startSchedule } from '../runtime/schedule.ts'
import type { Storage } from '../storage/open-storage.ts'

export interface CleanupParts {
  readonly config: Config
  readonly storage: Storage
  readonly uploads: Uploads
  readonly logger: Logger
  /** Repositories that a mirror fills: collection leaves them to the mirror's own rules. */
  readonly isMirrored?: (repository: string) => boolean
}

export type Cleanup = ReturnType<typeof makeCleanup>

/** Pins that are read at once; all of them travel with a plan's task. */
const pinsMax = 100_000

export function makeCleanup({ config, storage, uploads, logger, isMirrored }: CleanupParts) {
  const { metadata } = storage
  const clock = systemClock
  const history = new History()
  const shared = {
    history,
    tagLocks: new TagLocks(),
    protection: new Protection(config.cleanup.immutableTags),
    pulls: new PullTimes(metadata, clock),
    reliance: new Reliance(metadata, clock, config.cleanup.gc.graceMs),
  }
  const jobs = new Jobs(metadata, clock, history)
  const plans = new Plans({ metadata, paths: storage.paths, clock, history })
  const clockGuard = new ClockGuard(clock, metadata)
  const totals = { runs: 0, removedBytes: 0, freedBytes: 0, removed: new Map<string, number>() }
  let isStopping = false
  const collector = new Collector({
    ...storage,
    ...shared,
    clock,
    config: config.cleanup,
    jobs,
    plans,
    clockGuard,
    uploads,
    isMirrored: isMirrored ?? (() => false),
    pins: () =>
      metadata
        .entries('pins', [], undefined, pinsMax)
        .map(({ key, row }) => [key[0], row] as const),
    dryRules: new Set(
      compileRules(config.cleanup)
        .policies.filter(({ policy }) => policy.isDryRun)
        .map(({ approval }) => approval),
    ),
    prune: () => pruneHistory(metadata, clock),
    onFreed: ({ bytes, freedBytes, counts }) => {
      totals.removedBytes += bytes
      totals.freedBytes += freedBytes
      for (const [kind, count] of Object.entries(counts)) {
        totals.removed.set(kind, (totals.removed.get(kind) ?? 0) + count)
      }
    },
    isStopping: () => isStopping,
    log: logger,
  })
  const { gc } = config.cleanup
  const runScheduled = async () => {
    totals.runs += 1
    const { id, ended } = await collector.start({ kind: 'run', by: 'schedule', isScheduled: true })
    await ended
    const job = jobs.get(id)
    logger.info({ event: 'gc', job: id, ...job }, 'collection ended')
    // Rules that wait for a first yes leave a plan to look at.
    if (job?.state !== 'done' || (job.counts['heldTags'] ?? 0) === 0) return
    const plan = await collector.start({ kind: 'plan', by: 'schedule' })
    await plan.ended
  }
  const onError = (error: unknown) => logger.error({ error }, 'collection did not run')
  const schedule = gc.enabled ? startSchedule(gc.schedule, runScheduled, onError) : undefined
  const status = (): GcStatus => {
    const last = metadata
      .keys('jobs', [], undefined, 2_000)
      .reverse()
      .find((id) => metadata.get('jobs', id)?.kind === 'gc')
    return defined({
      enabled: gc.enabled,
      schedule: gc.schedule,
      nextAt: isoTime(schedule?.next),
      running: jobs.running('gc'),
      lastJob: last === undefined ? undefined : toJob(last, jobs.get(last)!),
      clockDoubt: clockGuard.doubt,
    })
  }
  const endpoints: Endpoint[] = [
    ...gcEndpoints({ collector, jobs, plans, status }),
    ...jobEndpoints(jobs, metadata),
  ]
  return {
    ...shared,
    jobs,
    plans,
    collector,
    totals,
    status,
    endpoints,
    /** Begins what runs in the background, and goes on with what a stop interrupted. */
    start: async () => {
      shared.pulls.start()
      clockGuard.start()
      const interrupted = collector.interruptedJob
      await jobs.recover((id) => id === interrupted)
      await collector.resume()
    },
    stop: async () => {
      isStopping = true
      schedule?.stop()
      await jobs.stop()
      await shared.pulls.stop()
      await clockGuard.stop()
    },
  }
}
