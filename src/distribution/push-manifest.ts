/**
 * @module Pushing a manifest (distribution-spec, pushing-manifests): digest over the exact bytes,
 * parse once, check descriptors and existence, then one transaction: bytes, row, edges, referrer
 * entry, tags. Readers see the old or the new tag, never none.
 */

import { addManifest, pointTag } from '../metadata/edits.ts'
import { imageSize, imageSizeInTurns } from '../metadata/image-size.ts'
import type { MetadataStore } from '../metadata/port.ts'
import { commitRetrying } from '../metadata/retry.ts'
import { type ManifestRow, type TagRow, type Timestamp, tagHistoryMax } from '../metadata/schema.ts'
import type { Change, Check } from '../metadata/transaction.ts'
import type { Digest } from '../registry/digest.ts'
import { matchesEntityTag } from '../registry/entity-tag.ts'
import { RegistryError } from '../registry/errors.ts'
import type { Manifest } from '../registry/manifest.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Reference } from '../registry/reference.ts'
import type { Tag } from '../registry/tag.ts'
import type { Clock } from '../runtime/clock.ts'
import { checkChildren } from './check-children.ts'
import type { History } from './history.ts'
import { isBuildCache, lifetimeOf, type ReadBlob } from './image-expiry.ts'
import type { Policy } from './policy.ts'
import type { Protection } from './protection.ts'
import { shownAnnotations } from './referrer-entry.ts'
import type { TagLocks } from './tag-locks.ts'
import type { ManifestText, ReadManifest } from './worker/read-manifest.ts'

export interface ManifestPush {
  readonly repository: RepositoryName
  readonly reference: Reference
  /** Further tags (`?tag=`), with a digest reference. */
  readonly tags: readonly Tag[]
  /** Digest that the client expects of a push by tag (`?digest=`). */
  readonly expected: Digest | undefined
  readonly contentType: string | undefined
  readonly bytes: Uint8Array
  readonly condition: TagCondition
  /** Applied in the same transaction. */
  readonly more?: readonly Change[]
  /** Who pushes, for the history: a user's name or a client's address. */
  readonly by: string
}

export interface PushedManifest {
  readonly digest: Digest
  readonly subject: string | undefined
}

/** What a push shares with the other ways to change a repository: the very same objects. */
export interface PushParts {
  /** Shared with the deletes. */
  readonly tagLocks: TagLocks
  readonly protection: Protection
  readonly history: History
  /** Reads an image config for its labels. */
  readonly readBlob: ReadBlob
  /** `readManifest` of `distribution/worker/read-manifest.ts`: on this thread. */
  readonly readManifest: (text: ManifestText) => ReadManifest | Promise<ReadManifest>
}

/** What was looked up of a manifest before its lock was taken. */
interface FoundFacts {
  /** How long it wants to live, ms. */
  readonly lifetime: number | undefined
  readonly imageBytes: number
}

/** Layers that are looked up at once: beyond it in turns. */
const childrenAtOnce = 200

export class ManifestPushes {
  readonly #metadata: MetadataStore
  readonly #policy: Policy
  readonly #clock: Clock
  readonly #parts: PushParts

  constructor(metadata: MetadataStore, policy: Policy, clock: Clock, parts: PushParts) {
    this.#metadata = metadata
    this.#policy = policy
    this.#clock = clock
    this.#parts = parts
  }

  /**
   * Stores a manifest and moves its tags. On disk and visible when it resolves. Throws
   * DIGEST_MISMATCH, MANIFEST_INVALID, MANIFEST_BLOB_UNKNOWN (one entry a missing digest),
   * TAG_IMMUTABLE, and MANIFEST_CHANGED when a condition on the tag does not hold.
   */
  async push(push: ManifestPush): Promise<PushedManifest> {
    const { digest, manifest } = await this.#parts.readManifest(textOf(push))
    const tags = push.reference.kind === 'tag' ? [push.reference.tag] : push.tags
    const lifetime = await lifetimeOf(
      this.#metadata,
      push.repository,
      manifest,
      this.#parts.readBlob,
    )
    const imageBytes = await this.#sizeOf(push.repository, digest, manifest)
    return this.#parts.tagLocks.run(push.repository, [digest, ...tags], () =>
      this.#store(push, digest, manifest, tags, { lifetime, imageBytes }),
    )
  }

  /** An index may name ten thousand manifests; an image names a few layers. */
  #sizeOf(
    repository: RepositoryName,
    digest: Digest,
    { children }: Manifest,
  ): number | Promise<number> {
    const image = {
      digest,
      children: children.map((it) => ({ digest: it.digest.digest, kind: it.kind })),
    }
    return children.some(({ kind }) => kind === 'manifest') || children.length > childrenAtOnce
      ? imageSizeInTurns(this.#metadata, repository, image)
      : imageSize(this.#metadata, repository, image)
  }

  async #store(
    push: ManifestPush,
    digest: Digest,
    manifest: Manifest,
    tags: readonly Tag[],
    found: FoundFacts,
  ): Promise<PushedManifest> {
    await commitRetrying(this.#metadata, () => {
      const now = this.#clock.now()
      const changes = this.#manifestChanges(push, digest, manifest, found, now)
      const checks: Check[] = []
      for (const tag of tags) this.#moveTag(push, tag, digest, now, checks, changes)
      if (tags.length === 0) changes.push(this.#event(push, digest, now, {}))
      checks.push(...checkChildren(this.#metadata, push.repository, manifest, this.#policy))
      changes.push(...this.#raises(manifest, now), ...(push.more ?? []))
      return { checks, changes }
    })
    return { digest, subject: manifest.subject?.digest.digest }
  }

  /** Every blob that the manifest relies on is raised, so that collection leaves it alone. */
  #raises(manifest: Manifest, now: Timestamp): Change[] {
    const raises: Change[] = []
    for (const { digest: child } of manifest.children) {
      if (child.kind !== 'computed') continue
      if (this.#metadata.get('blobs', child.digest) === undefined) continue
      raises.push({ change: 'raise', in: 'blobs', key: child.digest, at: now })
    }
    return raises
  }

  #manifestChanges(
    { repository, bytes }: ManifestPush,
    digest: Digest,
    manifest: Manifest,
    { lifetime, imageBytes }: FoundFacts,
    now: Timestamp,
  ): Change[] {
    const imageConfig = manifest.children.find((child) => child.kind === 'config')
    const row: ManifestRow = {
      mediaType: manifest.mediaType,
      sizeBytes: bytes.byteLength,
      ...(manifest.artifactType === undefined ? {} : { artifactType: manifest.artifactType }),
      ...(manifest.subject === undefined ? {} : { subject: manifest.subject.digest.digest }),
      ...(imageConfig === undefined ? {} : { imageConfig: imageConfig.digest.digest }),
      pushedAt: now,
      imageBytes,
      ...(lifetime === undefined ? {} : { expiresAfterMs: lifetime }),
      ...(isBuildCache(manifest) ? { isBuildCache: true as const } : {}),
    }
    const children = manifest.children.map(({ digest: child, kind }) => ({
      digest: child.digest,
      kind,
    }))
    const referrer =
      manifest.subject === undefined
        ? undefined
        : {
            mediaType: manifest.mediaType,
            digest,
            size: bytes.byteLength,
            ...(manifest.artifactType === undefined ? {} : { artifactType: manifest.artifactType }),
            ...shownAnnotations(manifest.annotations),
          }
    return addManifest({ repository, digest, bytes, row, children, referrer }, now)
  }

  #moveTag(
    push: ManifestPush,
    tag: Tag,
    digest: Digest,
    now: Timestamp,
    checks: Check[],
    changes: Change[],
  ): void {
    const key = [push.repository, tag] as const
    const before = this.#metadata.get('tags', key)
    checkTagCondition(push.condition, before?.digest)
    // The history, the index by digest and the condition rest on what the tag is now.
    if (before === undefined) checks.push({ check: 'absent', in: 'tags', key })
    else checks.push({ check: 'unchanged', in: 'tags', key, row: before })
    if (before !== undefined && before.digest !== digest) {
      this.#parts.protection.requireMovable(push.repository, tag, before.digest)
      const loser = this.#metadata.get('manifests', [push.repository, before.digest])
      // Whoever resolved the tag a moment ago pulls the old manifest now: its age begins anew. A
      // cache that was superseded is of no use to anybody.
      if (loser !== undefined && loser.isBuildCache !== true) {
        const loserKey = [push.repository, before.digest] as const
        changes.push({ change: 'raise', in: 'manifests', key: loserKey, at: now })
      }
    }
    changes.push(
      ...pointTag(push.repository, tag, movedTag(before, digest, now, push.by), before?.digest),
      this.#event(push, digest, now, {
        tag,
        ...(before === undefined || before.digest === digest ? {} : { from: before.digest }),
      }),
    )
  }

  #event(
    { repository, by }: ManifestPush,
    digest: Digest,
    at: Timestamp,
    more: { readonly tag?: Tag; readonly from?: Digest },
  ): Change {
    return this.#parts.history.write({ at, action: 'push', repository, by, digest, ...more })
  }
}

/** The tag's new row, with what it pointed at before. */
export function movedTag(
  before: TagRow | undefined,
  digest: Digest,
  now: Timestamp,
  by: string,
): TagRow {
  if (before === undefined) return { digest, pushedAt: now, previous: [], by }
  if (before.digest === digest) return { ...before, pushedAt: now, by }
  const previous = [{ digest: before.digest, replacedAt: now, by }, ...before.previous]
  return { digest, pushedAt: now, previous: previous.slice(0, tagHistoryMax), by }
}

function textOf({ reference, expected, bytes, contentType }: ManifestPush): ManifestText {
  const claimed = reference.kind === 'digest' ? reference.digest : expected
  return { bytes, contentType, claimed }
}

export interface TagCondition {
  readonly ifMatch: string | undefined
  readonly ifNoneMatch: string | undefined
}

/**
 * Conditional tag moves: `If-Match` and `If-None-Match` of a manifest PUT (RFC 9110 §13.1), judged against
 * what the tag points at and held by the transaction that moves it. Throws MANIFEST_CHANGED (with the current digest in the detail) when the condition does not hold.
 */
function checkTagCondition(condition: TagCondition, current: Digest | undefined): void {
  const { ifMatch, ifNoneMatch } = condition
  const holds =
    (ifMatch === undefined || matchesEntityTag(ifMatch, current)) &&
    (ifNoneMatch === undefined || !matchesEntityTag(ifNoneMatch, current))
  if (holds) return
  throw new RegistryError('MANIFEST_CHANGED', { detail: { current: current ?? null } })
}
