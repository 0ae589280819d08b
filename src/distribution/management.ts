/**
 * @module Deleting (distribution-spec, content-management). A tag delete removes one key; a digest
 * delete removes the manifest, its tags and its referrer entry; bytes go only by collection.
 */
import type { Digest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import { commitAttemptsMax } from '../registry/limits.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Tag } from '../registry/tag.ts'
import type { MetadataStore } from '../storage/ports.ts'
import type { Change, Check } from '../storage/transaction.ts'
import { listAll } from './scan.ts'
import { TagLocks } from './tag-locks.ts'

export class Deletes {
  readonly #metadata: MetadataStore
  readonly #isAllowed: boolean
  readonly #tagLocks: TagLocks

  /** `tagLocks` are shared with the pushes. */
  constructor(metadata: MetadataStore, isAllowed: boolean, tagLocks: TagLocks = new TagLocks()) {
    this.#metadata = metadata
    this.#isAllowed = isAllowed
    this.#tagLocks = tagLocks
  }

  /** Removes a tag; its manifest stays. On disk when it resolves. Throws MANIFEST_UNKNOWN. */
  async deleteTag(repository: RepositoryName, tag: Tag): Promise<void> {
    this.#checkAllowed()
    const decide = () => {
      const row = this.#metadata.get('tags', [repository, tag])
      if (row === undefined) throw new RegistryError('MANIFEST_UNKNOWN', { detail: { tag } })
      const checks: Check[] = [{ check: 'unchanged', in: 'tags', key: [repository, tag], row }]
      const changes: Change[] = [
        { change: 'delete', in: 'tags', key: [repository, tag] },
        { change: 'delete', in: 'tagsByDigest', key: [repository, row.digest, tag] },
      ]
      return { checks, changes }
    }
    await this.#tagLocks.run(repository, [tag], () => this.#retry(decide))
  }

  /**
   * Removes a manifest from its repository with every tag that points at it. Manifests that refer
   * to it as their subject stay and stay listed. On disk when it resolves.
   */
  async deleteManifest(repository: RepositoryName, digest: Digest): Promise<void> {
    this.#checkAllowed()
    const decide = async () => {
      const row = this.#metadata.get('manifests', [repository, digest])
      if (row === undefined) throw new RegistryError('MANIFEST_UNKNOWN', { detail: { digest } })
      const changes: Change[] = [{ change: 'delete', in: 'manifests', key: [repository, digest] }]
      for (const [, , tag] of await listAll(this.#metadata, 'tagsByDigest', [repository, digest])) {
        changes.push(
          { change: 'delete', in: 'tags', key: [repository, tag] },
          { change: 'delete', in: 'tagsByDigest', key: [repository, digest, tag] },
        )
      }
      for (const [, child] of await listAll(this.#metadata, 'children', [digest])) {
        changes.push({ change: 'delete', in: 'parents', key: [child, repository, digest] })
      }
      if (row.subject !== undefined) {
        changes.push({ change: 'delete', in: 'referrers', key: [repository, row.subject, digest] })
      }
      // The lock keeps pushes from adding a tag (and this row's check any that passed it by); a tag
      // that moved away meanwhile is caught by its index entry being gone.
      const checks: Check[] = [
        { check: 'unchanged', in: 'manifests', key: [repository, digest], row },
        ...changes
          .filter(isTagIndexDelete)
          .map(({ key }): Check => ({ check: 'present', in: 'tagsByDigest', key })),
      ]
      return { checks, changes }
    }
    await this.#tagLocks.run(repository, [digest], () => this.#retry(decide))
  }

  /**
   * Takes a blob out of a repository; others keep it. Throws BLOB_UNKNOWN, and 405 while a manifest
   * of the repository still uses it. On disk when it resolves.
   */
  async deleteBlob(repository: RepositoryName, digest: Digest): Promise<void> {
    this.#checkAllowed()
    await this.#retry(() => {
      if (this.#metadata.get('links', [repository, digest]) === undefined) {
        throw new RegistryError('BLOB_UNKNOWN', { detail: { digest } })
      }
      const [user] = this.#metadata.keys('parents', [digest, repository], undefined, 1)
      if (user !== undefined) {
        throw new RegistryError('UNSUPPORTED', {
          message: 'a manifest of this repository still uses the blob; delete the manifest first',
          detail: { digest, manifest: user[2] },
          headers: { Allow: 'GET, HEAD' },
        })
      }
      return {
        checks: [
          { check: 'present', in: 'links', key: [repository, digest] },
          { check: 'none', in: 'parents', prefix: [digest, repository] },
        ],
        changes: [
          { change: 'delete', in: 'links', key: [repository, digest] },
          { change: 'delete', in: 'holders', key: [digest, repository] },
        ],
      }
    })
  }

  #checkAllowed(): void {
    if (this.#isAllowed) return
    throw new RegistryError('UNSUPPORTED', {
      message: 'deleting is switched off on this registry (policy.delete)',
      headers: { Allow: 'GET, HEAD, PUT' },
    })
  }

  /** Reads, then commits what was decided; when the world moved in between, decides again. */
  async #retry(
    decide: () =>
      | { checks: Check[]; changes: Change[] }
      | Promise<{ checks: Check[]; changes: Change[] }>,
  ): Promise<void> {
    for (let attempt = 0; attempt < commitAttemptsMax; attempt += 1) {
      const outcome = await this.#metadata.commit(await decide())
      if (outcome.applied) return
    }
    throw new RegistryError('UNAVAILABLE', {
      message: 'the repository is changing too fast; try again',
      headers: { 'Retry-After': '1' },
    })
  }
}

function isTagIndexDelete(
  change: Change,
): change is Extract<Change, { change: 'delete'; in: 'tagsByDigest' }> {
  return change.change === 'delete' && change.in === 'tagsByDigest'
}
