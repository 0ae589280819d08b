/**
 * @module Blobs of mirrored repositories: where the bytes of a pull come from. What is stored and
 * linked never comes here; a blob that another repository of the same mirror holds is linked once it
 * is known to belong; everything else is filled from upstream, once for all who ask.
 */

import type { Fill } from '../blobs/fill/fill.ts'
import type { FillAnswer } from '../blobs/fill/source.ts'
import type { BlobSource } from '../blobs/port.ts'
import type { Flight, FlightOwner } from '../distribution/blob-flights.ts'
import { linkBlob } from '../metadata/edits.ts'
import type { Change } from '../metadata/transaction.ts'
import type { Digest } from '../registry/digest.ts'
import type { ByteSpan } from '../registry/range.ts'
import { UpstreamError } from '../upstream/error.ts'
import { PassThrough } from '../upstream/pass-through.ts'
import { BlobProofs, promisedSize } from './blob-proofs.ts'
import { UpstreamBlob } from './blob-source.ts'
import { type MirrorContext, missMs } from './context.ts'
import type { MirrorEviction } from './eviction.ts'
import type { Mirror } from './mirror.ts'
import type { MirroredRepository } from './mirrored-repository.ts'
import { RangeSource } from './range-source.ts'

export type BlobOutcome =
  | { readonly kind: 'local' }
  | { readonly kind: 'size'; readonly sizeBytes: number }
  | { readonly kind: 'fill'; readonly fill: Fill; readonly sizeBytes: number }
  /** Not stored: straight from upstream to this client. */
  | { readonly kind: 'pass'; readonly source: PassThrough }

/** How a client asks. */
export interface BlobAsk {
  readonly isRange: boolean
  /** Latest time for the beginning of an answer, ms on the monotonic clock. */
  readonly deadline: number
}

/** Holders looked at for one of the same mirror. */
const holdersLookedAtMax = 64

export class MirrorBlobs {
  readonly #context: MirrorContext
  readonly #eviction: MirrorEviction
  readonly #owners = new Map<Mirror, FlightOwner>()
  readonly #proofs: BlobProofs

  constructor(context: MirrorContext, eviction: MirrorEviction) {
    this.#context = context
    this.#eviction = eviction
    this.#proofs = new BlobProofs(context.clock)
  }

  isLocal(repository: MirroredRepository, digest: Digest): boolean {
    const { metadata } = this.#context
    return (
      metadata.get('links', [repository.name, digest]) !== undefined &&
      metadata.get('blobs', digest) !== undefined
    )
  }

  /** Length for a HEAD. Costs upstream a HEAD at most. */
  async head(
    repository: MirroredRepository,
    digest: Digest,
    deadline: number,
  ): Promise<BlobOutcome> {
    if (this.isLocal(repository, digest)) return { kind: 'local' }
    this.#proofs.refuseAgain(repository, digest)
    const running = this.#context.flights.get(digest, this.#ownerOf(repository.mirror))
    const isOurs = running?.has(repository.name) === true
    const known = isOurs ? running.fill.sizeBytes : undefined
    const sizeBytes =
      known ??
      (await this.#proofs.sizeOf(repository, digest, deadline)) ??
      promisedSize(this.#context.metadata, repository.name, digest)
    if (sizeBytes !== undefined) return { kind: 'size', sizeBytes }
    throw new UpstreamError('garbage', 'upstream does not say how long the blob is')
  }

  /**
   * The fill of a blob that is on its way and known to belong here: who comes while hundreds do is
   * answered in the same turn.
   */
  openNow(repository: MirroredRepository, digest: Digest): Fill | undefined {
    const flight = this.#context.flights.get(digest, this.#ownerOf(repository.mirror))
    if (flight?.fill.isReadable !== true || !flight.has(repository.name)) return undefined
    repository.mirror.stats.joined += 1
    return flight.fill
  }

  /** The bytes. Resolves when the answer's length is known; throws an `UpstreamError`. */
  async open(
    repository: MirroredRepository,
    digest: Digest,
    ask: BlobAsk,
    isAgain = false,
  ): Promise<BlobOutcome> {
    const { isRange, deadline } = ask
    if (this.isLocal(repository, digest)) return { kind: 'local' }
    this.#proofs.refuseAgain(repository, digest)
    const { flights } = this.#context
    const owner = this.#ownerOf(repository.mirror)
    const running = flights.get(digest, owner)
    if (running === undefined && (await this.#linkFromSibling(repository, digest, deadline))) {
      return { kind: 'local' }
    }
    if (running !== undefined) repository.mirror.stats.joined += 1
    else repository.mirror.stats.misses += 1
    const flight = flights.get(digest, owner) ?? this.#start(repository, digest, deadline)
    if (!flight.has(repository.name)) {
      const { sizeBytes } = flight.fill
      await this.#proofs.prove(repository, digest, sizeBytes, deadline)
      flight.join(repository.name, owner)
    }
    const { fill } = flight
    if (isRange) fill.want()
    try {
      if (!fill.isReadable) await fill.opened
    } catch (error) {
      if (isAgain || running === undefined || !isOthers(flight, owner, error)) throw error
      await fill.over
      return this.open(repository, digest, ask, true)
    }
    if (fill.state === 'stored') {
      // It was published for whoever had asked by then.
      if (!this.isLocal(repository, digest)) await this.#link(repository, digest)
      return { kind: 'local' }
    }
    if (fill.state === 'failed') {
      const taken = flight.owner === owner ? fill.takeUnstored() : undefined
      return this.#passWhole(repository, digest, taken, deadline)
    }
    return { kind: 'fill', fill, sizeBytes: fill.sizeBytes! }
  }

  /**
   * Ranges of a blob that is being filled, for one client: what the fill does not reach soon comes
   * straight from upstream.
   */
  ranges(
    repository: MirroredRepository,
    fill: Fill,
    { spans, client, deadline }: RangesAsk,
  ): BlobSource {
    const { clock } = this.#context
    const pass = async (offset: number, length: number) => {
      const giveBack = repository.takePass(client)
      if (giveBack === undefined) return undefined
      try {
        const until = Math.max(deadline, clock.monotonic() + passMsMin)
        const blob = new UpstreamBlob({
          repository,
          digest: fill.digest,
          sizeBytes: fill.sizeBytes,
        })
        const body = await blob.range(offset, length, until)
        repository.mirror.stats.passed += 1
        return new PassThrough(body, length, giveBack)
      } catch {
        giveBack()
        return undefined
      }
    }
    return new RangeSource({ fill, spans, clock, pass })
  }

  /** Starts a fill for warming; resolves when it is stored. */
  async fetch(repository: MirroredRepository, digest: Digest): Promise<void> {
    const deadline = this.#context.clock.monotonic() + missMs
    const outcome = await this.open(repository, digest, { isRange: true, deadline })
    if (outcome.kind === 'fill') await outcome.fill.over
    if (outcome.kind === 'pass') outcome.source.close()
  }

  #start(repository: MirroredRepository, digest: Digest, deadline: number): Flight {
    const { clock, flights, logger, metadata, sharing } = this.#context
    const { mirror } = repository
    const startedAt = clock.monotonic()
    const upstream = new UpstreamBlob({
      repository,
      digest,
      askSize: () => this.#proofs.sizeOf(repository, digest, deadline),
      onOpened: () => mirror.stats.firstByte((clock.monotonic() - startedAt) / 1000),
    })
    const flight = flights.start({
      digest,
      promisedBytes: promisedSize(metadata, repository.name, digest),
      deadline,
      repository: repository.name,
      owner: this.#ownerOf(mirror),
      source: sharing?.sourceOf(upstream, repository.name, digest) ?? upstream,
      mayStore: (sizeBytes) => this.#eviction.mayStore(mirror, sizeBytes),
    })
    const { fill } = flight
    void fill.over.then(() => {
      if (fill.state === 'stored') return
      fill.opened.catch((error: unknown) => this.#proofs.noteFailure(repository, digest, error))
      logger.info({ mirror: mirror.name, digest, received: fill.receivedBytes }, 'blob not stored')
    })
    return flight
  }

  /** What a mirror notes of each blob that comes for it. */
  #ownerOf(mirror: Mirror): FlightOwner {
    let owner = this.#owners.get(mirror)
    if (owner === undefined) {
      owner = new MirrorOwner(mirror, this.#context, this.#eviction)
      this.#owners.set(mirror, owner)
    }
    return owner
  }

  /** The whole blob for one client: the disk is short. */
  async #passWhole(
    repository: MirroredRepository,
    digest: Digest,
    taken: FillAnswer | undefined,
    deadline: number,
  ): Promise<BlobOutcome> {
    const blob = new UpstreamBlob({ repository, digest })
    const answer = taken ?? (await blob.open(0, deadline))
    const { offset, sizeBytes, isPart = false, body } = answer
    // No later answer goes on where this one ends: the client would get a body that is cut.
    if (offset !== 0 || isPart) {
      body.abort()
      throw new UpstreamError('garbage', 'upstream answers a part that was not asked for')
    }
    if (sizeBytes === undefined) {
      body.abort()
      throw new UpstreamError('garbage', 'upstream does not say how long the blob is')
    }
    repository.mirror.stats.passed += 1
    return { kind: 'pass', source: new PassThrough(body, sizeBytes) }
  }

  /**
   * Links a blob that another repository of the same mirror holds, once upstream has confirmed it for
   * this one. Of other mirrors and of local repositories nothing is taken: an upstream could name any
   * digest as its own.
   */
  async #linkFromSibling(
    repository: MirroredRepository,
    digest: Digest,
    deadline: number,
  ): Promise<boolean> {
    const { metadata } = this.#context
    const row = metadata.get('blobs', digest)
    if (row === undefined) return false
    const holders = metadata.keys('holders', [digest], undefined, holdersLookedAtMax)
    const isHeld = holders.some(([, holder]) => holder.startsWith(`${repository.mirror.name}/`))
    const isOfMirror = metadata.get('mirrorBlobs', [repository.mirror.name, digest]) !== undefined
    if (!isHeld || !isOfMirror) return false
    await this.#proofs.prove(repository, digest, row.sizeBytes, deadline)
    return this.#link(repository, digest)
  }

  async #link(repository: MirroredRepository, digest: Digest): Promise<boolean> {
    const { metadata, clock } = this.#context
    const { mirror, name } = repository
    const now = clock.now()
    const isNew = metadata.get('mirrorBlobs', [mirror.name, digest]) === undefined
    const sizeBytes = metadata.get('blobs', digest)?.sizeBytes ?? 0
    // A flight that another began may have landed before this mirror joined.
    const owner = isNew ? this.#ownerOf(mirror) : undefined
    const { applied } = await metadata.commit({
      checks: [],
      changes: [
        { change: 'raise', in: 'blobs', key: digest, at: now },
        ...linkBlob(name, digest, now),
        ...(owner?.changesOf(digest, sizeBytes, now) ?? []),
      ],
    })
    if (applied) owner?.onStored(digest, sizeBytes)
    return applied
  }
}

/** Refused to the repository that began it, or failed for somebody else: that says nothing of this one. */
function isOthers(flight: Flight, owner: FlightOwner, error: unknown): boolean {
  return flight.owner !== owner || (error instanceof UpstreamError && error.isRefusal)
}

/** Keeps the row of a blob that a mirror has fetched, and counts it once. */
class MirrorOwner implements FlightOwner {
  readonly realm: string
  readonly isInteractive = true
  readonly #mirror: Mirror
  readonly #context: MirrorContext
  readonly #eviction: MirrorEviction
  readonly #new = new Set<Digest>()

  constructor(mirror: Mirror, context: MirrorContext, eviction: MirrorEviction) {
    this.realm = mirror.upstream.realm
    this.#mirror = mirror
    this.#context = context
    this.#eviction = eviction
  }

  changesOf(digest: Digest, sizeBytes: number, now: number): Change[] {
    const key = [this.#mirror.name, digest] as const
    if (this.#context.metadata.get('mirrorBlobs', key) === undefined) this.#new.add(digest)
    const row = { sizeBytes, addedAt: now, pulledAt: now }
    return [{ change: 'put', in: 'mirrorBlobs', key, row }]
  }

  onStored(digest: Digest, sizeBytes: number): void {
    if (this.#new.delete(digest)) this.#eviction.added(this.#mirror, sizeBytes)
  }
}

/** What is asked of `ranges`. */
export interface RangesAsk {
  readonly spans: readonly ByteSpan[]
  /** Whose share the ranges count against. */
  readonly client: string
  readonly deadline: number
}

/** A range of an answer that has begun may take so long to begin, ms. */
const passMsMin = 5_000
