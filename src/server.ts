/**
 * @module The composition root: configuration → stores → use cases → front. Starts in order, stops in
 * reverse. All state hangs off what is built here; no module has any of its own.
 */
import { auditEndpoints } from './admin/audit-endpoints.ts'
import type { Endpoint } from './admin/endpoint.ts'
import type { Config } from './config/config.ts'
import type { HttpEngine } from './http/engine/port.ts'
import { readTls } from './http/engine/tls-files.ts'
import { RequestLimits } from './http/request-limits.ts'
import { createLogger, type Logger } from './observability/logger.ts'
import { systemClock } from './runtime/clock.ts'
import { LifeCycle, type OnOpened } from './runtime/life-cycle.ts'
import { featuresOf, openAccess } from './server/access/open-access.ts'
import {
  endpointsOfMirrors,
  endpointsOfPrune,
  endpointsOfSignatures,
  endpointsOfSyncs,
  storeEndpoints,
} from './server/admin.ts'
import { beginAttestor } from './server/attest.ts'
import { startAudit } from './server/audit.ts'
import { makeManifestReader, makeScrub } from './server/background.ts'
import { makeCleanup } from './server/cleanup.ts'
import { openFollowers } from './server/followers.ts'
import { makeHttp } from './server/http.ts'
import { endpointsOfMesh } from './server/mesh/overview.ts'
import { mirroredBy } from './server/mirrors.ts'
import {
  type HowToOpen,
  type MeshRun,
  makeReconciliation,
  openStores,
} from './server/open-stores.ts'
import { openSignatures } from './server/signatures.ts'
import { makeHealth, makeMetrics, type StatusParts, statusEndpoints } from './server/status.ts'
import { tlsFilesOf, watchTls } from './server/tls-watch.ts'
import { makeUseCases, type UseCases } from './server/use-cases.ts'
import type { Syncs } from './sync/syncs.ts'

export interface RunningServer {
  /** Ports of the listeners, in the order of `server.addr`, `server.also_listen`. */
  readonly ports: readonly number[]
  /** Undefined: no source is configured. */
  readonly syncs?: Syncs | undefined
  /** Resolves when a node of a mesh cannot go on as it is: it is to be stopped. Undefined: one node alone. */
  readonly ended?: MeshRun['ended'] | undefined
  /** Stops accepting, lets requests finish up to the limit, flushes, closes. */
  stop(): Promise<void>
}

export interface ServerOptions extends HowToOpen {
  readonly logger?: Logger
  /** Called for each part that was opened; a throw fails the start there. */
  readonly onOpened?: OnOpened
}

/** How often idle upload sessions are looked for, ms. */
const sweepEveryMs = 30_000

/**
 * Starts a registry. Resolves when it listens; rejects with what to do when it cannot, and then
 * nothing of it is left: no thread, no lock, no port, no timer.
 */
export async function startServer(
  config: Config,
  options: ServerOptions = {},
): Promise<RunningServer> {
  const logger = options.logger ?? createLogger(config.log.level)
  const life = new LifeCycle(options.onOpened)
  return life.guard(async () => {
    const { engine, ports, syncs, ended } = await start(config, logger, life, options)
    logger.info({ event: 'listening', ports, engine: engine.kind }, 'listening')
    return {
      ports,
      syncs,
      ended,
      stop: async () => {
        engine.stopListening()
        await drained(engine, config.server.shutdownTimeoutMs)
        await life.close()
      },
    }
  })
}

/** Everything is built first, then listens, then what runs in the background starts. */
async function start(
  config: Config,
  logger: Logger,
  life: LifeCycle,
  options: HowToOpen,
): Promise<Omit<RunningServer, 'stop'> & { readonly engine: HttpEngine }> {
  // Before anything is opened that would have to be closed again.
  const tls = tlsFilesOf(config)
  if (tls !== undefined) await readTls(tls)
  const { storage, mesh, run, work, care, logins } = await openStores(config, options, logger, life)
  const { metadata } = storage
  const reconciliation = makeReconciliation(config, storage, () => useCases, logger)
  // Closed after the use cases: a stop is clean only when no upload writes any more.
  life.opened('reconciliation', reconciliation, (one) => one.stop())
  await reconciliation.begin()
  const manifests = life.opened('manifests', makeManifestReader(), (one) => one.close())
  const onFileInDoubt = () => reconciliation.doubt()
  const readManifest = manifests.read
  const signed = await openSignatures(config, storage, logger, life)
  const witness = signed.attest?.attestor
  const own = { shared: work, member: mesh?.member }
  const parts = { readManifest, onFileInDoubt, gate: signed.gate, witness, ...own, life }
  const useCases: UseCases = makeUseCases(config, storage, parts)
  useCases.writes.uploads.recover()
  beginAttestor(signed.attest, storage, useCases, life)
  const isMirrored = mirroredBy(config)
  const cleanup = makeCleanup(config, { storage, useCases, logger, isMirrored, life })
  const scrub = life.opened('scrub', makeScrub(config, storage, logger), (one) => one.stop())
  const audit = life.opened('audit', startAudit(config, logger), (one) => one?.close())
  const limits = makeLimits(config)
  const access = await openAccess(config, {
    ...{ metadata, limits, audit, logger, life },
    ...{ cluster: run?.cluster, logins },
  })
  const isForAll = access?.isForAll ?? (() => true)
  const served = { answers: 0 }
  const answered = () => served.answers
  const { gate } = signed
  const of = { storage, useCases, readManifest, logger, life }
  const shared = { ...of, isForAll, answered, gate }
  const { mirrors, syncs, syncCounters } = await openFollowers(config, shared, signed, mesh)
  const health = makeHealth(storage, mesh?.gate?.checks)
  const shown: StatusParts = {
    storage,
    useCases,
    reconciliation,
    scrub,
    cleanup,
    mirrors,
    syncs: syncs?.engine,
    syncCounters,
    signatureCounters: signed.counters,
    audit,
    ...{ overview: run?.overview(metadata), care, factsOf: mesh?.factsOf },
    logger,
  }
  const engine = await makeHttp(config, {
    ...shown,
    health,
    limits,
    access,
    signed,
    served,
    mesh,
    makeMetrics: (itsEngine) => makeMetrics(config, shown, itsEngine),
    endpoints: (itsEngine) => {
      const endpoints: Endpoint[] = [
        ...statusEndpoints(featuresOf(config, shown), shown, itsEngine, () => endpoints),
        ...storeEndpoints(metadata, useCases, cleanup, (...of) => signed.standings.shown(...of)),
        ...endpointsOfMirrors(config, mirrors, logger),
        ...endpointsOfSyncs(syncs?.engine),
        ...endpointsOfPrune(syncs?.prune, useCases.writes.jobs),
        ...endpointsOfSignatures(config, metadata, useCases.writes.jobs, signed),
        ...endpointsOfMesh(shown, run),
        ...auditEndpoints({ file: config.auditFile, flush: async () => audit?.flush() }),
      ]
      return endpoints
    },
    life,
  })
  const ports = await listen(engine, config)
  await watchTls(config, engine, logger, life)
  reconciliation.start()
  sweepUploads(useCases, logger, life)
  scrub.start()
  await cleanup.start()
  mirrors?.start()
  await syncs?.engine.start()
  health.started()
  return { engine, ports, syncs: syncs?.engine, ended: run?.ended }
}

function sweepUploads({ writes }: UseCases, logger: Logger, life: LifeCycle): void {
  const sweeping = setInterval(() => {
    writes.uploads.sweep().catch((error: unknown) => logger.error({ error }, 'upload sweep failed'))
  }, sweepEveryMs)
  sweeping.unref()
  life.opened('sweeping', sweeping, clearInterval)
}
async function listen(engine: HttpEngine, config: Config): Promise<number[]> {
  const { addr, alsoListen, alsoListenTls } = config.server
  const tls = tlsFilesOf(config)
  const secure = tls === undefined ? {} : { tls }
  const ports = [await engine.listen({ ...addr, ...secure })]
  if (alsoListen !== undefined) {
    ports.push(await engine.listen({ ...alsoListen, ...(alsoListenTls ? secure : {}) }))
  }
  return ports
}

function makeLimits({ limits }: Config): RequestLimits | undefined {
  const isLimited = limits.requestsPerSecond > 0 || limits.bytesPerSecond > 0
  return isLimited ? new RequestLimits(limits, systemClock) : undefined
}

/**
 * Connections that sent nothing for so long in a stop are closed, ms. Until then a proxy that keeps
 * connections gets an answer with `Connection: close` on each that it uses, and loses no request.
 */
const quietMs = 100

/** Waits until every request is answered and no further one comes, at most `limitMs`. */
async function drained(engine: HttpEngine, limitMs: number): Promise<void> {
  const deadline = performance.now() + limitMs
  let finished = engine.finishedRequests
  let quietSince = performance.now()
  for (;;) {
    const now = performance.now()
    if (engine.openRequests > 0 || engine.finishedRequests !== finished) quietSince = now
    finished = engine.finishedRequests
    const isQuiet = engine.openConnections === 0 || now - quietSince >= quietMs
    if ((engine.openRequests === 0 && isQuiet) || now >= deadline) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
