/**
 * @module The blobs of one copy: linked where they are held here already, joined where they are on their way
 * from the same registry, else fetched. So many at a time, of the source and of all sources.
 */
import type { Room } from '../../blobs/port.ts'
import type { BlobFlights, Flight, FlightOwner } from '../../distribution/blob-flights.ts'
import { linkBlob } from '../../metadata/edits.ts'
import type { MetadataStore } from '../../metadata/port.ts'
import type { Digest } from '../../registry/digest.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Semaphore } from '../../runtime/semaphore.ts'
import { SyncError } from '../port.ts'
import type { CopyCounts } from './outcome.ts'
import { CorruptError } from './reasons.ts'
import { type SourceRepository, unlessAborted } from './source-repository.ts'

/** Holders looked at for one of which a blob may be linked. */
const holdersLookedAtMax = 64

/** Flights of one blob: one that was somebody else's, one of ours, and one more from the first byte. */
const flightsMax = 4

export interface BlobCopyParts {
  readonly metadata: MetadataStore
  readonly flights: BlobFlights
  readonly owner: FlightOwner
  readonly space: Pick<Room, 'freeBytes' | 'reserveBytes'>
  readonly clock: Clock
  /** Taken in this order; each gives a place to who came first. */
  readonly slots: readonly Semaphore[]
  /**
   * Whether what this repository holds may be linked elsewhere by the source's word alone: an upstream can
   * name any digest as its own.
   */
  readonly mayLinkFrom: (holder: RepositoryName) => boolean
}

export interface BlobCopyOptions {
  readonly source: SourceRepository
  readonly local: RepositoryName
  readonly counts: CopyCounts
  readonly signal: AbortSignal
  readonly isPlan: boolean
}

export class BlobCopy {
  readonly #parts: BlobCopyParts
  readonly #options: BlobCopyOptions
  /** Those that a plan has counted. */
  readonly #planned = new Set<Digest>()
  plannedBytes = 0

  constructor(parts: BlobCopyParts, options: BlobCopyOptions) {
    this.#parts = parts
    this.#options = options
  }

  /** Requests that the copy of what is planned would make. */
  get plannedRequests(): number {
    return this.#planned.size
  }

  isHere(digest: Digest): boolean {
    const { metadata } = this.#parts
    return (
      metadata.get('links', [this.#options.local, digest]) !== undefined &&
      metadata.get('blobs', digest) !== undefined
    )
  }

  /** The blob is in the repository, on disk, when it resolves. `sizeBytes`: what a manifest says. */
  async copy(digest: Digest, sizeBytes: number): Promise<void> {
    const { signal, isPlan, counts } = this.#options
    signal.throwIfAborted()
    if (this.isHere(digest) || this.#planned.has(digest)) return
    if (isPlan) return this.#plan(digest, sizeBytes)
    let corrupt = 0
    for (let attempt = 1; ; attempt += 1) {
      if (await this.#linkHeld(digest)) {
        counts.linkedBytes += sizeBytes
        return
      }
      try {
        return await this.#fly(digest, sizeBytes)
      } catch (error) {
        if (signal.aborted || attempt >= flightsMax) throw error
        // Bytes that were wrong come once more, from the first.
        if (error instanceof CorruptError) corrupt += 1
        else if (!(error instanceof JoinedFailure)) throw error
        if (corrupt > 1) throw error
      }
    }
  }

  #plan(digest: Digest, sizeBytes: number): void {
    if (this.#mayLink(digest)) {
      this.#options.counts.linkedBytes += sizeBytes
      return
    }
    this.#planned.add(digest)
    this.plannedBytes += sizeBytes
  }

  #mayLink(digest: Digest): boolean {
    const { metadata, mayLinkFrom } = this.#parts
    if (metadata.get('blobs', digest) === undefined) return false
    const holders = metadata.keys('holders', [digest], undefined, holdersLookedAtMax)
    return holders.some(([, holder]) => mayLinkFrom(holder))
  }

  async #linkHeld(digest: Digest): Promise<boolean> {
    return this.isHere(digest) || (this.#mayLink(digest) && this.#link(digest))
  }

  /** Check and raise: a collection that came first turns it into a fetch. */
  async #link(digest: Digest): Promise<boolean> {
    const { metadata, clock } = this.#parts
    const now = clock.now()
    const { applied } = await metadata.commit({
      checks: [{ check: 'present', in: 'blobs', key: digest }],
      changes: [
        { change: 'raise', in: 'blobs', key: digest, at: now },
        ...linkBlob(this.#options.local, digest, now),
      ],
    })
    return applied
  }

  async #fly(digest: Digest, sizeBytes: number): Promise<void> {
    const { flights, owner, slots } = this.#parts
    const { local, counts, signal } = this.#options
    const running = flights.get(digest, owner)
    if (running !== undefined) {
      running.join(local, owner)
      try {
        await this.#land(running, digest)
      } catch (error) {
        if (signal.aborted) throw error
        throw new JoinedFailure('another flight of the blob has failed', { cause: error })
      }
      counts.joinedBytes += sizeBytes
      return
    }
    const places: (() => void)[] = []
    const giveAll = () => places.forEach((give) => void give())
    try {
      for (const slot of slots) places.push(await slot.take(signal))
      // It may have come while we were in line, for this repository or for another one.
      if (this.isHere(digest)) return giveAll()
      if (this.#mayLink(digest) && (await this.#link(digest))) {
        counts.linkedBytes += sizeBytes
        return giveAll()
      }
      const other = flights.get(digest, owner)
      if (other !== undefined) {
        giveAll()
        return await this.#fly(digest, sizeBytes)
      }
    } catch (error) {
      giveAll()
      throw error
    }
    const { flight, isShort } = this.#start(digest, sizeBytes)
    // What is under way has its place until it is over, whoever has left.
    void flight.fill.over.then(giveAll)
    try {
      await this.#land(flight, digest)
    } catch (error) {
      if (isShort()) throw noSpace(error)
      throw error
    }
    counts.downloadedBytes += sizeBytes
  }

  #start(digest: Digest, sizeBytes: number): { flight: Flight; isShort: () => boolean } {
    const { flights, owner, space } = this.#parts
    const { source, local } = this.#options
    let isShort = false
    // Its source is asked before it is here.
    let flight: Flight | undefined
    flight = flights.start({
      digest,
      promisedBytes: sizeBytes,
      deadline: source.deadline,
      repository: local,
      owner,
      source: source.blob(digest, () => flight?.isInteractive === true),
      mayStore: (bytes = 0) => {
        isShort = space.freeBytes - bytes <= space.reserveBytes
        return !isShort
      },
    })
    flight.fill.want()
    return { flight, isShort: () => isShort }
  }

  /** Resolves when the blob of a flight is in the repository. Throws what ended it. */
  async #land({ fill, owner }: Flight, digest: Digest): Promise<void> {
    await unlessAborted(fill.over, this.#options.signal)
    if (fill.state === 'stored') {
      // It was published for whoever had joined by then.
      if (this.isHere(digest) || (await this.#link(digest))) return
      throw new SyncError('internal', 'the blob is gone again', true)
    }
    if (owner === this.#parts.owner) fill.takeUnstored()?.body.abort()
    // Rejects with why.
    if (fill.state === 'failed') await fill.moreArrived()
    throw new SyncError('internal', 'the store did not keep the blob', true)
  }
}

function noSpace(cause: unknown): SyncError {
  return new SyncError('no-space', 'the disk is at its reserve', true, { cause })
}

/** The flight of another, or for another repository: that says nothing of ours. */
class JoinedFailure extends Error {}
