/**
 * @module Every use case of one registry, made once, for a server and for commands without one. What
 * several of them share (locks, protection, history) is the same object in all of them: a second set of
 * tag locks would be no lock.
 */
import type { Config } from '../config/config.ts'
import { BlobFlights } from '../distribution/blob-flights.ts'
import { Deletes } from '../distribution/delete.ts'
import { Discovery } from '../distribution/discovery.ts'
import { HeadPromise } from '../distribution/head-promise.ts'
import type { ManifestReader } from '../distribution/manifest-reader.ts'
import { Mounts } from '../distribution/mount.ts'
import { Protection } from '../distribution/protection.ts'
import { PullTimes, pullsLagMs } from '../distribution/pull-times.ts'
import { ManifestPushes } from '../distribution/push-manifest.ts'
import { TagLocks } from '../distribution/tag-locks.ts'
import { Uploads } from '../distribution/uploads.ts'
import { Jobs } from '../jobs/jobs.ts'
import type { SharedWork } from '../mesh/shared-work.ts'
import type { MetadataReader } from '../metadata/port.ts'
import type { Digest } from '../registry/digest.ts'
import { Copies } from '../repositories/copy.ts'
import { Repositories } from '../repositories/delete-rename.ts'
import { Undelete } from '../repositories/undelete.ts'
import { systemClock } from '../runtime/clock.ts'
import type { LifeCycle } from '../runtime/life-cycle.ts'
import { randomHexId, systemRandom } from '../runtime/random.ts'
import type { Witness } from '../signing/attest/witness.ts'
import type { TagGate } from '../signing/gate.ts'
import type { Storage } from '../storage/open.ts'

/** What answers pulls. No lock and no session is in it: each thread that serves pulls may have its own. */
export interface Reads {
  readonly metadata: MetadataReader
  readonly blobs: Storage['blobs']
  readonly discovery: Discovery
  readonly headPromise: HeadPromise
  readonly pulls: PullTimes
}

/** What changes the store, and what all of these share. One set a store. */
export interface Writes {
  readonly tagLocks: TagLocks
  readonly protection: Protection
  readonly uploads: Uploads
  /** Blobs that come from other registries. */
  readonly flights: BlobFlights
  readonly mounts: Mounts
  readonly pushes: ManifestPushes
  readonly deletes: Deletes
  readonly copies: Copies
  readonly undelete: Undelete
  readonly repositories: Repositories
  readonly jobs: Jobs
  /** Undefined: no other node changes the store. */
  readonly shared: SharedWork | undefined
  /** Reads a small blob whole: image configs. Undefined when it is not here, or longer. */
  readonly readBlob: (digest: Digest, bytesMax: number) => Promise<Uint8Array | undefined>
}

export interface UseCases {
  readonly reads: Reads
  readonly writes: Writes
}

/** What the use cases stand on beside the stores. */
export interface UseCaseParts {
  /** Parses a pushed manifest: on this thread, or large ones on another. */
  readonly readManifest: ManifestReader['read']
  /** A blob's file may be in place without its row. */
  readonly onFileInDoubt: () => void
  /** What has to be signed before a tag points at it. */
  readonly gate: TagGate
  /** Undefined: the registry signs nothing itself. */
  readonly witness?: Witness | undefined
  /** What is shared with the other nodes of a mesh; undefined: there are none. */
  readonly shared?: SharedWork | undefined
  /** Number of this node in its mesh; undefined: it is alone. */
  readonly member?: number | undefined
  /** Everything that is opened here is closed with it. */
  readonly life: LifeCycle
}

/** Nothing runs before the caller starts it: no timer, no schedule. */
export function makeUseCases(
  config: Config,
  storage: Storage,
  { readManifest, onFileInDoubt, gate, witness, shared, member, life }: UseCaseParts,
): UseCases {
  const { metadata } = storage
  const clock = systemClock
  const { policy } = config
  const tagLocks = new TagLocks()
  const protection = new Protection(config.cleanup.immutableTags)
  const readBlob = (digest: Digest, bytesMax: number) => storage.blobs.read(digest, bytesMax)
  const pulls = new PullTimes(metadata, clock, shared === undefined ? 0 : pullsLagMs)
  life.opened('pull times', pulls, (one) => one.stop())
  const uploads = new Uploads({
    metadata,
    writer: storage.writer,
    clock,
    random: systemRandom,
    member,
    inlineLimitBytes: config.storage.inlineLimitBytes,
    uploadsPerClientMax: config.server.maxUploadsPerClient,
    uploadTtlMs: config.storage.uploadTtlMs,
    digestLock: storage.digestLock,
    shared: storage.shared,
    onFileReplaced: storage.forget,
    onFileInDoubt,
  })
  life.opened('uploads', uploads, (one) => one.close())
  const flights = new BlobFlights({
    metadata,
    growing: storage.writer,
    digestLock: storage.digestLock,
    shared: storage.shared,
    clock,
    inlineLimitBytes: config.storage.inlineLimitBytes,
    newUploadId: () => randomHexId(systemRandom),
    onFileReplaced: storage.forget,
    onFileInDoubt,
  })
  const changing = { clock, tagLocks, protection }
  const pushes = new ManifestPushes(metadata, policy, clock, {
    tagLocks,
    protection,
    readManifest,
    readBlob,
    gate,
  })
  const copies = new Copies(metadata, pushes, clock, gate, witness)
  const { blobs, digestLock } = storage
  return {
    reads: {
      metadata,
      blobs,
      discovery: new Discovery(metadata),
      headPromise: new HeadPromise(metadata, clock, config.cleanup.gc.graceMs),
      pulls,
    },
    writes: {
      tagLocks,
      protection,
      uploads,
      flights,
      mounts: new Mounts(metadata, clock),
      pushes,
      deletes: new Deletes(metadata, policy.allowsDelete, changing),
      copies,
      undelete: new Undelete({ metadata, blobs, digestLock, gate, ...changing }),
      repositories: new Repositories({ metadata, clock, protection, copies }),
      jobs: new Jobs(metadata, clock, shared?.leads),
      shared,
      readBlob,
    },
  }
}
