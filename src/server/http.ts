/**
 * @module The way in: use cases, handlers, dispatcher, HTTP engine, request log and metrics, put
 * together for one server.
 */
import { access, constants } from 'node:fs/promises'
import { AdminApi, type AdminRequest } from '../admin/admin-api.ts'
import type { Endpoint } from '../admin/endpoint.ts'
import { mirrorEndpoints } from '../admin/mirror-endpoints.ts'
import { serviceEndpoints } from '../admin/service-endpoints.ts'
import { Networks } from '../auth/networks.ts'
import { readStoredBlob } from '../blobs/read-small.ts'
import type { Config } from '../config/config.ts'
import { Deletes } from '../distribution/delete.ts'
import { Discovery } from '../distribution/discovery.ts'
import type { ManifestReader } from '../distribution/manifest-reader.ts'
import { Mounts } from '../distribution/mount.ts'
import { ManifestPushes } from '../distribution/push-manifest.ts'
import type { Uploads } from '../distribution/uploads.ts'
import { Browsers } from '../http/browsers.ts'
import { createDispatcher } from '../http/dispatch.ts'
import { loadEngine } from '../http/engine/load.ts'
import type { HttpEngine, HttpRequest } from '../http/engine/port.ts'
import { readTls } from '../http/engine/tls-files.ts'
import { AdminHandlers } from '../http/handlers/admin.ts'
import { BlobHandlers } from '../http/handlers/blobs.ts'
import { DiscoveryHandlers } from '../http/handlers/discovery.ts'
import { ManifestHandlers } from '../http/handlers/manifests.ts'
import { MirrorFront } from '../http/handlers/mirrored.ts'
import { ServiceHandlers } from '../http/handlers/service.ts'
import { allSources, UploadHandlers } from '../http/handlers/uploads.ts'
import { PreparedAnswers } from '../http/prepared-answers.ts'
import type { RequestLimits } from '../http/request-limits.ts'
import { RequestLog } from '../http/request-log.ts'
import { engineRefusal, respondError } from '../http/respond-error.ts'
import { routeKinds } from '../http/routes.ts'
import type { Mirrors } from '../mirror/mirrors.ts'
import { Health, HealthProblem } from '../observability/health.ts'
import type { Logger } from '../observability/logger.ts'
import { Metrics } from '../observability/metrics/metrics.ts'
import { declareMirrorMetrics } from '../observability/metrics/mirrors.ts'
import { RegistryError } from '../registry/errors.ts'
import { systemClock } from '../runtime/clock.ts'
import type { LifeCycle } from '../runtime/life-cycle.ts'
import { readVersion } from '../runtime/version.ts'
import type { Storage } from '../storage/open.ts'
import type { Reconciliation } from '../storage/reconcile.ts'
import type { AccessControl } from './access.ts'
import type { Audit } from './audit.ts'
import type { startScrub } from './background.ts'
import { type Cleanup, imageAndRepositoryEndpoints } from './cleanup.ts'
import { openMirrors } from './mirrors.ts'
import { tlsFilesOf } from './tls-watch.ts'

/** What is running already when the door is built. */
export interface Parts {
  readonly storage: Storage
  readonly uploads: Uploads
  readonly reconciliation: Reconciliation
  readonly scrub: ReturnType<typeof startScrub>
  /** Undefined: nothing is limited. */
  readonly limits: RequestLimits | undefined
  readonly audit: Audit | undefined
  /** Undefined: the registry is open. */
  readonly access: AccessControl | undefined
  readonly logger: Logger
  readonly cleanup: Cleanup
  readonly manifests: Pick<ManifestReader, 'read'>
  /** What the features add to the admin API. */
  readonly endpoints: readonly Endpoint[]
  /** Everything that is opened here is closed with it. */
  readonly life: LifeCycle
}

/** Builds the engine (not listening yet) and everything between it and the stores. */
export async function makeFrontDoor(
  config: Config,
  {
    storage,
    uploads,
    reconciliation,
    scrub,
    limits,
    audit,
    access,
    logger,
    cleanup,
    manifests,
    endpoints,
    life,
  }: Parts,
): Promise<{ engine: HttpEngine; mirrors: Mirrors | undefined; readonly health: Health }> {
  const { metadata } = storage
  const startedAt = systemClock.monotonic()
  const version = readVersion()
  const policy = {
    allowsSparseIndex: config.policy.allowSparseIndex,
    allowsMissingBlobs: config.policy.allowMissingBlobs,
    checksSizes: config.policy.checkSizes,
    allowsDelete: config.policy.delete,
  }
  const { pulls, reliance } = cleanup
  const deletes = new Deletes(metadata, policy.allowsDelete, { ...cleanup, clock: systemClock })
  const pushes = new ManifestPushes(metadata, policy, systemClock, {
    ...cleanup,
    readManifest: manifests.read,
    readBlob: (digest, bytesMax) => readStoredBlob(storage, digest, bytesMax),
  })
  const requestLog = config.log.access
    ? new RequestLog(logger.accessLog, config.log.accessSample)
    : undefined
  let metrics: Metrics | undefined
  const health = makeHealth(storage)
  const service = new ServiceHandlers({
    health,
    lifeCycle: {
      isStopping: () => engine.isStopping,
      notes: () => ({
        room: storage.space.hasRoom ? 'ok' : 'short of disk space: takes no pushes',
        recovery: reconciliation.status.state,
      }),
    },
    get metrics() {
      return metrics
    },
  })
  const mirrors = await openMirrors(config, storage, {
    logger,
    tagLocks: cleanup.tagLocks,
    readManifest: manifests.read,
    doubt: () => reconciliation.doubt(),
  })
  life.opened('mirrors', mirrors, (one) => one?.close())
  const browsers = makeBrowsers(config)
  const isOtherSite = (request: AdminRequest) => browsers.isOtherSite(request)
  const own = [
    ...serviceEndpoints({
      version,
      endpoints: () => admin.endpoints,
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
        gc: cleanup.status(),
      }),
    }),
    ...cleanup.endpoints,
    ...imageAndRepositoryEndpoints(cleanup, storage, pushes),
    ...mirrorEndpoints({
      mirrors,
      isTls: config.server.tls !== undefined,
      onWarmed: (mirror, failed) =>
        logger.info({ event: 'warmed', mirror, failed }, 'mirror warmed'),
    }),
    ...endpoints,
  ]
  const admin: AdminApi = new AdminApi(own, isOtherSite)
  const answers = new PreparedAnswers()
  metadata.onApplied(answers.effects)
  metadata.onDoubt(() => answers.clear())
  const handlers = {
    manifests: new ManifestHandlers(
      metadata,
      answers,
      pushes,
      deletes,
      storage.space,
      pulls,
      reliance,
    ),
    blobs: new BlobHandlers(
      metadata,
      answers,
      storage.blobs,
      deletes,
      storage.quarantine,
      reliance,
    ),
    uploads: new UploadHandlers(
      uploads,
      new Mounts(metadata, systemClock, cleanup.history),
      storage.space,
      access?.sourceRights ?? (() => allSources),
    ),
    discovery: new DiscoveryHandlers(new Discovery(metadata), access?.maySee),
    service,
    admin: new AdminHandlers(admin, logger, (request, reason) =>
      audit?.refused(request, { reason, path: request.path.slice(0, 512), status: 403 }),
    ),
    token: access?.tokenHandlers,
  }
  const onDenied = (request: HttpRequest) => audit?.refused(request, { reason: 'mirror' })
  const front = mirrors === undefined ? undefined : new MirrorFront(mirrors, handlers, onDenied)
  if (front !== undefined) answers.inspector = (path, prepared) => front.inspect(path, prepared)
  const gated = createDispatcher(handlers, answers, { gate: access?.gate, mirrors: front })
  const dispatch = browsers.before(gated)
  const needsAddress = requestLog !== undefined || limits !== undefined
  const proxies = new Networks(config.trustedProxies)
  const balancers = new Networks(config.server.proxyProtocol)
  const { engine, notice, isFallback } = await loadEngine(config.server.engine, {
    handler: (request, response) => {
      // The log wants the address, and the socket does not tell it after the answer. In the audit
      // trail are changes, and refusals, which are written while the socket is there.
      if (needsAddress || (audit !== undefined && !isRead(request.method))) {
        void request.remoteAddress
      }
      const wait = limits?.takeAddress(request)
      return wait === undefined
        ? dispatch(request, response)
        : wait.then(() => dispatch(request, response))
    },
    onError: (request, response, error) => {
      if (error instanceof RegistryError && error.auditWord !== undefined) {
        audit?.refused(request, { reason: error.auditWord })
      }
      respondError(request, browsers.dress(request, response), error, logger)
    },
    refusal: engineRefusal,
    maxConnections: config.server.maxConnections,
    idleTimeoutMs: config.server.idleTimeoutMs,
    isBalancer: balancers.isEmpty ? undefined : (address) => balancers.includes(address),
    isTrustedProxy: proxies.isEmpty ? undefined : (address) => proxies.includes(address),
    onExchange: (request, response) => {
      const milliseconds = performance.now() - request.startedAt
      if (metrics !== undefined) {
        const { routeKind, method } = request
        metrics.requests.observe(routeKind, method, response.status, milliseconds / 1000)
        metrics.requests.bytesSent += response.bytesSent
        metrics.requests.bytesReceived += request.bytesReceived
      }
      requestLog?.write(request, response, milliseconds)
      audit?.finished(request, response)
      // What was read from the disk and not sent is paid as well.
      const out = Math.max(response.bytesSent, response.bytesFetched)
      limits?.charge(request, out + request.bytesReceived)
    },
  })
  life.opened('engine', engine, (one) => one.close())
  if (isFallback) logger.warn(notice)
  else logger.info(notice)
  if (storage.reader.reason !== undefined) {
    logger.warn({ reason: storage.reader.reason }, 'blob files are read, not mapped: slower')
  }
  if (config.metrics.enabled) {
    metrics = new Metrics({
      routes: routeKinds,
      version,
      engine: engine.kind,
      openConnections: () => engine.openConnections,
      openRequests: () => engine.openRequests,
      openUploads: () => uploads.openCount,
      mappedBytes: storage.mappedBytes,
      freeBytes: () => storage.space.freeBytes,
      quarantinedBlobs: () => storage.quarantine.count,
      scrubbedBytes: () => scrub.status().bytes,
      droppedLogLines: () => logger.droppedLines + (audit?.droppedLines ?? 0),
      cleanup: cleanup.metrics,
    })
    life.opened('metrics', metrics, (one) => one.stop())
  }
  if (metrics !== undefined && mirrors !== undefined) {
    declareMirrorMetrics(metrics, () => mirrors.readings())
  }
  return { engine, mirrors, health }
}

function isRead(method: string): boolean {
  return method === 'GET' || method === 'HEAD'
}

function makeBrowsers(config: Config): Browsers {
  const { corsOrigins: origins, hosts } = config.server
  const tls = tlsFilesOf(config)
  const { realm } = config.auth.tokens
  const own = realm === undefined ? [] : [new URL(realm).hostname]
  const knownNames = async () => {
    if (tls === undefined) return own
    const { names, sni } = await readTls(tls)
    return [...own, ...names, ...sni.flatMap((pair) => pair.names)].map((name) =>
      name.toLowerCase(),
    )
  }
  return new Browsers({ origins, hosts, knownNames, monotonic: systemClock.monotonic })
}

function makeHealth({ metadata, paths }: Storage): Health {
  const checks = [
    {
      name: 'metadata',
      check: async () => {
        if (!metadata.isHealthy) throw new HealthProblem('takes no writes')
        metadata.get('system', 'schemaVersion')
      },
    },
    { name: 'disk', check: () => access(paths.uploads, constants.W_OK) },
  ]
  return new Health(checks, systemClock)
}
