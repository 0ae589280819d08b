/**
 * @module Pushing a manifest (distribution-spec, pushing-manifests): digest over the exact bytes,
 * parse once, check descriptors and existence, then one transaction: bytes, row, edges, referrer
 * entry, tags. Readers see the old or the new tag, never none.
 */

import { addManifest, recordEvent, refusalOf } from '../metadata/edits.ts'
import { imageSize, imageSizeInTurns } from '../metadata/image-size.ts'
import type { MetadataStore } from '../metadata/port.ts'
import { commitRetrying } from '../metadata/retry.ts'
import type { ManifestRow, Timestamp } from '../metadata/schema.ts'
import type { Change, Check, MoveTag, TagRefusal } from '../metadata/transaction.ts'
import type { Digest } from '../registry/digest.ts'
import type { TagCondition } from '../registry/entity-tag.ts'
import { RegistryError } from '../registry/errors.ts'
import type { Manifest } from '../registry/manifest.ts'
import type { RepositoryName } from '../registry/name.ts'
import { namesakeOf } from '../registry/named-tag.ts'
import type { Reference } from '../registry/reference.ts'
import type { Tag } from '../registry/tag.ts'
import type { Clock } from '../runtime/clock.ts'
import { signatureEvents } from '../signing/attached-events.ts'
import { requireAttachment } from '../signing/attachment.ts'
import { type Admission, type TagGate, violationEvents } from '../signing/gate.ts'
import { checkChildren } from './check-children.ts'
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
  /** It may attach signatures to images, and nothing else. */
  readonly signsOnly?: boolean
  /** Who pushes, for the history: a user's name or a client's address. */
  readonly by: string
}

export interface PushedManifest {
  readonly digest: Digest
  readonly subject: string | undefined
  /** What the client is to be told although its tags moved. */
  readonly warning: string | undefined
}

/** What a push shares with the other ways to change a repository: the very same objects. */
export interface PushParts {
  /** Shared with the deletes. */
  readonly tagLocks: TagLocks
  readonly protection: Protection
  /** Reads an image config for its labels. */
  readonly readBlob: ReadBlob
  /** `readManifest` of `distribution/worker/read-manifest.ts`: on this thread. */
  readonly readManifest: (text: ManifestText) => ReadManifest | Promise<ReadManifest>
  /** What has to be signed before a tag points at it. */
  readonly gate: TagGate
}

/** What was looked up of a manifest before its lock was taken. */
interface FoundFacts {
  /** How long it wants to live, ms. */
  readonly lifetime: number | undefined
  readonly imageBytes: number
}

/** What a policy said of a push; undefined: it was not asked. */
interface Judged {
  readonly admission: Admission | undefined
  /** Tags that it was asked about. */
  readonly governed: readonly Tag[]
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
   * TAG_IMMUTABLE, and MANIFEST_CHANGED when a condition on the tag does not hold. Throws SIGNATURE_REQUIRED
   * when a signature is missing: the manifest is stored then, and its tags stay where they were. Throws DENIED
   * when the caller may only sign and it is no signature.
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
    const store = (moved: readonly Tag[], admission?: Admission, governed: readonly Tag[] = []) =>
      this.#parts.tagLocks.run(push.repository, [digest, ...moved], () =>
        this.#store(
          push,
          digest,
          manifest,
          moved,
          { lifetime, imageBytes },
          { admission, governed },
        ),
      )
    const { gate } = this.#parts
    const move = {
      repository: push.repository,
      digest,
      tags,
      bytes: push.bytes,
      gate: 'tag',
    } as const
    if (tags.length === 0 || !gate.watches(push.repository)) return store(tags)
    const governed = await gate.governed(move)
    if (governed.length === 0) return store(tags)
    let admission: Admission
    try {
      admission = await gate.admit(move)
    } catch (error) {
      // Its signers need it before it can be verified: they find it by its digest.
      if (error instanceof RegistryError && error.kind === 'SIGNATURE_REQUIRED') await store([])
      throw error
    }
    const pushed = await store(tags, admission, governed)
    admission.onMoved?.()
    return pushed
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
    { admission, governed }: Judged,
  ): Promise<PushedManifest> {
    if (push.signsOnly === true) {
      const sources = { metadata: this.#metadata, readBlob: this.#parts.readBlob }
      await requireAttachment(sources, push.repository, { digest, bytes: push.bytes, tags })
    }
    const refusal = await commitRetrying(this.#metadata, () => {
      const now = this.#clock.now()
      const moves = tags.map((tag) => this.#move(push, tag, digest, now))
      const checks = this.#checkChildren(push.repository, manifest, moves)
      const changes = this.#manifestChanges(push, digest, manifest, found, now)
      changes.push(...moves)
      if (admission !== undefined) {
        const { repository, by } = push
        changes.push(...violationEvents({ repository, digest, tags: governed }, admission, by, now))
      }
      if (tags.length === 0) changes.push(this.#event(push, digest, now))
      changes.push(...this.#signed(push, digest, manifest, tags, now))
      changes.push(...this.#raises(manifest, now), ...(push.more ?? []))
      return { checks: [...checks, ...(admission?.checks ?? [])], changes }
    })
    if (refusal !== undefined) throw this.#refused(refusal)
    const { violation } = admission ?? {}
    const warning = violation?.mode === 'warn' ? violation.message : undefined
    return { digest, subject: manifest.subject?.digest.digest, warning }
  }

  /** Throws for a child that is not here; a client hears of a tag that would not move first. */
  #checkChildren(
    repository: RepositoryName,
    manifest: Manifest,
    moves: readonly MoveTag[],
  ): Check[] {
    try {
      return checkChildren(this.#metadata, repository, manifest, this.#policy)
    } catch (error) {
      for (const move of moves) {
        const refusal = refusalOf(move, this.#metadata.get('tags', move.key)?.digest)
        if (refusal !== undefined) throw this.#refused(refusal)
      }
      throw error
    }
  }

  /**
   * Conditional tag moves: `If-Match` and `If-None-Match` of a manifest PUT are judged by the transaction
   * that moves the tag, against what it points at. The current digest is in the detail.
   */
  #refused({ why, tag, current }: TagRefusal): RegistryError {
    return why === 'immutable'
      ? this.#parts.protection.immutable(tag, current!)
      : new RegistryError('MANIFEST_CHANGED', { detail: { current: current ?? null } })
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

  #move(
    { repository, condition, by }: ManifestPush,
    tag: Tag,
    digest: Digest,
    at: Timestamp,
  ): MoveTag {
    const isConditional = condition.ifMatch !== undefined || condition.ifNoneMatch !== undefined
    return {
      change: 'move-tag',
      in: 'tags',
      key: [repository, tag],
      digest,
      at,
      by,
      isImmutable: this.#parts.protection.isImmutable(repository, tag),
      ...(isConditional ? { condition } : {}),
    }
  }

  /** A signature that was there before, or under that tag, does not come. */
  #signed(
    { repository, by }: ManifestPush,
    digest: Digest,
    { subject, artifactType }: Manifest,
    tags: readonly Tag[],
    at: Timestamp,
  ): Change[] {
    const named = tags.filter((tag) => namesakeOf(tag) !== undefined)
    if (subject === undefined && named.length === 0) return []
    const isThere = this.#metadata.get('manifests', [repository, digest]) !== undefined
    const moved = named.filter((tag) => {
      return this.#metadata.get('tags', [repository, tag])?.digest !== digest
    })
    const about = isThere ? undefined : subject?.digest.digest
    const it = { repository, digest, artifactType, subject: about, tags: moved, by, at }
    return signatureEvents('signature-added', it)
  }

  #event({ repository, by }: ManifestPush, digest: Digest, at: Timestamp): Change {
    return recordEvent({ at, action: 'push', repository, by, digest })
  }
}

function textOf({ reference, expected, bytes, contentType }: ManifestPush): ManifestText {
  const claimed = reference.kind === 'digest' ? reference.digest : expected
  return { bytes, contentType, claimed }
}
