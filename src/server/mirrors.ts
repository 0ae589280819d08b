/**
 * @module The mirrors of the configuration, put together with the stores. Nothing is loaded and
 * nothing runs when there are none.
 */

import type { Config } from '../config/config.ts'
import type { BlobFlights } from '../distribution/blob-flights.ts'
import { Deletes } from '../distribution/delete.ts'
import type { ManifestReader } from '../distribution/manifest-reader.ts'
import { Protection } from '../distribution/protection.ts'
import { ManifestPushes } from '../distribution/push-manifest.ts'
import type { TagLocks } from '../distribution/tag-locks.ts'
import type { Jobs } from '../jobs/jobs.ts'
import { LeadTaken } from '../jobs/leads.ts'
import type { SharedWork } from '../mesh/shared-work.ts'
import type { BlobSharing, SharedMirrors } from '../mirror/context.ts'
import { Mirrors } from '../mirror/mirrors.ts'
import type { MirrorGate } from '../mirror/verification.ts'
import type { Logger } from '../observability/logger.ts'
import { systemClock } from '../runtime/clock.ts'
import type { Witness } from '../signing/attest/witness.ts'
import { openGate } from '../signing/gate.ts'
import type { Storage } from '../storage/open.ts'
import type { Accounts } from '../upstream/accounts.ts'

/** What upstream serves is stored as it is: its blobs come when they are asked for. */
const mirrorPolicy = {
  allowsSparseIndex: true,
  allowsMissingBlobs: true,
  checksSizes: false,
  allowsDelete: true,
}

/** Whose repositories are a mirror's: collection leaves those to the mirror's own rules. */
export function mirroredBy({ mirrors }: Config): (repository: string) => boolean {
  const names = new Set(mirrors.map(({ name }) => name))
  return (repository) => names.has(repository.slice(0, Math.max(0, repository.indexOf('/'))))
}

export interface MirrorParts {
  readonly logger: Logger
  /** Shared with the registry's own pushes. */
  readonly tagLocks: TagLocks
  readonly readManifest: ManifestReader['read']
  /** Shared with every other who fetches blobs. */
  readonly flights: BlobFlights
  /** Shared with every other who asks other registries. */
  readonly accounts: Accounts
  /** What policies of signatures say of what comes. */
  readonly gate: MirrorGate
  /** Hears of what comes; undefined: the registry signs nothing itself. */
  readonly witness?: Witness | undefined
  readonly jobs: Jobs
  /** What is shared with the other nodes of a mesh; undefined: there are none. */
  readonly work: SharedWork | undefined
  /** Other nodes that fetch the same; undefined: the registry is alone. */
  readonly sharing?: BlobSharing | undefined
}

/** Of whatever makes room in the mirrors. */
const evictionLead = 'mirrors'

/** In a mesh pulls of mirrored blobs are written down once in so long, ms. */
const pulledAgainMs = 3_600_000

function sharedMirrors({ ticks }: SharedWork, jobs: Jobs, { metadata }: Storage): SharedMirrors {
  return {
    store: jobs.storeOf(evictionLead),
    pulledAgainMs,
    evict: (work) =>
      jobs.under(evictionLead, work).catch((error: unknown) => {
        if (!(error instanceof LeadTaken)) throw error
      }),
    once: (schedule, expression, work) => ticks.once(metadata, schedule, expression, work),
  }
}

export async function openMirrors(
  config: Config,
  storage: Storage,
  { logger, tagLocks, readManifest, flights, accounts, gate, witness, ...rest }: MirrorParts,
): Promise<Mirrors | undefined> {
  if (config.mirrors.length === 0) return undefined
  const { jobs, work, sharing } = rest
  const { metadata, writer, digestLock, blobs } = storage
  const parts = {
    clock: systemClock,
    tagLocks,
    // What upstream moves is moved here, and nothing wants to live by its labels.
    protection: new Protection(),
    readBlob: async () => undefined,
    readManifest,
    gate: openGate,
  }
  return Mirrors.open(config.mirrors, {
    accounts,
    gate,
    metadata,
    flights,
    digestLock,
    space: writer.room,
    clock: systemClock,
    logger,
    witness,
    sharing,
    pushes: new ManifestPushes(metadata, mirrorPolicy, systemClock, parts),
    deletes: new Deletes(jobs.storeOf(evictionLead), true, parts),
    shared: work && sharedMirrors(work, jobs, storage),
    maxBytesInAll: config.mirrorMaxBytes,
    isRead: storage.isRead,
    removeBytes: (digest, row) => blobs.remove(digest, row),
  })
}
