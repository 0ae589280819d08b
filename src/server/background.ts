/**
 * @module What runs beside the requests: the reading of large manifests, the scheduled scrub.
 */
import type { Config } from '../config/config.ts'
import { ManifestReader } from '../distribution/manifest-reader.ts'
import type { Logger } from '../observability/logger.ts'
import { systemClock } from '../runtime/clock.ts'
import { type Schedule, startSchedule } from '../runtime/schedule.ts'
import { WorkerPool } from '../runtime/worker-pool.ts'
import type { Storage } from '../storage/open.ts'
import { Scrub, type ScrubStatus } from '../storage/scrub.ts'

/** Its thread starts with the first large manifest and ends with the server. */
export function makeManifestReader(): Pick<ManifestReader, 'read' | 'close'> {
  let pool: WorkerPool | undefined
  const reader = new ManifestReader(() => {
    pool ??= new WorkerPool({ worker: 'manifest', threads: 1, tasksPerThread: 1 })
    return pool.start({})
  })
  return {
    read: reader.read,
    close: async () => {
      await reader.close()
      await pool?.close()
    },
  }
}

export interface ScheduledScrub {
  readonly status: () => ScrubStatus & { readonly nextAt: number | null }
  /** Starts the schedule, if the scrub is switched on. */
  readonly start: () => void
  readonly stop: () => Promise<void>
}

/** Nothing runs before `start`. */
export function makeScrub(
  { storage: { scrub: when } }: Config,
  storage: Storage,
  logger: Logger,
): ScheduledScrub {
  const { setup, metadata, quarantine, shared } = storage
  const isShared = shared !== undefined
  const scrub = new Scrub({ setup, metadata, quarantine, clock: systemClock, isShared })
  const walk = async () => {
    const { damaged, ...report } = await scrub.run(when.bytesPerSecond, true)
    logger.info({ event: 'scrub', ...report, damaged: damaged.length }, 'scrub ended')
  }
  const onError = (error: unknown) => logger.error({ error }, 'scrub failed')
  let schedule: Schedule | undefined
  return {
    status: () => ({ ...scrub.status, nextAt: schedule?.next ?? null }),
    start: () => {
      if (when.enabled) schedule = startSchedule(when.schedule, walk, onError)
    },
    stop: async () => {
      schedule?.stop()
      await scrub.stop()
    },
  }
}
