/**
 * @module Undoing deletes while the window lasts: tags and manifests come back with what they need,
 * blobs with their bytes from the trash, signatures and SBOMs with their subject. Each step is whole
 * by itself; a restore that is interrupted is simply asked for again.
 */
import type { BlobStore } from '../blobs/store.ts'
import type { Protection } from '../distribution/protection.ts'
import type { TagLocks } from '../distribution/tag-locks.ts'
import { tagsNamedAfter } from '../metadata/attached.ts'
import { linkBlob, movedTag, pointTag, recordEvent, restoreManifest } from '../metadata/edits.ts'
import type { MetadataStore } from '../metadata/port.ts'
import { listAll } from '../metadata/scan.ts'
import { type DeletedManifestRow, deletedTagsMax } from '../metadata/schema.ts'
import type { Change, Check } from '../metadata/transaction.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import type { RepositoryName } from '../registry/name.ts'
import { parseTag, type Tag } from '../registry/tag.ts'
import type { Clock } from '../runtime/clock.ts'
import type { KeyedLock } from '../runtime/keyed-lock.ts'
import { type Admission, type TagGate, violationEvents } from '../signing/gate.ts'

export interface UndeleteOptions {
  readonly metadata: MetadataStore
  readonly blobs: Pick<BlobStore, 'bringBack'>
  readonly digestLock: KeyedLock
  readonly clock: Clock
  readonly tagLocks: TagLocks
  readonly protection: Protection
  /** What has to be signed before a tag points at it. */
  readonly gate: TagGate
}

/** What came back. */
export interface Restored {
  readonly tags: string[]
  readonly manifests: string[]
  readonly blobs: string[]
}

/** What came back so far. */
interface Restoring extends Restored {
  /** Tags that a policy wants to judge once the signatures are back. */
  readonly waiting: Tag[]
}

/** Indexes within indexes; deeper ones are nobody's image. */
const depthMax = 8

export class Undelete {
  readonly #options: UndeleteOptions

  constructor(options: UndeleteOptions) {
    this.#options = options
  }

  /**
   * Brings a deleted tag back, or moves one back to `digest` of its history. Throws
   * MANIFEST_UNKNOWN when there is nothing to bring back, UNDELETE_CONFLICT when the tag was pushed
   * again or bytes are gone, SIGNATURE_REQUIRED when a policy does not let the tag point there.
   */
  async tag(
    repository: RepositoryName,
    tag: Tag,
    digest: Digest | undefined,
    by: string,
  ): Promise<Restored> {
    const { metadata, tagLocks, protection, clock } = this.#options
    const deleted = metadata.get('deletedTags', [repository, tag])
    const target = digest ?? deleted?.row.digest
    if (target === undefined) throw unknown('this tag was not deleted within the window', { tag })
    const restored: Restoring = { tags: [], manifests: [], blobs: [], waiting: [] }
    if (metadata.get('manifests', [repository, target]) === undefined) {
      await this.#manifest(repository, target, by, restored, 0)
    }
    const admission = await this.#admit(repository, target, tag)
    await tagLocks.run(repository, [target, tag], async () => {
      const before = metadata.get('tags', [repository, tag])
      // It may have come back with its manifest.
      if (before?.digest === target) return
      if (before !== undefined && digest === undefined) {
        const detail = { tag, current: before.digest }
        throw conflict('the tag was pushed again; give the digest to move it back', detail)
      }
      if (before !== undefined) protection.requireMovable(repository, tag, before.digest)
      const at = clock.now()
      const earlier = before ?? deleted?.row
      const row =
        before === undefined && deleted?.row.digest === target
          ? { ...deleted.row, pushedAt: at, by }
          : movedTag(earlier, target, at, by)
      const key = [repository, tag] as const
      const checks: Check[] = [
        before === undefined
          ? { check: 'absent', in: 'tags', key }
          : { check: 'unchanged', in: 'tags', key, row: before },
        { check: 'present', in: 'manifests', key: [repository, target] },
        ...(admission?.checks ?? []),
      ]
      const changes: Change[] = [
        ...pointTag(repository, tag, row, before?.digest),
        recordEvent({ at, action: 'undelete-tag', repository, by, tag, digest: target }),
      ]
      if (admission !== undefined) {
        const move = { repository, digest: target, tags: [tag] }
        changes.push(...violationEvents(move, admission, by, at))
      }
      await this.#commit(checks, changes)
      restored.tags.push(tag)
      admission?.onMoved?.()
    })
    await this.#moveWaiting(repository, by, restored)
    return shown(restored)
  }

  /** Brings a deleted manifest back with its tags that are free, its children and its referrers. */
  async manifest(repository: RepositoryName, digest: Digest, by: string): Promise<Restored> {
    const restored: Restoring = { tags: [], manifests: [], blobs: [], waiting: [] }
    await this.#manifest(repository, digest, by, restored, 0)
    await this.#moveWaiting(repository, by, restored)
    return shown(restored)
  }

  /** Tags wait for the signatures of what they point at: by now all of it is back. */
  async #moveWaiting(
    repository: RepositoryName,
    by: string,
    { waiting, tags, manifests, blobs }: Restoring,
  ): Promise<void> {
    for (const tag of waiting.splice(0)) {
      const more = await this.tag(repository, tag, undefined, by)
      tags.push(...more.tags)
      manifests.push(...more.manifests)
      blobs.push(...more.blobs)
    }
  }

  /** Of some tags those that a policy wants to judge. */
  async #gated(
    repository: RepositoryName,
    digest: Digest,
    tags: readonly Tag[],
  ): Promise<readonly Tag[]> {
    const { gate } = this.#options
    if (!gate.watches(repository)) return []
    const bytes = (await this.#bytesOf(digest)) ?? new Uint8Array()
    return gate.governed({ repository, digest, tags, bytes, gate: 'tag' })
  }

  /** Undefined: no policy governs the tag. */
  async #admit(
    repository: RepositoryName,
    digest: Digest,
    tag: Tag,
  ): Promise<Admission | undefined> {
    const { gate } = this.#options
    if (!gate.watches(repository)) return undefined
    const bytes = await this.#bytesOf(digest)
    if (bytes === undefined) throw conflict('the bytes of the manifest are gone', { digest })
    const move = { repository, digest, tags: [tag], bytes, gate: 'tag' } as const
    return (await gate.governed(move)).length > 0 ? gate.admit(move) : undefined
  }

  async #bytesOf(digest: Digest): Promise<Uint8Array | undefined> {
    const { metadata } = this.#options
    await metadata.pageIn('manifestBytes', digest)
    return metadata.getBytes('manifestBytes', digest)?.slice()
  }

  async #manifest(
    repository: RepositoryName,
    digest: Digest,
    by: string,
    restored: Restoring,
    depth: number,
  ): Promise<void> {
    const { metadata } = this.#options
    const key = [repository, digest] as const
    if (metadata.get('manifests', key) !== undefined) return
    const deleted = metadata.get('deletedManifests', key)
    if (deleted === undefined || depth > depthMax) {
      throw unknown('this manifest was not deleted within the window', { digest })
    }
    if ((await this.#bytesOf(digest)) === undefined)
      throw conflict('the bytes of the manifest are gone', { digest })
    const absent = new Set(deleted.absent)
    const missing: string[] = []
    for (const [, child] of await listAll(metadata, 'children', [digest])) {
      // What was not here when it went is not here for its return, whoever else has the bytes.
      const childDigest = parseDigest(child)
      if (absent.has(child) || !childDigest.ok) continue
      const isHere = await this.#child(repository, childDigest.value, by, restored, depth)
      // An index may be sparse.
      if (!isHere && metadata.get('children', [digest, child])?.kind !== 'manifest') {
        missing.push(child)
      }
    }
    if (missing.length > 0) throw conflict('bytes that it needs are gone', { missing })
    await this.#commitManifest(repository, digest, deleted, by, restored)
    await this.#referrers(repository, digest, by, restored, depth)
  }

  /** True when the child is in the repository, by now or already. */
  async #child(
    repository: RepositoryName,
    digest: Digest,
    by: string,
    restored: Restoring,
    depth: number,
  ): Promise<boolean> {
    const { metadata, clock } = this.#options
    const key = [repository, digest] as const
    if (metadata.get('manifests', key) !== undefined) return true
    if (metadata.get('deletedManifests', key) !== undefined) {
      await this.#manifest(repository, digest, by, restored, depth + 1)
      return true
    }
    const wasSwept = metadata.get('blobs', digest) === undefined
    if (wasSwept && !(await this.#blob(digest))) return false
    if (wasSwept) restored.blobs.push(digest)
    const now = clock.now()
    const { applied } = await metadata.commit({
      checks: [],
      changes: [
        { change: 'raise', in: 'blobs', key: digest, at: now },
        ...linkBlob(repository, digest, now),
      ],
    })
    return applied
  }

  /** Gives a swept blob its row and its bytes back; false when its bytes are gone. */
  #blob(digest: Digest): Promise<boolean> {
    const { blobs, digestLock, clock } = this.#options
    return blobs.bringBack(digest, clock.now(), digestLock)
  }

  async #commitManifest(
    repository: RepositoryName,
    digest: Digest,
    deleted: DeletedManifestRow,
    by: string,
    restored: Restoring,
  ): Promise<void> {
    const { metadata, tagLocks, clock } = this.#options
    const all = await this.#tagsThatWentWith(repository, digest, deleted)
    const gated = new Set(await this.#gated(repository, digest, all))
    const tags = all.filter((tag) => !gated.has(tag))
    restored.waiting.push(...gated)
    await tagLocks.run(repository, [digest, ...tags], async () => {
      const at = clock.now()
      const children = (await listAll(metadata, 'children', [digest])).map(([, child]) => child)
      const it = { repository, digest, deleted, children }
      const { checks, changes } = restoreManifest(it, at)
      changes.push(recordEvent({ at, action: 'undelete-manifest', repository, by, digest }))
      for (const tag of tags) {
        const gone = metadata.get('deletedTags', [repository, tag])
        if (gone === undefined || metadata.get('tags', [repository, tag]) !== undefined) continue
        checks.push({ check: 'absent', in: 'tags', key: [repository, tag] })
        const tagRow = { ...gone.row, pushedAt: at, by }
        changes.push(...pointTag(repository, tag, tagRow, undefined))
        restored.tags.push(tag)
      }
      await this.#commit(checks, changes)
      restored.manifests.push(digest)
    })
  }

  /** The row names the first of them; every one has a row of its own. */
  async #tagsThatWentWith(
    repository: RepositoryName,
    digest: Digest,
    { tags }: DeletedManifestRow,
  ): Promise<Tag[]> {
    const { metadata } = this.#options
    const named =
      tags.length < deletedTagsMax
        ? tags
        : (await listAll(metadata, 'deletedTags', [repository])).map(([, tag]) => tag)
    return named.flatMap((text) => {
      const tag = parseTag(text)
      if (!tag.ok) return []
      // The name may have been used for something else since.
      const gone = metadata.get('deletedTags', [repository, tag.value])
      return gone?.row.digest === digest ? [tag.value] : []
    })
  }

  /** Signatures and SBOMs that went with their subject, by either scheme. */
  async #referrers(
    repository: RepositoryName,
    subject: Digest,
    by: string,
    restored: Restoring,
    depth: number,
  ): Promise<void> {
    const { metadata } = this.#options
    for (const [, digest] of await listAll(metadata, 'deletedManifests', [repository])) {
      const row = metadata.get('deletedManifests', [repository, digest])
      if (row?.row.subject !== subject) continue
      await this.#manifest(repository, digest, by, restored, depth + 1)
    }
    for (const tag of tagsNamedAfter(metadata, repository, subject, 'deletedTags')) {
      if (metadata.get('tags', [repository, tag]) !== undefined) continue
      const more = await this.tag(repository, tag, undefined, by)
      for (const kind of ['tags', 'manifests', 'blobs'] as const) restored[kind].push(...more[kind])
    }
  }

  async #commit(checks: readonly Check[], changes: readonly Change[]): Promise<void> {
    const { applied } = await this.#options.metadata.commit({ checks, changes })
    if (!applied) throw conflict('it changed in this very moment; try again', {})
  }
}

function shown({ tags, manifests, blobs }: Restoring): Restored {
  return { tags, manifests, blobs }
}

function unknown(message: string, detail: object): RegistryError {
  return new RegistryError('MANIFEST_UNKNOWN', { message, detail })
}

function conflict(message: string, detail: object): RegistryError {
  return new RegistryError('UNDELETE_CONFLICT', { message, detail })
}
