/**
 * @module The composition root: configuration → stores → use cases → routes. Starts in order, stops
 * in reverse. All state hangs off what is built here; no module has any of its own.
 */
import { access, constants } from 'node:fs/promises'
import type { Config } from './config/config.ts'
import { Discovery } from './distribution/discovery.ts'
import { Deletes } from './distribution/management.ts'
import { Mounts } from './distribution/mount.ts'
import { ManifestPushes } from './distribution/push-manifest.ts'
import { TagLocks } from './distribution/tag-locks.ts'
import { Uploads } from './distribution/uploads.ts'
import type { HttpEngine } from './http/engine.ts'
import { BlobHandlers } from './http/handlers/blobs.ts'
import { DiscoveryHandlers } from './http/handlers/discovery.ts'
import { ManifestHandlers } from './http/handlers/manifests.ts'
import { ServiceHandlers } from './http/handlers/service.ts'
import { UploadHandlers } from './http/handlers/uploads.ts'
import { loadEngine } from './http/load-engine.ts'
import { PreparedAnswers } from './http/prepared-answers.ts'
import { RequestLog } from './http/request-log.ts'
import { engineRefusal, respondError } from './http/respond-error.ts'
import { createDispatcher } from './http/routes.ts'
import { Health } from './observability/health.ts'
import { createLogger, type Logger } from './observability/logger.ts'
import { Metrics } from './observability/metrics.ts'
import { systemClock } from './runtime/clock.ts'
import { systemRandom } from './runtime/random.ts'
import { startSchedule } from './runtime/schedule.ts'
import { readVersion } from './runtime/version.ts'
import { openStorage, type Storage } from './storage/open-storage.ts'
import { Reconciliation } from './storage/reconcile.ts'
import { Scrub } from './storage/scrub.ts'

export interface RunningServer {
  /** Ports of the listeners, in the order of `server.addr`, `server.also_listen`. */
  readonly ports: readonly number[]
  /** Stops accepting, lets requests finish up to the limit, flushes, closes. */
  stop(): Promise<void>
}

export interface ServerOptions {
  readonly logger?: Logger
}

/** How often idle upload sessions are looked for, ms. */
const sweepEveryMs = 30_000

/** Starts a registry. Resolves when it listens; rejects with what to do when it cannot. */
export async function startServer(
  config: Config,
  options: ServerOptions = {},
): Promise<RunningServer> {
  const logger = options.logger ?? createLogger(config.log.level)
  const storage = await openStorage({
    path: config.storage.path,
    cacheBytes: config.storage.cacheSizeMb * 1024 * 1024,
    durability: config.storage.durability,
    reader: config.storage.reader,
    ingestThreads: config.workers.ingestThreads,
    clock: systemClock,
    reserveBytes: config.storage.reserveMb * 1024 * 1024,
    onQuarantined: (digest, reason) => logger.error({ digest, reason }, 'blob quarantined'),
  })
  const uploads = makeUploads(config, storage, () => reconciliation.doubt())
  const reconciliation = new Reconciliation({
    ...storage,
    sessions: uploads,
    clock: systemClock,
    log: logger,
    isRelaxed: config.storage.durability === 'relaxed',
  })
  await reconciliation.begin()
  uploads.recover()
  const scrub = startScrub(config, storage, logger)
  const parts = { storage, uploads, reconciliation, scrub, logger }
  const { engine, metrics } = await makeEngine(config, parts)
  const sweeping = setInterval(() => {
    uploads.sweep().catch((error: unknown) => logger.error({ error }, 'upload sweep failed'))
  }, sweepEveryMs)
  sweeping.unref()
  const closeAll = async () => {
    clearInterval(sweeping)
    uploads.close()
    await scrub.stop()
    await reconciliation.stop()
    metrics?.stop()
    await storage.close()
  }
  let ports: number[]
  try {
    ports = await listen(engine, config)
  } catch (error) {
    engine.close()
    await closeAll()
    throw error
  }
  reconciliation.start()
  logger.info({ event: 'listening', ports, engine: engine.kind }, 'listening')
  return {
    ports,
    stop: async () => {
      engine.stopListening()
      await drained(engine, config.server.shutdownTimeoutMs)
      engine.close()
      await closeAll()
    },
  }
}

function makeUploads(config: Config, storage: Storage, onFileInDoubt: () => void): Uploads {
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

/** The scrub and its schedule, if it is switched on. */
function startScrub({ storage: { path, scrub: when } }: Config, storage: Storage, logger: Logger) {
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

interface Parts {
  readonly storage: Storage
  readonly uploads: Uploads
  readonly reconciliation: Reconciliation
  readonly scrub: ReturnType<typeof startScrub>
  readonly logger: Logger
}

async function makeEngine(
  config: Config,
  { storage, uploads, reconciliation, scrub, logger }: Parts,
): Promise<{ engine: HttpEngine; metrics: Metrics | undefined }> {
  const { metadata } = storage
  const startedAt = systemClock.monotonic()
  const version = readVersion()
  const policy = {
    allowsSparseIndex: config.policy.allowSparseIndex,
    allowsMissingBlobs: config.policy.allowMissingBlobs,
    checksSizes: config.policy.checkSizes,
    allowsDelete: config.policy.delete,
  }
  const tagLocks = new TagLocks()
  const deletes = new Deletes(metadata, policy.allowsDelete, tagLocks)
  const pushes = new ManifestPushes(metadata, policy, systemClock, tagLocks)
  const requestLog = config.log.access
    ? new RequestLog(logger.accessLog, config.log.accessSample)
    : undefined
  let metrics: Metrics | undefined
  const service = new ServiceHandlers({
    version,
    health: makeHealth(storage),
    get metrics() {
      return metrics
    },
    describe: () => ({
      engine: engine.kind,
      uptimeSeconds: Math.floor((systemClock.monotonic() - startedAt) / 1000),
      openConnections: engine.openConnections,
      openUploads: uploads.openCount,
      blobReader: storage.reader.kind,
      mappedBytes: storage.mappedBytes(),
      freeBytes: storage.space.freeBytes,
      takesPushes: storage.space.hasRoom,
      quarantinedBlobs: storage.quarantine.count,
      reconciliation: reconciliation.status,
      scrub: scrub.status(),
    }),
  })
  const answers = new PreparedAnswers()
  metadata.onApplied((transaction) => answers.drop(transaction))
  metadata.onDoubt(() => answers.clear())
  const handlers = {
    manifests: new ManifestHandlers(metadata, answers, pushes, deletes, storage.space),
    blobs: new BlobHandlers(metadata, answers, storage.blobs, deletes, storage.quarantine),
    uploads: new UploadHandlers(uploads, new Mounts(metadata, systemClock), storage.space),
    discovery: new DiscoveryHandlers(new Discovery(metadata)),
    service,
  }
  const dispatch = createDispatcher(handlers, answers)
  const { engine, notice, isFallback } = await loadEngine(config.server.engine, {
    handler: (request, response) => {
      // The log wants the address, and the socket does not tell it after the answer.
      if (requestLog !== undefined) void request.remoteAddress
      return dispatch(request, response)
    },
    onError: (request, response, error) => respondError(request, response, error, logger),
    refusal: engineRefusal,
    maxConnections: config.server.maxConnections,
    onExchange: (request, response) => {
      const milliseconds = performance.now() - request.startedAt
      if (metrics !== undefined) {
        const { routeKind, method } = request
        metrics.requests.observe(routeKind, method, response.status, milliseconds / 1000)
        metrics.requests.bytesSent += response.bytesSent
        metrics.requests.bytesReceived += request.bodyBytes ?? 0
      }
      requestLog?.write(request, response, milliseconds)
    },
  })
  if (isFallback) logger.warn(notice)
  else logger.info(notice)
  if (storage.reader.reason !== undefined) {
    logger.warn({ reason: storage.reader.reason }, 'blob files are read, not mapped: slower')
  }
  if (config.metrics.enabled) {
    metrics = new Metrics({
      version,
      engine: engine.kind,
      openConnections: () => engine.openConnections,
      openRequests: () => engine.openRequests,
      openUploads: () => uploads.openCount,
      mappedBytes: storage.mappedBytes,
      freeBytes: () => storage.space.freeBytes,
      quarantinedBlobs: () => storage.quarantine.count,
      scrubbedBytes: () => scrub.status().bytes,
      droppedLogLines: () => logger.droppedLines,
    })
  }
  return { engine, metrics }
}

function makeHealth({ metadata, paths }: Storage): Health {
  const checks = [
    {
      name: 'metadata',
      check: async () => {
        if (!metadata.isHealthy) throw new Error('takes no writes')
        metadata.get('system', 'schemaVersion')
      },
    },
    { name: 'disk', check: () => access(paths.uploads, constants.W_OK) },
  ]
  return new Health(checks, systemClock)
}

async function listen(engine: HttpEngine, { server }: Config): Promise<number[]> {
  const { tls } = server
  const files = tls === undefined ? {} : { tls: { cert: tls.certFile, key: tls.keyFile } }
  const ports = [await engine.listen({ ...server.addr, ...files })]
  if (server.alsoListen !== undefined) ports.push(await engine.listen(server.alsoListen))
  return ports
}

/** Waits until every request is answered, at most `limitMs`. */
async function drained(engine: HttpEngine, limitMs: number): Promise<void> {
  const deadline = performance.now() + limitMs
  while (engine.openRequests > 0 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
