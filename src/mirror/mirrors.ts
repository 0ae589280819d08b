/**
 * @module All mirrors of a registry: opened from the configuration, closed with it. The front door
 * asks here what a request means and where its answer is; collection asks whose a repository is.
 */
import type { MirrorConfig } from '../config/config.ts'
import type { Deletes } from '../distribution/delete.ts'
import type { BlobRow } from '../metadata/schema.ts'
import type { MirrorReading } from '../observability/metrics/mirrors.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import type { Reference } from '../registry/reference.ts'
import type { Tag } from '../registry/tag.ts'
import { type Schedule, startSchedule } from '../runtime/schedule.ts'
import type { Accounts } from '../upstream/accounts.ts'
import { isHeadUnknown } from '../upstream/error.ts'
import { Addressing } from './addressing.ts'
import { MirrorBlobs } from './blobs.ts'
import { type MirrorContext, missMs } from './context.ts'
import { Cooldown, indexChildren } from './cooldown.ts'
import { MirrorEviction } from './eviction.ts'
import { MirrorLists } from './lists.ts'
import { ManifestEviction } from './manifest-eviction.ts'
import { type ManifestOutcome, type PullHow, UpstreamManifests } from './manifests.ts'
import { Mirror } from './mirror.ts'
import type { MirroredRepository } from './mirrored-repository.ts'
import { NegativeCache } from './negative-cache.ts'
import { OpenSessions } from './open-sessions.ts'
import { Purge } from './purge.ts'
import { MirrorTags } from './tags.ts'
import { Warming } from './warm.ts'

export interface MirrorsOptions extends MirrorContext {
  readonly maxBytesInAll: number
  readonly accounts: Accounts
  readonly isRead: (digest: Digest) => boolean
  readonly removeBytes: (digest: Digest, row: BlobRow) => Promise<void>
  /** Allowed to delete, whatever clients may. */
  readonly deletes: Deletes
}

export class Mirrors {
  readonly addressing: Addressing
  readonly blobs: MirrorBlobs
  readonly tags: MirrorTags
  readonly lists: MirrorLists
  readonly eviction: MirrorEviction
  readonly #manifestEviction: ManifestEviction
  readonly warming: Warming
  readonly purge: Purge
  readonly #schedules: Schedule[] = []
  readonly #context: MirrorContext
  readonly #manifests: UpstreamManifests
  readonly #cooldown: Cooldown
  readonly #refused: NegativeCache

  private constructor(options: MirrorsOptions, mirrors: readonly Mirror[]) {
    this.#context = options
    const { metadata } = options
    const hasRoot = mirrors.some(({ config }) => config.isRoot)
    const sessions = hasRoot ? new OpenSessions(metadata) : undefined
    this.addressing = new Addressing(mirrors, {
      isLocal: (repository) => metadata.get('repositories', repository) !== undefined,
      isPushedTo: (repository) => sessions?.has(repository) === true,
    })
    this.#manifestEviction = new ManifestEviction(options)
    this.eviction = new MirrorEviction(
      {
        context: options,
        maxBytesInAll: options.maxBytesInAll,
        isBusy: (digest) => options.flights.isComing(digest) || options.isRead(digest),
        removeBytes: options.removeBytes,
        evictManifests: (mirror, horizon) => this.#manifestEviction.evict(mirror, horizon),
      },
      mirrors,
    )
    this.#cooldown = new Cooldown(options)
    this.#refused = new NegativeCache(options.clock)
    this.#manifests = new UpstreamManifests(options, this.#cooldown)
    this.tags = new MirrorTags(options, this.#manifests, this.#cooldown, (repository, digest) =>
      this.warming.signed(repository, digest),
    )
    this.blobs = new MirrorBlobs(options, this.eviction)
    this.lists = new MirrorLists(options)
    this.warming = new Warming({
      metadata,
      blobs: this.blobs,
      fetchManifest: (repository, reference) =>
        this.manifest(repository, reference, this.unhurried()),
      refreshTag: (repository, tag) => this.tags.refresh(repository, tag),
      listReferrers: (repository, subject) =>
        this.lists.referrers(repository, subject, this.unhurried().deadline),
    })
    this.purge = new Purge(metadata, options.deletes, this.eviction, this.#manifestEviction)
  }

  static async open(configs: readonly MirrorConfig[], options: MirrorsOptions): Promise<Mirrors> {
    const opening = configs.map((config) => Mirror.open(config, options))
    const opened = (await Promise.allSettled(opening)).flatMap((one) =>
      one.status === 'fulfilled' ? [one.value] : [],
    )
    if (opened.length < configs.length) await Promise.all(opened.map((mirror) => mirror.close()))
    return new Mirrors(options, await Promise.all(opening))
  }

  /** Begins the work behind the requests. */
  start(): void {
    this.eviction.start().catch((error: unknown) => {
      this.#context.logger.warn({ error }, 'mirrored blobs could not be counted')
    })
    for (const mirror of this.addressing.all) {
      const { warm, prefetch } = mirror.config
      if (warm === undefined) continue
      const { logger } = this.#context
      const work = async () => {
        const { warmed, failed } = await this.warming.run(mirror, warm.references, prefetch)
        const fields = { mirror: mirror.name, warmed: warmed.length, failed }
        logger.info({ event: 'warmed', ...fields }, 'mirror warmed')
      }
      const onError = (error: unknown) => logger.warn({ error }, 'warming failed')
      const { shared } = this.#context
      const once = shared?.once(`warm:${mirror.name}`, warm.schedule, work) ?? work
      this.#schedules.push(startSchedule(warm.schedule, once, onError))
    }
  }

  async close(): Promise<void> {
    for (const schedule of this.#schedules) schedule.stop()
    this.#manifestEviction.stop()
    await this.eviction.stop()
    await Promise.all(this.addressing.all.map((mirror) => mirror.close()))
  }

  find(repository: string): Mirror | undefined {
    return this.addressing.find(repository)
  }

  /** Whether a repository is a mirror's: its content comes and goes by the mirror's own rules. */
  isMirrored(repository: string): boolean {
    return this.find(repository) !== undefined
  }

  /** Asks upstream now what a tag means; the digest that is stored for it afterwards. */
  async refresh(repository: MirroredRepository, tag: Tag): Promise<string | undefined> {
    await this.tags.refresh(repository, tag)
    return this.#context.metadata.get('tags', [repository.name, tag])?.digest
  }

  /** What every mirror has counted and how its upstreams are: for metrics and `/admin/mirrors`. */
  readings(): MirrorReading[] {
    return this.addressing.all.map((mirror) => {
      const { stats, upstream } = mirror
      const usage = this.eviction.usageOf(mirror)
      return {
        name: mirror.name,
        upstreams: mirror.config.upstreams,
        maxBytes: mirror.config.maxBytes,
        hits: stats.hits,
        misses: stats.misses,
        joined: stats.joined,
        stale: stats.stale,
        negative: stats.negative,
        passed: stats.passed,
        evictedBlobs: stats.evicted,
        evictedBytes: stats.evictedBytes,
        evictedManifests: stats.evictedManifests,
        headRequests: stats.headRequests,
        getRequests: stats.getRequests,
        upstreamBytes: stats.upstreamBytes,
        savedBytes: stats.savedBytes,
        storedBytes: usage.bytes,
        storedBlobs: usage.blobs,
        failures: stats.failures,
        firstByteSeconds: stats.firstByteSeconds,
        firstByteCount: stats.firstByteBuckets.reduce((sum, count) => sum + count, 0),
        firstByteBuckets: stats.firstBytesWithin(),
        breakers: upstream.breakers,
        budgets: upstream.budgets,
      }
    })
  }

  /** A GET that nobody waits for at a socket. */
  unhurried(): PullHow {
    return { isHead: false, deadline: this.#context.clock.monotonic() + missMs }
  }

  /** Where the answer to a pull of a manifest is. */
  async manifest(
    repository: MirroredRepository,
    reference: Reference,
    how: PullHow,
  ): Promise<ManifestOutcome> {
    if (reference.kind === 'tag') {
      const outcome = await this.tags.resolve(repository, reference.tag, how)
      this.#prefetch(repository, reference.tag, outcome)
      return outcome
    }
    const { digest } = reference
    if (this.#isOwnPush(repository, digest)) return { kind: 'local', isHit: true }
    await this.#cooldown.require(repository, digest)
    const { metadata } = this.#context
    if (metadata.get('manifests', [repository.name, digest]) !== undefined) {
      if (metadata.getBytes('manifestBytes', digest) !== undefined) {
        return { kind: 'local', isHit: true }
      }
    }
    const key = `${repository.name}@${digest}`
    const refusal = this.#refused.get(key)
    if (refusal !== undefined) {
      repository.mirror.stats.negative += 1
      throw refusal
    }
    try {
      return await this.#fetchByDigest(repository, digest, how)
    } catch (error) {
      this.#refused.note(key, error)
      throw error
    }
  }

  /**
   * Brings the signatures of a manifest that is here and about to be answered, as far as a policy wants them. Undefined:
   * nothing has to be waited for.
   */
  verify(repository: MirroredRepository, reference: Reference): Promise<unknown> | undefined {
    const digest =
      reference.kind === 'digest'
        ? reference.digest
        : this.#context.metadata.get('tags', [repository.name, reference.tag])?.digest
    return digest && this.tags.verification.prepare(repository, digest)
  }

  async #fetchByDigest(
    repository: MirroredRepository,
    digest: Digest,
    { isHead, deadline }: PullHow,
  ): Promise<ManifestOutcome> {
    if (isHead) {
      try {
        const head = await this.#manifests.head(repository, digest, undefined, deadline)
        return { kind: 'head', head: head! }
      } catch (error) {
        if (!isHeadUnknown(error)) throw error
      }
    }
    const fetched = await this.#manifests.byDigest(repository, digest, deadline)
    return fetched.isStored ? { kind: 'local', isHit: false } : { kind: 'bytes', fetched }
  }

  /** A manifest without a row of first sight was pushed here, or stored before there was a cooldown. */
  #isOwnPush(repository: MirroredRepository, digest: Digest): boolean {
    if (repository.mirror.config.push === 'deny') return false
    const { metadata } = this.#context
    const isHere = metadata.get('manifests', [repository.name, digest]) !== undefined
    return isHere && metadata.get('mirrorSeen', [repository.name, digest]) === undefined
  }

  /** Fetches the children of the wanted platforms behind the answer. */
  #prefetch(repository: MirroredRepository, tag: Tag, outcome: ManifestOutcome): void {
    const wanted = repository.mirror.config.prefetch
    if (wanted.length === 0 || outcome.kind !== 'local' || outcome.isHit) return
    const { metadata } = this.#context
    const index = metadata.get('tags', [repository.name, tag])?.digest
    const bytes = index === undefined ? undefined : metadata.getBytes('manifestBytes', index)
    for (const { digest: text, platform } of indexChildren(bytes ?? new Uint8Array(0))) {
      const digest = parseDigest(text)
      if (!digest.ok || !wanted.some((it) => platform === it || platform.startsWith(`${it}/`))) {
        continue
      }
      const reference = { kind: 'digest', digest: digest.value } as const
      this.manifest(repository, reference, this.unhurried()).catch(() => undefined)
    }
  }
}
