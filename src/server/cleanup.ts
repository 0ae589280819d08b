/**
 * @module Clean-up, put together for one server: history, protection, pull times, promises, jobs,
 * plans, the collection and its schedule, and the endpoints that show them.
 */
import type { Endpoint } from '../admin/endpoint.ts'
import { eventEndpoints } from '../admin/event-endpoints.ts'
import { EventTail } from '../admin/event-tail.ts'
import { type GcStatus, gcEndpoints } from '../admin/gc-endpoints.ts'
import { imageEndpoints } from '../admin/image-endpoints.ts'
import { jobEndpoints, toJob } from '../admin/job-endpoints.ts'
import { pinEndpoints } from '../admin/pin-endpoints.ts'
import { repositoryEndpoints } from '../admin/repository-endpoints.ts'
import { defined, isoTime } from '../admin/schemas.ts'
import { readStoredBlob } from '../blobs/read-small.ts'
import type { Config } from '../config/config.ts'
import { Reliance } from '../distribution/head-promise.ts'
import { History } from '../distribution/history.ts'
import { Protection } from '../distribution/protection.ts'
import { PullTimes } from '../distribution/pull-times.ts'
import type { ManifestPushes } from '../distribution/push-manifest.ts'
import { TagLocks } from '../distribution/tag-locks.ts'
import type { Uploads } from '../distribution/uploads.ts'
import { ClockGuard } from '../gc/clock-guard.ts'
import { Collector } from '../gc/collector.ts'
import { Explain } from '../gc/explain.ts'
import { compileRules } from '../gc/mark/rules.ts'
import { planBulkDelete } from '../gc/plan/bulk-delete.ts'
import { Plans } from '../gc/plan/plans.ts'
import { pruneHistory } from '../gc/prune-history.ts'
import { TrashWatch } from '../gc/trash-watch.ts'
import { Jobs, jobsKeptMax } from '../jobs/jobs.ts'
import type { Logger } from '../observability/logger.ts'
import type { CleanupSources } from '../observability/metrics/cleanup.ts'
import type { Digest } from '../registry/digest.ts'
import { Copies } from '../repositories/copy.ts'
import { Repositories } from '../repositories/delete-rename.ts'
import { Undelete } from '../repositories/undelete.ts'
import { systemClock } from '../runtime/clock.ts'
import { startSchedule } from '../runtime/schedule.ts'
import type { Storage } from '../storage/open.ts'

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
  const jobs = new Jobs(metadata, clock)
  const plans = new Plans({ metadata, paths: storage.paths, clock, history })
  const clockGuard = new ClockGuard(clock, metadata)
  const totals = {
    runs: new Map<string, number>(),
    removed: new Map<string, number>(),
    steps: 0,
    removedBytes: 0,
    freedBytes: 0,
    lastSuccessAt: 0,
  }
  const trash = new TrashWatch(metadata, clock)
  const count = (map: Map<string, number>, key: string, by = 1) =>
    map.set(key, (map.get(key) ?? 0) + by)
  const mirrored = isMirrored ?? (() => false)
  const explain = new Explain(storage.paths.root, config.cleanup)
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
    isMirrored: mirrored,
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
      for (const [kind, number] of Object.entries(counts)) count(totals.removed, kind, number)
    },
    onEnded: (state) => {
      count(totals.runs, state)
      if (state === 'done') totals.lastSuccessAt = clock.now()
    },
    onStep: () => {
      totals.steps += 1
    },
    isStopping: () => isStopping,
    log: logger,
  })
  const { gc } = config.cleanup
  const runScheduled = async () => {
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
      .keysBackward('jobs', [], undefined, jobsKeptMax)
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
    ...gcEndpoints({
      collector,
      jobs,
      plans,
      status,
      planBulk: (request) =>
        planBulkDelete(metadata, plans, shared.protection, mirrored, {
          ...request,
          now: clock.now(),
        }),
      explain: (repository, only, signal) =>
        explain.repository(repository, only, clock.now(), signal),
    }),
    ...jobEndpoints(jobs, metadata),
    ...eventEndpoints({ tail: new EventTail(metadata) }),
    ...pinEndpoints({ metadata, history, clock }),
  ]
  return {
    ...shared,
    jobs,
    plans,
    collector,
    metrics: {
      runs: () => totals.runs,
      removed: () => totals.removed,
      steps: () => totals.steps,
      removedBytes: () => totals.removedBytes,
      freedBytes: () => totals.freedBytes,
      isRunning: () => jobs.running('gc') !== undefined,
      candidates: () => {
        const { heldTags: _held, ...kinds } = collector.lastCounts
        return Object.values(kinds).reduce((sum, it) => sum + it, 0)
      },
      heldTags: () => collector.lastCounts['heldTags'] ?? 0,
      lastSuccessSeconds: () => totals.lastSuccessAt / 1_000,
      nextRunSeconds: () => (schedule?.next ?? 0) / 1_000,
      trashBytes: () => trash.bytes,
      trashBlobs: () => trash.blobs,
      oldestTrashSeconds: () => trash.oldestSeconds,
      blockedDeletes: () => shared.protection.blockedCount,
      clockIsDoubted: () => clockGuard.doubt !== undefined,
    } satisfies CleanupSources,
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

/** Endpoints that need the pushes, which the front door makes. */
export function imageAndRepositoryEndpoints(
  cleanup: Cleanup,
  storage: Storage,
  pushes: ManifestPushes,
): Endpoint[] {
  const { metadata } = storage
  const clock = systemClock
  const copies = new Copies(metadata, pushes, clock)
  const readBlob = (digest: Digest, bytesMax: number) => readStoredBlob(storage, digest, bytesMax)
  const undelete = new Undelete({ ...storage, ...cleanup, clock })
  const repositories = new Repositories({ ...cleanup, metadata, clock, copies })
  return [
    ...imageEndpoints({ metadata, copies, undelete, readBlob }),
    ...repositoryEndpoints({ metadata, repositories, jobs: cleanup.jobs }),
  ]
}
