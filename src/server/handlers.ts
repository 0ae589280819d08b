/**
 * @module The handlers of every route, on the use cases of one server.
 */
import { AdminApi } from '../admin/admin-api.ts'
import type { Endpoint } from '../admin/endpoint.ts'
import type { Browsers } from '../http/browsers.ts'
import type { Handlers } from '../http/dispatch.ts'
import type { HttpEngine, HttpRequest } from '../http/engine/port.ts'
import { AdminHandlers } from '../http/handlers/admin.ts'
import { BlobHandlers } from '../http/handlers/blobs.ts'
import { DiscoveryHandlers } from '../http/handlers/discovery.ts'
import { ManifestHandlers } from '../http/handlers/manifests.ts'
import { ServiceHandlers } from '../http/handlers/service.ts'
import { allSources, UploadHandlers } from '../http/handlers/uploads.ts'
import type { PreparedAnswers } from '../http/prepared-answers.ts'
import type { RequestLimits } from '../http/request-limits.ts'
import type { Mirrors } from '../mirror/mirrors.ts'
import type { Health } from '../observability/health.ts'
import type { Logger } from '../observability/logger.ts'
import type { Metrics } from '../observability/metrics/metrics.ts'
import type { LifeCycle } from '../runtime/life-cycle.ts'
import type { Storage } from '../storage/open.ts'
import type { Reconciliation } from '../storage/reconcile.ts'
import type { AccessControl } from './access/access.ts'
import type { Audit } from './audit.ts'
import type { OpenedMesh } from './open-stores.ts'
import type { OpenedSignatures } from './signatures.ts'
import type { UseCases } from './use-cases.ts'

/** What is running already when the front is built. */
export interface HttpParts {
  readonly storage: Storage
  readonly useCases: UseCases
  readonly health: Health
  readonly reconciliation: Reconciliation
  /** Undefined: none is configured. */
  readonly mirrors: Mirrors | undefined
  /** Undefined: nothing is limited. */
  readonly limits: RequestLimits | undefined
  readonly audit: Audit | undefined
  /** Undefined: the registry is open. */
  readonly access: AccessControl | undefined
  /** What policies of signatures say of pulls. */
  readonly signed: Pick<OpenedSignatures, 'pullGate' | 'revoked' | 'attest'>
  /** Counts requests that were answered: what follows other registries leaves room for clients. */
  readonly served: { answers: number }
  /** The admin API; its status asks the engine, which is not there yet when the endpoints are made. */
  readonly endpoints: (engine: () => HttpEngine) => readonly Endpoint[]
  /** Made when the engine is there, whose counters it reads; undefined: switched off. */
  readonly makeMetrics: (engine: HttpEngine) => Metrics | undefined
  readonly logger: Logger
  /** Undefined: the registry is alone. */
  readonly mesh: Pick<OpenedMesh, 'member' | 'peers' | 'gate' | 'redirects'> | undefined
  /** Everything that is opened here is closed with it. */
  readonly life: LifeCycle
}

/** What exists only once the engine does. */
export interface Late {
  engine: HttpEngine | undefined
  metrics: Metrics | undefined
  /** Undefined: switched off. */
  ui: Handlers['ui']
}

export function makeHandlers(
  parts: HttpParts,
  answers: PreparedAnswers,
  browsers: Browsers,
  late: Late,
): Handlers {
  const { storage, useCases, health, reconciliation, access, audit, signed, logger } = parts
  const { attest } = signed
  const { reads, writes } = useCases
  const { room } = storage.writer
  const { metadata, blobs, discovery, headPromise, pulls } = reads
  const { pushes, deletes, uploads, mounts } = writes
  const service = new ServiceHandlers({
    health,
    lifeCycle: {
      isStopping: () => late.engine?.isStopping === true,
      notes: () => ({
        room: room.hasRoom ? 'ok' : 'short of disk space: takes no pushes',
        recovery: reconciliation.status.state,
      }),
    },
    get metrics() {
      return late.metrics
    },
    signingKeys: attest && (() => attest.keys.publicPem),
    hasPages: late.ui !== undefined,
  })
  const admin = new AdminApi(
    parts.endpoints(() => late.engine!),
    (request, isByCookie) => browsers.isOtherSite(request, isByCookie),
  )
  return {
    manifests: new ManifestHandlers({
      metadata,
      answers,
      pushes,
      deletes,
      room,
      pulls,
      headPromise,
      gate: signed.pullGate<HttpRequest>(
        access && ((request, repository) => access.gate.isPusher(request, repository)),
      ),
      witness: attest?.attestor,
    }),
    blobs: new BlobHandlers(metadata, answers, blobs, deletes, headPromise, parts.mesh?.redirects),
    uploads: new UploadHandlers(uploads, mounts, room, access?.sourceRights ?? (() => allSources)),
    discovery: new DiscoveryHandlers(discovery, access?.maySee),
    service,
    admin: new AdminHandlers(
      admin,
      logger,
      (request, reason, status) =>
        audit?.refused(request, { reason, path: request.path.slice(0, 512), status }),
      access?.sessions,
    ),
    ui: late.ui,
    token: access?.tokenHandlers,
  }
}
