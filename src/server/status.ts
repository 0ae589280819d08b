/**
 * @module What the server reports of itself: health checks, `/admin/status`, metrics.
 */
import type { Endpoint } from '../admin/endpoint.ts'
import { type Features, serviceEndpoints } from '../admin/service-endpoints.ts'
import type { Config } from '../config/config.ts'
import type { HttpEngine } from '../http/engine/port.ts'
import { routeKinds } from '../http/routes.ts'
import type { CopyCare } from '../mesh/standing/care.ts'
import type { Mirrors } from '../mirror/mirrors.ts'
import { Health, type HealthCheck, HealthProblem } from '../observability/health.ts'
import type { Logger } from '../observability/logger.ts'
import {
  declareCopyMetrics,
  declareMeshMetrics,
  declarePlacementMetrics,
} from '../observability/metrics/mesh.ts'
import { Metrics } from '../observability/metrics/metrics.ts'
import { declareMirrorMetrics } from '../observability/metrics/mirrors.ts'
import {
  declareSignatureMetrics,
  type SignatureCounters,
} from '../observability/metrics/signatures.ts'
import { declareSyncMetrics, SyncCounters } from '../observability/metrics/sync.ts'
import { systemClock } from '../runtime/clock.ts'
import { readVersion } from '../runtime/version.ts'
import type { Storage } from '../storage/open.ts'
import type { Reconciliation } from '../storage/reconcile.ts'
import type { Syncs } from '../sync/syncs.ts'
import type { Audit } from './audit.ts'
import type { ScheduledScrub } from './background.ts'
import type { Cleanup } from './cleanup.ts'
import {
  type AskFacts,
  copiesReadingOf,
  meshReadingOf,
  type OverviewParts,
} from './mesh/overview.ts'
import { readingsOfSyncs } from './sync/readings.ts'
import type { UseCases } from './use-cases.ts'

/** What is asked for a report. */
export interface StatusParts {
  readonly storage: Storage
  readonly useCases: UseCases
  readonly reconciliation: Reconciliation
  readonly scrub: ScheduledScrub
  readonly cleanup: Cleanup
  /** Undefined: none is configured. */
  readonly mirrors: Mirrors | undefined
  /** Both undefined: no source is configured. */
  readonly syncs?: Syncs | undefined
  readonly syncCounters?: SyncCounters | undefined
  readonly signatureCounters: SignatureCounters
  readonly audit: Audit | undefined
  /** Undefined: one node alone. */
  readonly overview?: OverviewParts | undefined
  readonly care?: CopyCare | undefined
  readonly factsOf?: AskFacts | undefined
  readonly logger: Logger
}

/** `/admin/status` and the API's description of itself; `all` gives every endpoint of the API. */
export function statusEndpoints(
  features: Features,
  { storage, useCases, reconciliation, scrub, cleanup }: StatusParts,
  engine: () => HttpEngine,
  all: () => readonly Endpoint[],
): Endpoint[] {
  const startedAt = systemClock.monotonic()
  return serviceEndpoints({
    version: readVersion(),
    endpoints: all,
    features,
    describe: () => ({
      engine: engine().kind,
      uptimeSeconds: Math.floor((systemClock.monotonic() - startedAt) / 1000),
      openConnections: engine().openConnections,
      openUploads: useCases.writes.uploads.openCount,
      blobReader: storage.driver.reader.kind,
      mappedBytes: storage.driver.reader.mappedBytes,
      freeBytes: storage.writer.room.freeBytes,
      takesPushes: storage.writer.room.hasRoom,
      quarantinedBlobs: storage.quarantine.count,
      reconciliation: reconciliation.status,
      scrub: scrub.status(),
      gc: cleanup.status(),
    }),
  })
}

/** Undefined when metrics are switched off. */
export function makeMetrics(
  config: Config,
  parts: StatusParts,
  engine: HttpEngine,
): Metrics | undefined {
  if (!config.metrics.enabled) return undefined
  const { storage, useCases, scrub, cleanup, mirrors, audit, logger } = parts
  const metrics = new Metrics({
    routes: routeKinds,
    version: readVersion(),
    engine: engine.kind,
    openConnections: () => engine.openConnections,
    openRequests: () => engine.openRequests,
    openUploads: () => useCases.writes.uploads.openCount,
    mappedBytes: () => storage.driver.reader.mappedBytes,
    freeBytes: () => storage.writer.room.freeBytes,
    quarantinedBlobs: () => storage.quarantine.count,
    scrubbedBytes: () => scrub.status().bytes,
    droppedLogLines: () => logger.droppedLines + (audit?.droppedLines ?? 0),
    cleanup: cleanup.metrics,
  })
  if (mirrors !== undefined) declareMirrorMetrics(metrics, () => mirrors.readings())
  const { syncs, syncCounters = new SyncCounters() } = parts
  const readings = () => (syncs === undefined ? [] : readingsOfSyncs(syncs))
  declareSyncMetrics(metrics, syncCounters, readings, systemClock.now)
  declareSignatureMetrics(metrics, parts.signatureCounters)
  const { overview, care } = parts
  if (overview !== undefined) declareMeshMetrics(metrics, () => meshReadingOf(overview))
  const { shared } = storage
  if (shared !== undefined) declarePlacementMetrics(metrics, () => shared.counts.placements)
  if (care !== undefined) declareCopyMetrics(metrics, () => copiesReadingOf(care))
  return metrics
}

/** `own`: further checks, of a node of a mesh. */
export function makeHealth(
  { metadata, driver }: Storage,
  own: readonly HealthCheck[] = [],
): Health {
  const checks: HealthCheck[] = [
    {
      name: 'metadata',
      check: async () => {
        if (!metadata.isHealthy) throw new HealthProblem('takes no writes')
        metadata.get('system', 'schemaVersion')
      },
    },
    { name: 'disk', check: () => driver.probe() },
    ...own,
  ]
  return new Health(checks, systemClock)
}
