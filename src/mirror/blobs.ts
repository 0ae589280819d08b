/**
 * @module Blobs of mirrored repositories: where the bytes of a pull come from. What is stored and
 * linked never comes here; a blob that another repository of the same mirror holds is linked once it
 * is known to belong; everything else is filled from upstream, once for all who ask.
 */
import { commitBlob, linkChanges } from '../distribution/commit-blob.ts'
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import { SingleFlight } from '../runtime/single-flight.ts'
import type { Change } from '../storage/transaction.ts'
import { type MirrorContext, missMs } from './context.ts'
import { Fill } from './fill.ts'
import type { FilledBlob } from './fill-parts.ts'
import { type HttpAnswer, headerOf } from './http-client.ts'
import type { Mirror } from './mirror.ts'
import { NegativeCache } from './negative-cache.ts'
import { PassThrough } from './pass-through.ts'
import { promisedSize } from './promised-size.ts'
import type { MirrorSpace } from './space.ts'
import { toUpstreamError, UpstreamError } from './upstream-error.ts'

export type BlobOutcome =
  | { readonly kind: 'local' }
  | { readonly kind: 'size'; readonly sizeBytes: number }
  | { readonly kind: 'fill'; readonly fill: Fill; readonly sizeBytes: number }
  /** Not stored: straight from upstream to this client. */
  | { readonly kind: 'pass'; readonly source: PassThrough }

interface Entry {
  readonly fill: Fill
  /** Those that are known to have the blob upstream. */
  readonly repositories: Set<RepositoryName>
  /** When readers may attach: one deadline for all who wait. */
  opened: Promise<void> | undefined
}

/** Holders looked at for one of the same mirror. */
const holdersLookedAtMax = 64

/** Sizes that HEADs told, remembered. */
const sizesMax = 50_000

/** A Range this far ahead of a fill is asked for on its own instead of waited for, bytes. */
const aheadBytesMax = 32 * 1024 * 1024

export class MirrorBlobs {
  readonly #context: MirrorContext
  readonly #space: MirrorSpace
  readonly #fills = new Map<string, Entry>()
  readonly #proving = new SingleFlight<number | undefined>()
  readonly #sizes = new Map<string, number>()
  readonly #negative: NegativeCache

  constructor(context: MirrorContext, space: MirrorSpace) {
    this.#context = context
    this.#space = space
    this.#negative = new NegativeCache(context.clock)
  }

  get fillsRunning(): number {
    return this.#fills.size
  }

  /** Whether a blob is being filled: its bytes are not to be touched. */
  isFilling(mirror: Mirror, digest: Digest): boolean {
    return this.#fills.has(`${mirror.name} ${digest}`)
  }

  isLocal(repository: RepositoryName, digest: Digest): boolean {
    const { metadata } = this.#context
    return (
      metadata.get('links', [repository, digest]) !== undefined &&
      metadata.get('blobs', digest) !== undefined
    )
  }

  /** Length for a HEAD. Costs upstream a HEAD at most. */
  async head(mirror: Mirror, repository: RepositoryName, digest: Digest): Promise<BlobOutcome> {
    if (this.isLocal(repository, digest)) return { kind: 'local' }
    this.#refuseKnownMissing(mirror, repository, digest)
    const running = this.#fills.get(`${mirror.name} ${digest}`)
    const isOurs = running?.repositories.has(repository) === true
    const size = isOurs ? running.fill.sizeBytes : this.#sizes.get(`${repository} ${digest}`)
    if (size !== undefined) return { kind: 'size', sizeBytes: size }
    const found = await this.#askSize(mirror, repository, digest)
    return { kind: 'size', sizeBytes: found }
  }

  /**
   * The fill of a blob that is on its way and known to belong here: who comes while hundreds do is
   * answered in the same turn.
   */
  openNow(mirror: Mirror, repository: RepositoryName, digest: Digest): Fill | undefined {
    const entry = this.#fills.get(`${mirror.name} ${digest}`)
    if (entry?.fill.isReadable !== true || !entry.repositories.has(repository)) return undefined
    mirror.stats.joined += 1
    return entry.fill
  }

  /** The bytes. Resolves when the answer's length is known; throws an `UpstreamError`. */
  async open(
    mirror: Mirror,
    repository: RepositoryName,
    digest: Digest,
    isRange: boolean,
  ): Promise<BlobOutcome> {
    if (this.isLocal(repository, digest)) return { kind: 'local' }
    this.#refuseKnownMissing(mirror, repository, digest)
    const key = `${mirror.name} ${digest}`
    const running = this.#fills.get(key)
    if (running === undefined && (await this.#linkFromSibling(mirror, repository, digest))) {
      return { kind: 'local' }
    }
    if (running !== undefined) mirror.stats.joined += 1
    else mirror.stats.misses += 1
    const entry = this.#fills.get(key) ?? this.#start(mirror, repository, digest)
    if (!entry.repositories.has(repository)) {
      await this.#prove(mirror, repository, digest)
      entry.repositories.add(repository)
    }
    const { fill } = entry
    if (isRange) fill.want()
    if (!fill.isReadable) {
      entry.opened ??= withinMiss(fill.opened)
      await entry.opened
    }
    if (fill.state === 'stored') {
      // It was published for whoever had asked by then.
      if (!this.isLocal(repository, digest)) await this.#link(repository, digest)
      return { kind: 'local' }
    }
    if (fill.state === 'failed') {
      return this.#passWhole(mirror, repository, digest, fill.takeUnstored())
    }
    return { kind: 'fill', fill, sizeBytes: fill.sizeBytes! }
  }

  /** Whether a range is better asked for than waited for. */
  isFarAhead(fill: Fill, offset: number): boolean {
    return offset - fill.receivedBytes > aheadBytesMax
  }

  /** A range straight from upstream; throws when upstream does not answer exactly that. */
  async passRange(
    mirror: Mirror,
    repository: RepositoryName,
    digest: Digest,
    offset: number,
    length: number,
  ): Promise<PassThrough> {
    const answer = await this.#get(mirror, repository, digest, {
      Range: `bytes=${offset}-${offset + length - 1}`,
    })
    const range = headerOf(answer.headers, 'content-range') ?? ''
    if (answer.status !== 206 || !range.startsWith(`bytes ${offset}-${offset + length - 1}/`)) {
      answer.body.abort()
      throw new UpstreamError('garbage', 'upstream does not answer the range that was asked for')
    }
    mirror.stats.passed += 1
    return new PassThrough(answer, length)
  }

  /** Starts a fill for warming; resolves when it is stored. */
  async fetch(mirror: Mirror, repository: RepositoryName, digest: Digest): Promise<void> {
    const outcome = await this.open(mirror, repository, digest, true)
    if (outcome.kind === 'fill') await outcome.fill.over
    if (outcome.kind === 'pass') outcome.source.close()
  }

  #start(mirror: Mirror, repository: RepositoryName, digest: Digest): Entry {
    const { growing, clock, inlineLimitBytes, newUploadId, logger } = this.#context
    const key = `${mirror.name} ${digest}`
    const repositories = new Set([repository])
    const startedAt = clock.monotonic()
    const fill = new Fill({
      digest,
      uploadId: newUploadId(),
      promisedBytes: promisedSize(this.#context.metadata, repository, digest),
      askSize: () => this.#askSize(mirror, repository, digest),
      inlineLimitBytes,
      growing,
      clock,
      ask: async (offset, deadline) => {
        const range = offset === 0 ? {} : { Range: `bytes=${offset}-` }
        const answer = await this.#get(mirror, repository, digest, range, deadline)
        if (offset === 0) mirror.stats.firstByte((clock.monotonic() - startedAt) / 1000)
        return answer
      },
      mayStore: (sizeBytes) => this.#space.mayStore(mirror, sizeBytes),
      publish: (blob) => this.#publish(mirror, repositories, blob),
      onFailure: (error) => {
        mirror.stats.failures[error.kind] += 1
      },
    })
    const entry: Entry = { fill, repositories, opened: undefined }
    this.#fills.set(key, entry)
    void fill.over.then(() => {
      this.#fills.delete(key)
      if (fill.state === 'stored') return
      fill.opened.catch((error: unknown) => this.#noteMissing(repository, digest, error))
      logger.info({ mirror: mirror.name, digest, received: fill.receivedBytes }, 'blob not stored')
    })
    return entry
  }

  /** File in place, then the rows of every repository that has asked, in one transaction. */
  async #publish(
    mirror: Mirror,
    repositories: ReadonlySet<RepositoryName>,
    { digest, sizeBytes, pending, inlineBytes }: FilledBlob,
  ): Promise<void> {
    const { metadata, digestLock, clock, onFileReplaced, onFileInDoubt } = this.#context
    await digestLock.run(digest, async () => {
      let isInPlace = false
      try {
        if (pending !== undefined) {
          await pending.commit(digest)
          isInPlace = true
        }
        const now = clock.now()
        const [first, ...others] = repositories
        const more: Change[] = others.flatMap((other) => linkChanges(other, digest, now))
        const row = { sizeBytes, addedAt: now, pulledAt: now }
        const key = [mirror.name, digest] as const
        const isNew = metadata.get('mirrorBlobs', key) === undefined
        more.push({ change: 'put', in: 'mirrorBlobs', key, row })
        await commitBlob(metadata, first!, { digest, sizeBytes, inlineBytes }, undefined, now, more)
        if (isNew) this.#space.added(mirror, sizeBytes)
        if (pending !== undefined) onFileReplaced(digest)
      } catch (error) {
        if (isInPlace) onFileInDoubt(digest)
        throw error
      }
    })
  }

  #get(
    mirror: Mirror,
    repository: RepositoryName,
    digest: Digest,
    headers: Record<string, string>,
    deadline = this.#context.clock.monotonic() + missMs,
  ): Promise<HttpAnswer> {
    return mirror.upstream.ask({
      method: 'GET',
      repository: mirror.upstreamName(repository),
      tail: `blobs/${digest}`,
      headers: { Accept: '*/*', ...headers },
      deadline,
      isBulk: true,
    })
  }

  /** The whole blob for one client: the disk is short. */
  async #passWhole(
    mirror: Mirror,
    repository: RepositoryName,
    digest: Digest,
    taken: HttpAnswer | undefined,
  ): Promise<BlobOutcome> {
    const answer = taken ?? (await this.#get(mirror, repository, digest, {}))
    const length = Number(headerOf(answer.headers, 'content-length') ?? Number.NaN)
    if (answer.status !== 200 || !Number.isSafeInteger(length)) {
      answer.body.abort()
      throw new UpstreamError('garbage', 'upstream does not say how long the blob is')
    }
    mirror.stats.passed += 1
    return { kind: 'pass', source: new PassThrough(answer, length) }
  }

  /**
   * Links a blob that another repository of the same mirror holds. Of other mirrors and of local
   * repositories nothing is taken: an upstream could name any digest as its own.
   */
  async #linkFromSibling(
    mirror: Mirror,
    repository: RepositoryName,
    digest: Digest,
  ): Promise<boolean> {
    const { metadata } = this.#context
    if (metadata.get('blobs', digest) === undefined) return false
    const holders = metadata.keys('holders', [digest], undefined, holdersLookedAtMax)
    const isHeld = holders.some(([, holder]) => holder.startsWith(`${mirror.name}/`))
    const isOfMirror = metadata.get('mirrorBlobs', [mirror.name, digest]) !== undefined
    if (!isHeld || !isOfMirror) return false
    await this.#prove(mirror, repository, digest)
    return this.#link(repository, digest)
  }

  async #link(repository: RepositoryName, digest: Digest): Promise<boolean> {
    const { metadata, clock } = this.#context
    const now = clock.now()
    const { applied } = await metadata.commit({
      checks: [],
      changes: [
        { change: 'touch', in: 'blobs', key: digest, at: now },
        ...linkChanges(repository, digest, now),
      ],
    })
    return applied
  }

  /** Throws unless upstream has the blob in this repository: a manifest says so, or a HEAD. */
  async #prove(mirror: Mirror, repository: RepositoryName, digest: Digest): Promise<void> {
    const parents = this.#context.metadata.keys('parents', [digest, repository], undefined, 1)
    if (parents.length === 0) await this.#askSize(mirror, repository, digest)
  }

  async #askSize(mirror: Mirror, repository: RepositoryName, digest: Digest): Promise<number> {
    const key = `${repository} ${digest}`
    const { clock } = this.#context
    const size = await this.#proving.run(key, async () => {
      try {
        const answer = await mirror.upstream.ask({
          method: 'HEAD',
          repository: mirror.upstreamName(repository),
          tail: `blobs/${digest}`,
          deadline: clock.monotonic() + missMs,
        })
        answer.body.abort()
        const length = headerOf(answer.headers, 'content-length') ?? ''
        return /^\d{1,15}$/.test(length) ? Number(length) : undefined
      } catch (error) {
        this.#noteMissing(repository, digest, error)
        throw error
      }
    })
    if (size === undefined) {
      throw new UpstreamError('garbage', 'upstream does not say how long the blob is')
    }
    this.#sizes.set(key, size)
    if (this.#sizes.size > sizesMax) {
      const [oldest] = this.#sizes.keys()
      this.#sizes.delete(oldest!)
    }
    return size
  }

  #noteMissing(repository: RepositoryName, digest: Digest, error: unknown): void {
    if (error instanceof UpstreamError && error.kind === 'missing') {
      this.#negative.add(`${repository} ${digest}`)
    }
  }

  #refuseKnownMissing(mirror: Mirror, repository: RepositoryName, digest: Digest): void {
    if (!this.#negative.has(`${repository} ${digest}`)) return
    mirror.stats.negative += 1
    throw new UpstreamError('missing', 'upstream did not have it a moment ago')
  }
}

/** Rejects in time where a length is known only at the end of the body. */
async function withinMiss(opened: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new UpstreamError('timeout', 'the blob is still being fetched; try again')),
      missMs + 1_500,
    )
  })
  try {
    await Promise.race([opened, late])
  } catch (error) {
    throw error instanceof Error && 'code' in error ? error : toUpstreamError(error, 'upstream')
  } finally {
    clearTimeout(timer)
  }
}
