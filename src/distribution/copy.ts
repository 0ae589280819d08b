/**
 * @module Copies inside the registry: an image or a whole index into another repository or under
 * another tag, without moving a byte. Children and blobs first, the tag in the last transaction: a
 * reader sees the old target or the whole new one.
 */
import type { Digest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Reference } from '../registry/reference.ts'
import type { Tag } from '../registry/tag.ts'
import type { Clock } from '../runtime/clock.ts'
import type { MetadataStore } from '../storage/ports.ts'
import type { Change, Check } from '../storage/transaction.ts'
import { linkChanges } from './commit-blob.ts'
import { findManifest } from './pull.ts'
import type { ManifestPushes } from './push-manifest.ts'
import { listAll } from './scan.ts'

export interface CopyRequest {
  readonly from: RepositoryName
  readonly reference: Reference
  readonly to: RepositoryName
  /** Undefined: by digest alone. */
  readonly tag: Tag | undefined
  /** Whether signatures, SBOMs and the like come along. */
  readonly withReferrers: boolean
  readonly by: string
  readonly signal?: AbortSignal
}

export interface Copied {
  readonly digest: Digest
  readonly manifests: number
  readonly blobs: number
}

/** Blobs linked in one transaction. */
const blobsAtOnce = 256
const manifestsMax = 10_000

export class Copies {
  readonly #metadata: MetadataStore
  readonly #pushes: ManifestPushes
  readonly #clock: Clock

  constructor(metadata: MetadataStore, pushes: ManifestPushes, clock: Clock) {
    this.#metadata = metadata
    this.#pushes = pushes
    this.#clock = clock
  }

  /** On disk and visible when it resolves. Throws MANIFEST_UNKNOWN, and what a push throws. */
  async copy(request: CopyRequest): Promise<Copied> {
    const { from, to, tag } = request
    const { digest } = findManifest(this.#metadata, from, request.reference)
    const ordered: Digest[] = []
    await this.#collect(from, digest, request.withReferrers, new Set(), ordered)
    let blobs = 0
    for (const current of ordered) {
      if (request.signal?.aborted === true) throw cancelled()
      blobs += await this.#link(from, to, current)
      if (current !== digest) await this.#push(request, current, [])
    }
    await this.#push(request, digest, tag === undefined ? [] : [tag])
    return { digest, manifests: ordered.length, blobs }
  }

  /** Children before what lists them; referrers after their subject (they may come first, too). */
  async #collect(
    repository: RepositoryName,
    digest: Digest,
    withReferrers: boolean,
    seen: Set<string>,
    ordered: Digest[],
  ): Promise<void> {
    if (seen.has(digest)) return
    seen.add(digest)
    if (seen.size > manifestsMax) {
      throw new RegistryError('SIZE_INVALID', { message: `more than ${manifestsMax} manifests` })
    }
    for (const [, child] of await listAll(this.#metadata, 'children', [digest])) {
      const found = this.#manifestHere(repository, child)
      if (found !== undefined) {
        await this.#collect(repository, found, withReferrers, seen, ordered)
      }
    }
    ordered.push(digest)
    if (!withReferrers) return
    for (const [, , referrer] of await listAll(this.#metadata, 'referrers', [repository, digest])) {
      await this.#collect(repository, referrer, withReferrers, seen, ordered)
    }
  }

  #manifestHere(repository: RepositoryName, child: string): Digest | undefined {
    const [found] = this.#metadata.keys('manifestHolders', [child, repository], undefined, 1)
    const digest = found?.[0]
    if (digest === undefined) return undefined
    return this.#metadata.get('manifests', [repository, digest]) === undefined ? undefined : digest
  }

  /** Every blob of one manifest into the target, if the source still has it. */
  async #link(from: RepositoryName, to: RepositoryName, manifest: Digest): Promise<number> {
    if (from === to) return 0
    const held: Digest[] = []
    for (const [, child] of await listAll(this.#metadata, 'children', [manifest])) {
      const [holder] = this.#metadata.keys('holders', [child, from], undefined, 1)
      if (holder !== undefined) held.push(holder[0])
    }
    for (let start = 0; start < held.length; start += blobsAtOnce) {
      const now = this.#clock.now()
      const part = held.slice(start, start + blobsAtOnce)
      const checks = part.map((it): Check => ({ check: 'present', in: 'links', key: [from, it] }))
      const changes = part.flatMap((it): Change[] => [
        { change: 'touch', in: 'blobs', key: it, at: now },
        ...linkChanges(to, it, now),
      ])
      const { applied } = await this.#metadata.commit({ checks, changes })
      if (!applied) throw changed()
    }
    return held.length
  }

  async #push({ from, to, by }: CopyRequest, digest: Digest, tags: Tag[]): Promise<void> {
    const row = this.#metadata.get('manifests', [from, digest])
    await this.#metadata.touch('manifestBytes', digest)
    const bytes = this.#metadata.getBytes('manifestBytes', digest)?.slice()
    if (row === undefined || bytes === undefined) throw changed()
    // The same manifest under the same name is not pushed again: its age is its own.
    const isThere = this.#metadata.get('manifests', [to, digest]) !== undefined
    if (isThere && tags.length === 0) return
    await this.#pushes.push({
      repository: to,
      reference: { kind: 'digest', digest },
      tags,
      expected: undefined,
      contentType: row.mediaType,
      bytes,
      condition: { ifMatch: undefined, ifNoneMatch: undefined },
      by,
    })
  }
}

function changed(): RegistryError {
  return new RegistryError('UNAVAILABLE', {
    status: 409,
    message: 'the source changed while it was copied; try again',
  })
}

function cancelled(): RegistryError {
  return new RegistryError('UNAVAILABLE', { status: 409, message: 'the copy was cancelled' })
}
