/**
 * @module Deleting (distribution-spec, content-management). A tag delete removes one key; a digest
 * delete removes the manifest, its tags and its referrer entry; bytes go only by collection.
 */

import { dropTag, recordEvent, removeManifest, unlinkBlob } from '../metadata/edits.ts'
import type { MetadataStore } from '../metadata/port.ts'
import { commitRetrying } from '../metadata/retry.ts'
import type { Digest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Tag } from '../registry/tag.ts'
import type { Clock } from '../runtime/clock.ts'
import { signatureEvents } from '../signing/attached-events.ts'
import { readManifestToRemove } from './manifest-to-remove.ts'
import type { Protection } from './protection.ts'
import type { TagLocks } from './tag-locks.ts'

/** How a tag is deleted, where there is more to say than by whom. */
export interface TagDelete {
  /** What it can be taken back by. */
  readonly operation?: string
  /** Only while the tag points there. */
  readonly onlyAt?: Digest
}

/** What deletes share with the other ways to change a repository. */
export interface DeleteParts {
  readonly clock: Clock
  /** Shared with the pushes. */
  readonly tagLocks: TagLocks
  readonly protection: Protection
}

export class Deletes {
  readonly #metadata: MetadataStore
  readonly #isAllowed: boolean
  readonly #parts: DeleteParts

  constructor(metadata: MetadataStore, isAllowed: boolean, parts: DeleteParts) {
    this.#metadata = metadata
    this.#isAllowed = isAllowed
    this.#parts = parts
  }

  /**
   * Removes a tag; its manifest stays, and can be tagged again. On disk when it resolves. Throws
   * MANIFEST_UNKNOWN and TAG_IMMUTABLE, and MANIFEST_CHANGED when it points elsewhere.
   */
  async deleteTag(
    repository: RepositoryName,
    tag: Tag,
    by = 'client',
    { operation, onlyAt }: TagDelete = {},
  ): Promise<void> {
    this.requireAllowed()
    const { clock, tagLocks, protection } = this.#parts
    const decide = () => {
      const row = this.#metadata.get('tags', [repository, tag])
      if (row === undefined) throw new RegistryError('MANIFEST_UNKNOWN', { detail: { tag } })
      const { digest } = row
      if (onlyAt !== undefined && digest !== onlyAt) {
        throw new RegistryError('MANIFEST_CHANGED', { detail: { tag, current: digest } })
      }
      protection.requireMovable(repository, tag, digest)
      const at = clock.now()
      const of = operation === undefined ? {} : { operation }
      const removal = { at, by, why: 'deleted by a client', ...of }
      const decision = dropTag(repository, tag, row, removal)
      if (this.#metadata.get('manifests', [repository, digest]) !== undefined) {
        decision.changes.push({ change: 'raise', in: 'manifests', key: [repository, digest], at })
      }
      const event = { at, action: 'delete-tag', repository, by, tag, digest, ...of } as const
      const gone = { repository, digest, artifactType: undefined, subject: undefined, by, at }
      const signed = signatureEvents('signature-removed', { ...gone, tags: [tag] })
      decision.changes.push(recordEvent(event), ...signed)
      return decision
    }
    await tagLocks.run(repository, [tag], () => commitRetrying(this.#metadata, decide))
  }

  /**
   * Removes a manifest from its repository with every tag that points at it. Manifests that refer
   * to it as their subject stay and stay listed. On disk when it resolves. Throws MANIFEST_UNKNOWN,
   * DIGEST_PINNED, and TAG_IMMUTABLE for one of the tags.
   */
  async deleteManifest(repository: RepositoryName, digest: Digest, by = 'client'): Promise<void> {
    this.requireAllowed()
    const { clock, tagLocks, protection } = this.#parts
    const decide = async () => {
      const row = this.#metadata.get('manifests', [repository, digest])
      if (row === undefined) throw new RegistryError('MANIFEST_UNKNOWN', { detail: { digest } })
      protection.requireUnpinned(this.#metadata, clock, repository, digest)
      const it = await readManifestToRemove(this.#metadata, repository, digest, row)
      for (const { tag } of it.tags) protection.requireMovable(repository, tag, digest)
      const at = clock.now()
      // The lock keeps pushes from adding a tag, and the row's check any that passed it by.
      const decision = removeManifest(it, { at, by, why: 'deleted by a client' })
      const event = { at, action: 'delete-manifest', repository, by, digest } as const
      const { artifactType, subject } = row
      const tags = it.tags.map(({ tag }) => tag)
      const gone = { repository, digest, artifactType, subject, tags, by, at }
      const signed = signatureEvents('signature-removed', gone)
      decision.changes.push(recordEvent(event), ...signed)
      return decision
    }
    await tagLocks.run(repository, [digest], () => commitRetrying(this.#metadata, decide))
  }

  /**
   * Takes a blob out of a repository; others keep it. Throws BLOB_UNKNOWN, and BLOB_IN_USE while
   * a manifest of the repository still uses it. On disk when it resolves.
   */
  async deleteBlob(repository: RepositoryName, digest: Digest): Promise<void> {
    this.requireAllowed()
    await commitRetrying(this.#metadata, () => {
      if (this.#metadata.get('links', [repository, digest]) === undefined) {
        throw new RegistryError('BLOB_UNKNOWN', { detail: { digest } })
      }
      const [user] = this.#metadata.keys('parents', [digest, repository], undefined, 1)
      if (user !== undefined) {
        throw new RegistryError('BLOB_IN_USE', { detail: { digest, manifest: user[2] } })
      }
      return {
        checks: [
          { check: 'present', in: 'links', key: [repository, digest] },
          { check: 'none', in: 'parents', prefix: [digest, repository] },
        ],
        changes: unlinkBlob(repository, digest),
      }
    })
  }

  /** Throws DELETES_OFF. */
  requireAllowed(): void {
    if (!this.#isAllowed) throw new RegistryError('DELETES_OFF')
  }
}
