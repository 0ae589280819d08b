/**
 * @module Blobs on their way here from other registries: one flight for each digest and registry, whoever
 * asks for it. A pull through a mirror and a copy of a sync share the bytes and the transaction that makes
 * them a blob. Never those of two registries: one of them could name any digest as its own, and so read what
 * comes from the other. Whether a repository has the blob upstream is for the caller to find out.
 */
import { Fill } from '../blobs/fill/fill.ts'
import type { FilledBlob, FillSource, WantedBlob } from '../blobs/fill/source.ts'
import type { GrowingBlobs } from '../blobs/port.ts'
import type { Placed, SharedBlobs } from '../blobs/shared-port.ts'
import { linkBlob } from '../metadata/edits.ts'
import type { MetadataStore } from '../metadata/port.ts'
import type { Timestamp } from '../metadata/schema.ts'
import type { Change, CommitOutcome } from '../metadata/transaction.ts'
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Clock } from '../runtime/clock.ts'
import type { KeyedLock } from '../runtime/keyed-lock.ts'
import { commitBlob } from './commit-blob.ts'

/** Whose flight it is, or who has joined: a mirror, a source of a sync. One object each, for ever. */
export interface FlightOwner {
  /** The registry that it asks (`Upstream.realm`). */
  readonly realm: string
  /** Whether a client waits for what it asks for. */
  readonly isInteractive: boolean
  /** Written in the transaction that makes the bytes a blob. */
  changesOf(digest: Digest, sizeBytes: number, now: Timestamp): Change[]
  /** The blob is on disk with those rows. */
  onStored(digest: Digest, sizeBytes: number): void
}

export interface FlightsOptions {
  readonly metadata: MetadataStore
  readonly growing: GrowingBlobs
  readonly digestLock: KeyedLock
  /** Undefined: the files of all blobs are here. */
  readonly shared?: SharedBlobs | undefined
  readonly clock: Clock
  readonly inlineLimitBytes: number
  readonly newUploadId: () => string
  readonly onFileReplaced: (digest: Digest) => void
  readonly onFileInDoubt: (digest: Digest) => void
}

/** What begins a flight. */
export interface Departure extends WantedBlob {
  readonly repository: RepositoryName
  readonly owner: FlightOwner
  readonly source: FillSource
  readonly mayStore: (sizeBytes: number | undefined) => boolean
}

export class Flight {
  readonly fill: Fill
  /** Who began it: refusals of its source say nothing to others. */
  readonly owner: FlightOwner
  readonly #repositories: Set<RepositoryName>
  readonly #owners: Set<FlightOwner>

  constructor(
    fill: Fill,
    owner: FlightOwner,
    repositories: Set<RepositoryName>,
    owners: Set<FlightOwner>,
  ) {
    this.fill = fill
    this.owner = owner
    this.#repositories = repositories
    this.#owners = owners
  }

  /** Whether a client waits for it: then it is not to be slowed down. */
  get isInteractive(): boolean {
    for (const owner of this.#owners) if (owner.isInteractive) return true
    return false
  }

  /** Whether the blob will be in this repository when it is stored. */
  has(repository: RepositoryName): boolean {
    return this.#repositories.has(repository)
  }

  /**
   * The blob comes to this repository too. Too late when its rows are being written: whoever joins looks
   * for the link when `fill.over` has settled.
   */
  join(repository: RepositoryName, owner: FlightOwner): void {
    this.#repositories.add(repository)
    this.#owners.add(owner)
  }
}

export class BlobFlights {
  readonly #options: FlightsOptions
  /** By digest, then by realm. */
  readonly #flights = new Map<Digest, Map<string, Flight>>()

  constructor(options: FlightsOptions) {
    this.#options = options
  }

  /** Whether the blob is coming, from wherever: its bytes are not to be touched. */
  isComing(digest: Digest): boolean {
    return this.#flights.has(digest)
  }

  /** The one under way that this owner may join. */
  get(digest: Digest, { realm }: FlightOwner): Flight | undefined {
    return this.#flights.get(digest)?.get(realm)
  }

  /** Begins one; the owner could not join any. */
  start(it: Departure): Flight {
    const { growing, clock, inlineLimitBytes, newUploadId } = this.#options
    const { digest, repository, owner, source, mayStore } = it
    const repositories = new Set([repository])
    const owners = new Set([owner])
    const uploadId = newUploadId()
    const publish = (blob: FilledBlob) => this.#publish(repositories, owners, blob, uploadId)
    const store = { growing, uploadId, inlineLimitBytes, clock }
    const fill = new Fill(it, source, { mayStore, publish }, store)
    const flight = new Flight(fill, owner, repositories, owners)
    const all = this.#flights.get(digest) ?? new Map<string, Flight>()
    this.#flights.set(digest, all.set(owner.realm, flight))
    void fill.over.then(() => {
      all.delete(owner.realm)
      if (all.size === 0) this.#flights.delete(digest)
    })
    return flight
  }

  /** Resolves when none of those that are under way now is any more. */
  async settled(): Promise<void> {
    const all = [...this.#flights.values()].flatMap((some) => [...some.values()])
    await Promise.all(all.map(({ fill }) => fill.over))
  }

  /** File in place, then the rows of every repository that has asked, in one transaction. */
  async #publish(
    repositories: ReadonlySet<RepositoryName>,
    owners: ReadonlySet<FlightOwner>,
    blob: FilledBlob,
    uploadId: string,
  ): Promise<void> {
    const { shared, digestLock, onFileReplaced, onFileInDoubt } = this.#options
    const { digest, sizeBytes, pending } = blob
    if (shared !== undefined && pending !== undefined) {
      const file = { digest, sizeBytes, uploadId, seal: () => pending.commit(digest) }
      await pending.settle()
      await shared.store(file, (placed) => this.#commit(repositories, owners, blob, placed))
      for (const owner of owners) owner.onStored(digest, sizeBytes)
      return
    }
    await digestLock.run(digest, async () => {
      let isInPlace = false
      try {
        if (pending !== undefined) {
          await pending.commit(digest)
          isInPlace = true
        }
        const all = [...owners]
        await this.#commit(repositories, all, blob)
        for (const owner of all) owner.onStored(digest, sizeBytes)
        if (pending !== undefined) onFileReplaced(digest)
      } catch (error) {
        if (isInPlace) onFileInDoubt(digest)
        throw error
      }
    })
  }

  #commit(
    repositories: ReadonlySet<RepositoryName>,
    owners: Iterable<FlightOwner>,
    blob: FilledBlob,
    placed?: Placed,
  ): Promise<CommitOutcome> {
    const { metadata, clock } = this.#options
    const { digest, sizeBytes } = blob
    const now = clock.now()
    const [first, ...others] = repositories
    const more: Change[] = [
      ...others.flatMap((other) => linkBlob(other, digest, now)),
      ...[...owners].flatMap((owner) => owner.changesOf(digest, sizeBytes, now)),
    ]
    return commitBlob(metadata, blob, { repository: first!, now, more, placed })
  }
}
