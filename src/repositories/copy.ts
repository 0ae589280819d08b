/**
 * @module Copies inside the registry: an image or a whole index into another repository or under
 * another tag, without moving a byte. Children and blobs first, the tag in the last transaction: a
 * reader sees the old target or the whole new one.
 */

import { findManifest } from '../distribution/pull.ts'
import type { ManifestPushes } from '../distribution/push-manifest.ts'
import { referrersOf, tagsNamedAfter } from '../metadata/attached.ts'
import { linkBlob } from '../metadata/edits.ts'
import type { MetadataStore } from '../metadata/port.ts'
import { listAll } from '../metadata/scan.ts'
import type { Change, Check } from '../metadata/transaction.ts'
import type { Digest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Reference } from '../registry/reference.ts'
import type { Tag } from '../registry/tag.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Witness } from '../signing/attest/witness.ts'
import { type Admission, type TagGate, violationEvents } from '../signing/gate.ts'

export interface CopyRequest {
  readonly from: RepositoryName
  readonly reference: Reference
  readonly to: RepositoryName
  /** Undefined: by digest alone. */
  readonly tag: Tag | undefined
  /** Whether signatures, SBOMs and the like come along. */
  readonly withReferrers: boolean
  readonly by: string
  /** Of whom asked for this very copy; undefined: it is a step of something else. */
  readonly requestId?: string
  readonly signal?: AbortSignal
}

export interface Copied {
  readonly digest: Digest
  readonly manifests: number
  readonly blobs: number
  /** Tags that came along because they are named after what was copied. */
  readonly tags: Tag[]
}

/** What a copy takes along, in the order in which it is pushed. */
interface Collected {
  readonly seen: Set<string>
  /** Children before what lists them, referrers after their subject. */
  readonly manifests: Digest[]
  readonly tags: Map<Tag, Digest>
}

/** Blobs linked in one transaction. */
const blobsAtOnce = 256
const manifestsMax = 10_000

export class Copies {
  readonly #metadata: MetadataStore
  readonly #pushes: ManifestPushes
  readonly #clock: Clock
  readonly #gate: TagGate
  readonly #witness: Pick<Witness, 'promoted'> | undefined

  /** `gate`: that of `pushes`. `witness` hears of every copy that was asked for. */
  constructor(
    metadata: MetadataStore,
    pushes: ManifestPushes,
    clock: Clock,
    gate: TagGate,
    witness?: Pick<Witness, 'promoted'>,
  ) {
    this.#metadata = metadata
    this.#pushes = pushes
    this.#clock = clock
    this.#gate = gate
    this.#witness = witness
  }

  /**
   * On disk and visible when it resolves; the tag moves last. Throws MANIFEST_UNKNOWN, and what a push
   * throws. Throws SIGNATURE_REQUIRED before the first step where the policy of the target asks for signatures
   * that are not on the source.
   */
  async copy(request: CopyRequest): Promise<Copied> {
    const { from, to, tag } = request
    const { digest } = findManifest(this.#metadata, from, request.reference)
    const admission = tag && (await this.judge(from, to, tag, digest))
    const all: Collected = { seen: new Set(), manifests: [], tags: new Map() }
    await this.#collect(from, digest, request.withReferrers, all)
    let blobs = 0
    for (const current of all.manifests) {
      if (request.signal?.aborted === true) throw cancelled()
      blobs += await this.#link(from, to, current)
      if (current !== digest) await this.#push(request, current, [])
    }
    const tags: Tag[] = []
    for (const [named, target] of from === to ? [] : all.tags) {
      if (request.signal?.aborted === true) throw cancelled()
      if (named === tag || (await this.#holdsAll(request, named, target))) continue
      await this.#push(request, target, [named])
      tags.push(named)
    }
    await this.#push(
      request,
      digest,
      tag === undefined ? [] : [tag],
      await this.#noted(request, digest, admission),
    )
    admission?.onMoved?.()
    const { by, requestId } = request
    if (requestId !== undefined) {
      const moved = tag === undefined ? [] : [tag]
      this.#witness?.promoted({ repository: to, digest, tags: moved, by, requestId, from })
    }
    return { digest, manifests: all.manifests.length, blobs, tags }
  }

  /** Whether a policy of signatures may have a say in a repository. */
  isWatched(repository: RepositoryName): boolean {
    return this.#gate.watches(repository)
  }

  /**
   * Asks the policy of `to` whether the tag may point at an image there, by the signatures that it has in
   * `from`. Throws SIGNATURE_REQUIRED. Undefined: no policy governs the tag.
   */
  async judge(
    from: RepositoryName,
    to: RepositoryName,
    tag: Tag,
    digest: Digest,
  ): Promise<Admission | undefined> {
    if (!this.#gate.watches(to)) return undefined
    const bytes = await this.#bytesOf(digest)
    if (bytes === undefined) throw changed()
    const move = { repository: to, from, digest, tags: [tag], bytes, gate: 'copy' } as const
    const governed = await this.#gate.governed(move)
    return governed.length === 0 ? undefined : this.#gate.admit(move)
  }

  async #bytesOf(digest: Digest): Promise<Uint8Array | undefined> {
    await this.#metadata.pageIn('manifestBytes', digest)
    return this.#metadata.getBytes('manifestBytes', digest)?.slice()
  }

  /**
   * Whether the target's tag holds everything already that the source's would bring: then it may hold
   * more, such as a signature that was made there, and stays.
   */
  async #holdsAll(request: CopyRequest, tag: Tag, target: Digest): Promise<boolean> {
    const { from, to } = request
    const there = this.#metadata.get('tags', [to, tag])?.digest
    if (there === undefined || there === target) return false
    const listed = new Set(await this.#listedBy(to, there))
    return (await this.#listedBy(from, target)).every((it) => listed.has(it))
  }

  /** Layers or manifests of a stored manifest, by digest; the configuration is each one's own. */
  async #listedBy(repository: RepositoryName, digest: Digest): Promise<string[]> {
    const config = this.#metadata.get('manifests', [repository, digest])?.imageConfig
    const children = await listAll(this.#metadata, 'children', [digest])
    return children.map(([, child]) => child).filter((child) => child !== config)
  }

  async #collect(
    repository: RepositoryName,
    digest: Digest,
    withReferrers: boolean,
    all: Collected,
  ): Promise<void> {
    if (all.seen.has(digest)) return
    all.seen.add(digest)
    if (all.seen.size > manifestsMax) {
      throw new RegistryError('COPY_TOO_LARGE', { message: `more than ${manifestsMax} manifests` })
    }
    for (const [, child] of await listAll(this.#metadata, 'children', [digest])) {
      const found = this.#manifestHere(repository, child)
      if (found !== undefined) {
        await this.#collect(repository, found, withReferrers, all)
      }
    }
    all.manifests.push(digest)
    if (!withReferrers) return
    for (const referrer of await referrersOf(this.#metadata, repository, digest)) {
      await this.#collect(repository, referrer, withReferrers, all)
    }
    for (const tag of tagsNamedAfter(this.#metadata, repository, digest)) {
      const target = this.#metadata.get('tags', [repository, tag])?.digest
      if (target === undefined) continue
      all.tags.set(tag, target)
      await this.#collect(repository, target, withReferrers, all)
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
        { change: 'raise', in: 'blobs', key: it, at: now },
        ...linkBlob(to, it, now),
      ])
      const { applied } = await this.#metadata.commit({ checks, changes })
      if (!applied) throw changed()
    }
    return held.length
  }

  /** What the gate of copies would have refused, unless the gate of tags notes it as well. */
  async #noted(
    { to, tag, by }: CopyRequest,
    digest: Digest,
    admission: Admission | undefined,
  ): Promise<Change[]> {
    const bytes = await this.#bytesOf(digest)
    if (admission?.violation === undefined || tag === undefined || bytes === undefined) return []
    const move = { repository: to, digest, tags: [tag], bytes, gate: 'tag' } as const
    const isNoted = (await this.#gate.governed(move)).length > 0
    return isNoted ? [] : violationEvents(move, admission, by, this.#clock.now())
  }

  async #push(
    { from, to, by }: CopyRequest,
    digest: Digest,
    tags: Tag[],
    more: readonly Change[] = [],
  ): Promise<void> {
    const row = this.#metadata.get('manifests', [from, digest])
    const bytes = await this.#bytesOf(digest)
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
      more,
      by,
    })
  }
}

function changed(): RegistryError {
  return new RegistryError('COPY_ENDED', {
    message: 'the source changed while it was copied; try again',
  })
}

function cancelled(): RegistryError {
  return new RegistryError('COPY_ENDED')
}
