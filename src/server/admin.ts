/**
 * @module The endpoints of the admin API, on the use cases of one registry.
 */
import type { Endpoint } from '../admin/endpoint.ts'
import { eventEndpoints } from '../admin/events/endpoints.ts'
import { EventTail } from '../admin/events/tail.ts'
import { gcEndpoints } from '../admin/gc-endpoints.ts'
import { imageEndpoints } from '../admin/image-endpoints.ts'
import { jobEndpoints } from '../admin/job-endpoints.ts'
import { mirrorEndpoints } from '../admin/mirror-endpoints.ts'
import { pinEndpoints } from '../admin/pin-endpoints.ts'
import { repositoryEndpoints } from '../admin/repository-endpoints.ts'
import { signatureEndpoints } from '../admin/signatures/endpoints.ts'
import { syncEndpoints } from '../admin/sync-endpoints.ts'
import { syncPlanEndpoints } from '../admin/sync-plan-endpoints.ts'
import type { Config } from '../config/config.ts'
import { planBulkDelete } from '../gc/plan/bulk-delete.ts'
import type { Jobs } from '../jobs/jobs.ts'
import type { MetadataStore } from '../metadata/port.ts'
import type { Mirrors } from '../mirror/mirrors.ts'
import type { Logger } from '../observability/logger.ts'
import { systemClock } from '../runtime/clock.ts'
import { recheckWith } from '../signing/pulls/recheck.ts'
import type { Prune } from '../sync/prune/prune.ts'
import type { Syncs } from '../sync/syncs.ts'
import type { Cleanup } from './cleanup.ts'
import type { OpenedSignatures } from './signatures.ts'
import type { UseCases } from './use-cases.ts'

/** What works with and without a server. */
export function storeEndpoints(
  metadata: MetadataStore,
  { writes }: UseCases,
  cleanup: Cleanup,
  verdictOf: OpenedSignatures['standings']['shown'],
): Endpoint[] {
  const { copies, undelete, repositories, readBlob, jobs, protection } = writes
  const { collector, plans, status, explain, isMirrored } = cleanup
  const clock = systemClock
  return [
    ...gcEndpoints({
      collector,
      jobs,
      plans,
      status,
      planBulk: (request) =>
        planBulkDelete(metadata, plans, protection, isMirrored, { ...request, now: clock.now() }),
      explain: (repository, only, signal) =>
        explain.repository(repository, only, clock.now(), signal),
    }),
    ...jobEndpoints(jobs, metadata),
    ...eventEndpoints({ tail: new EventTail(metadata) }),
    ...pinEndpoints({ metadata, clock }),
    ...imageEndpoints({ metadata, copies, undelete, readBlob, verdictOf }),
    ...repositoryEndpoints({
      ...{ metadata, repositories, jobs, readBlob, verdictOf, clock },
      ...{ changes: writes, isMirrored },
    }),
  ]
}

/** `mirrors` undefined: none is configured. */
export function endpointsOfMirrors(
  config: Config,
  mirrors: Mirrors | undefined,
  logger: Logger,
): Endpoint[] {
  return mirrorEndpoints({
    mirrors,
    isTls: config.server.tls !== undefined,
    onWarmed: (mirror, failed) => logger.info({ event: 'warmed', mirror, failed }, 'mirror warmed'),
  })
}

/** `syncs` undefined: no source is configured. */
export function endpointsOfSyncs(syncs: Syncs | undefined): Endpoint[] {
  return syncEndpoints({ syncs, clock: systemClock })
}

/** `prune` undefined: no source is configured. */
export function endpointsOfPrune(prune: Prune | undefined, jobs: Jobs): Endpoint[] {
  if (prune === undefined) return []
  return syncPlanEndpoints({
    jobs,
    plans: prune.plans,
    apply: (plan, by) => prune.apply(plan, by),
  })
}

export function endpointsOfSignatures(
  { signing }: Config,
  metadata: MetadataStore,
  jobs: Jobs,
  { signatures, standings, violations }: OpenedSignatures,
): Endpoint[] {
  return signatureEndpoints({
    metadata,
    signatures,
    violations,
    jobs,
    tail: new EventTail(metadata),
    clock: systemClock,
    configured: signing.revoked.digests,
    recheck: recheckWith({ metadata, signatures, standings }),
  })
}
