/**
 * @module What runs beside the requests: upload sessions that are kept, the reading of large
 * manifests, the scheduled scrub.
 */
import type { Config } from '../config/config.ts'
import { ManifestReader } from '../distribution/manifest-reader.ts'
import { Uploads } from '../distribution/uploads.ts'
import type { Logger } from '../observability/logger.ts'
import { systemClock } from '../runtime/clock.ts'
import { systemRandom } from '../runtime/random.ts'
import { startSchedule } from '../runtime/schedule.ts'
import { WorkerPool } from '../runtime/worker-pool.ts'
import type { Storage } from '../storage/open.ts'
import { Scrub } from '../storage/scrub.ts'

export function makeUploads(config: Config, storage: Storage, onFileInDoubt: () => void): Uploads {
  return new Uploads({
    metadata: storage.metadata,
    writer: storage.writer,
    clock: systemClock,
    random: systemRandom,
    inlineLimitBytes: config.storage.inlineLimitBytes,
    uploadsPerClientMax: config.server.maxUploadsPerClient,
    uploadTtlMs: config.storage.uploadTtlMs,
    digestLock: storage.digestLock,
    onFileReplaced: storage.forget,
    onFileInDoubt,
  })
}

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

/** The scrub and its schedule, if it is switched on. */
export function startScrub(
  { storage: { path, scrub: when } }: Config,
  storage: Storage,
  logger: Logger,
) {
  const { metadata, quarantine } = storage
  const scrub = new Scrub({ path, metadata, quarantine, clock: systemClock })
  const walk = async () => {
    const { damaged, ...report } = await scrub.run(when.bytesPerSecond, true)
    logger.info({ event: 'scrub', ...report, damaged: damaged.length }, 'scrub ended')
  }
  const onError = (error: unknown) => logger.error({ error }, 'scrub failed')
  const schedule = when.enabled ? startSchedule(when.schedule, walk, onError) : undefined
  return {
    status: () => ({ ...scrub.status, nextAt: schedule?.next ?? null }),
    stop: async () => {
      schedule?.stop()
      await scrub.stop()
    },
  }
}
