/**
 * @module A collection on a real store with everything that a test wants to bend: the clock, the
 * rules, who owns a repository. Content goes in as rows of the product's own pushes.
 */
import type { CleanupConfig, GcConfig } from '../../src/config/config.ts'
import { commitBlob } from '../../src/distribution/commit-blob.ts'
import { HeadPromise } from '../../src/distribution/head-promise.ts'
import { PullTimes } from '../../src/distribution/pull-times.ts'
import { ManifestPushes } from '../../src/distribution/push-manifest.ts'
import { ClockGuard } from '../../src/gc/clock-guard.ts'
import { Collector } from '../../src/gc/collector.ts'
import { Plans } from '../../src/gc/plan/plans.ts'
import type { RunRequest, SharedCollection } from '../../src/gc/run-state.ts'
import { Jobs } from '../../src/jobs/jobs.ts'
import type { JobRow } from '../../src/metadata/rows/jobs.ts'
import type { Candidate } from '../../src/metadata/sweep.ts'
import { mediaTypes } from '../../src/registry/media-type.ts'
import { type Clock, systemClock } from '../../src/runtime/clock.ts'
import type { Storage } from '../../src/storage/open.ts'
import { openTemporaryStorage } from './open-store.ts'
import { asName, asTag, imageManifest, sha256 } from './registry-client.ts'
import { repositoryParts } from './repository-parts.ts'

/** Wall time that a test can set; time that never steps is the machine's. */
export class SteppingClock {
  offsetMs = 0
  now = () => systemClock.now() + this.offsetMs
  monotonic = () => systemClock.monotonic()
}

export interface CollectorTestOptions {
  readonly gc?: Partial<GcConfig>
  readonly cleanup?: Partial<CleanupConfig>
  readonly isMirrored?: (repository: string) => boolean
  /** In a mesh. */
  readonly shared?: SharedCollection
}

export type CollectorTest = Awaited<ReturnType<typeof openCollector>>

/** A collector on an open store, and what it works with. */
export function collectorOn(storage: Storage, clock: Clock, options: CollectorTestOptions = {}) {
  const { metadata } = storage
  const config: CleanupConfig = {
    gc: {
      enabled: true,
      schedule: '0 2 * * *',
      keepRecent: 0,
      graceMs: 0,
      undeleteWindowMs: 0,
      maxDeletePercent: 100,
      bytesPerSecond: 0,
      maxPauseMs: 4,
      ...options.gc,
    },
    retention: [],
    expiry: [],
    immutableTags: [],
    ...options.cleanup,
  }
  const jobs = new Jobs(metadata, clock)
  const { shared } = options
  const plans = new Plans({ metadata, path: storage.path, clock, run: shared?.run })
  const clockGuard = new ClockGuard(clock, metadata, shared?.spreadMs)
  const skipped: { readonly candidate: Candidate; readonly why: string }[] = []
  const steps = { count: 0 }
  const onStep: { call: (() => void) | undefined } = { call: undefined }
  const collector = new Collector({
    ...storage,
    shared,
    clock,
    config,
    jobs,
    plans,
    clockGuard,
    headPromise: new HeadPromise(metadata, clock, config.gc.graceMs),
    pulls: new PullTimes(metadata, clock),
    uploads: { sweep: async () => undefined },
    isMirrored: options.isMirrored ?? (() => false),
    pins: () =>
      metadata.entries('pins', [], undefined, 10_000).map(({ key, row }) => [key[0], row] as const),
    dryRules: new Set(),
    prune: async () => undefined,
    onFreed: () => undefined,
    onEnded: () => undefined,
    onStep: () => {
      steps.count += 1
      onStep.call?.()
    },
    log: {
      debug: (fields) => skipped.push(fields as (typeof skipped)[number]),
      info: () => undefined,
      warn: () => undefined,
    },
  })
  return {
    collector,
    jobs,
    plans,
    clockGuard,
    /** What sweeps left, with the reason. */
    skipped,
    steps,
    /** Called after every batch of a sweep. */
    onStep,
    /** A run to its end. */
    run: async (request: Partial<RunRequest> = {}): Promise<JobRow> => {
      const all = { kind: 'run', by: 'test', ...request } as RunRequest
      const { id, ended } = await collector.start(all)
      await ended
      return jobs.get(id)!
    },
  }
}

export async function openCollector(options: CollectorTestOptions = {}) {
  const { storage, close } = await openTemporaryStorage({ durability: 'relaxed' })
  const { metadata } = storage
  const clock = new SteppingClock()
  const on = collectorOn(storage, clock, options)
  const policy = {
    allowsSparseIndex: true,
    allowsMissingBlobs: false,
    checksSizes: true,
    allowsDelete: true,
  }
  const pushes = new ManifestPushes(metadata, policy, clock, {
    ...repositoryParts(),
  })
  const putBlob = async (repository: string, text: string, mediaType = 'application/x.layer') => {
    const bytes = Buffer.from(text)
    const digest = sha256(bytes)
    const blob = { digest, sizeBytes: bytes.byteLength, inlineBytes: bytes }
    await commitBlob(metadata, blob, { repository: asName(repository), now: clock.now() })
    return { mediaType, digest, size: bytes.byteLength }
  }
  return {
    ...on,
    storage,
    metadata,
    clock,
    close,
    putBlob,
    /** An image of its own; its digest. Without `tag` it is garbage as soon as it is old. */
    putImage: async (repository: string, tag: string | undefined, seed: string, type?: string) => {
      const imageConfig = await putBlob(repository, `{"seed":"${seed}"}`, type ?? 'application/x.c')
      const layer = await putBlob(repository, `layer ${seed}`)
      const bytes = Buffer.from(JSON.stringify(imageManifest(imageConfig, [layer])))
      const digest = sha256(bytes)
      await pushes.push({
        repository: asName(repository),
        reference:
          tag === undefined ? { kind: 'digest', digest } : { kind: 'tag', tag: asTag(tag) },
        tags: [],
        expected: undefined,
        contentType: mediaTypes.ociManifest,
        bytes,
        condition: { ifMatch: undefined, ifNoneMatch: undefined },
        by: 'test',
      })
      return { digest, blobs: [imageConfig.digest, layer.digest] as const }
    },
    run: async (request: Partial<RunRequest> = {}): Promise<JobRow> => {
      // Whatever was just pushed is older than this millisecond.
      clock.offsetMs += 1
      return on.run(request)
    },
  }
}
