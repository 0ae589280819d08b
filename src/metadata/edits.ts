/**
 * @module The only writer of paired rows: what belongs together is one function, as data, so no caller can
 * keep one half of a pair and forget the other. Pushes, mounts, deletes, undeletes, renames, mirrors and
 * collections share these.
 *
 *   links + holders                     a blob is in a repository
 *   blobs + blobBytes                   a blob is here
 *   tags + tagsByDigest (+ deletedTags) a tag points at a manifest
 *   manifests + manifestHolders + parents + referrers (+ deletedManifests)
 *                                       a manifest is in a repository
 */
import type { Digest } from '../registry/digest.ts'
import { holdsFor } from '../registry/entity-tag.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Tag } from '../registry/tag.ts'
import {
  type BlobRow,
  type DeletedManifestRow,
  deletedTagsMax,
  type EdgeRow,
  type EventRow,
  type ManifestRow,
  type PinRow,
  type ReferrerRow,
  type Removal,
  type TagRow,
  type Timestamp,
  tagHistoryMax,
} from './schema.ts'
import type { Check, MoveTag, SingleChange, TagRefusal } from './transaction.ts'

export interface Decision {
  readonly checks: Check[]
  readonly changes: SingleChange[]
}

/**
 * Writes a line of the history, with the change that it describes: so it is never wrong and never missing.
 * The store's writer numbers the lines; collection removes old ones.
 */
export function recordEvent(row: EventRow): SingleChange {
  return { change: 'event', in: 'events', row }
}

/** Puts a blob into a repository, and creates the repository by its first push. */
export function linkBlob(
  repository: RepositoryName,
  digest: Digest,
  now: Timestamp,
): SingleChange[] {
  return [
    { change: 'putIfAbsent', in: 'repositories', key: repository, row: { createdAt: now } },
    { change: 'put', in: 'links', key: [repository, digest], row: { linkedAt: now } },
    { change: 'put', in: 'holders', key: [digest, repository], row: true },
  ]
}

/** Takes a blob out of a repository; the blob stays. */
export function unlinkBlob(repository: RepositoryName, digest: Digest): SingleChange[] {
  return [
    { change: 'delete', in: 'links', key: [repository, digest] },
    { change: 'delete', in: 'holders', key: [digest, repository] },
  ]
}

/** Makes arrived bytes a blob. `inlineBytes`: undefined when the bytes are in a file. */
export function putBlob(
  digest: Digest,
  row: BlobRow,
  inlineBytes: Uint8Array | undefined,
): SingleChange[] {
  return [
    { change: 'put', in: 'blobs', key: digest, row },
    inlineBytes === undefined
      ? { change: 'delete', in: 'blobBytes', key: digest }
      : { change: 'put', in: 'blobBytes', key: digest, row: inlineBytes },
  ]
}

/** Removes a blob's row and its inline bytes; a file is the caller's matter. */
export function dropBlob(digest: Digest): SingleChange[] {
  return [
    { change: 'delete', in: 'blobs', key: digest },
    { change: 'delete', in: 'blobBytes', key: digest },
  ]
}

/**
 * Points a tag at `row.digest`; `before` is what it pointed at. The caller checks that the tag is still
 * what `before` says.
 */
export function pointTag(
  repository: RepositoryName,
  tag: Tag,
  row: TagRow,
  before: Digest | undefined,
): SingleChange[] {
  const changes: SingleChange[] = []
  if (before !== undefined && before !== row.digest) {
    changes.push({ change: 'delete', in: 'tagsByDigest', key: [repository, before, tag] })
  }
  changes.push(
    { change: 'put', in: 'tags', key: [repository, tag], row },
    { change: 'put', in: 'tagsByDigest', key: [repository, row.digest, tag], row: true },
    { change: 'delete', in: 'deletedTags', key: [repository, tag] },
  )
  return changes
}

/** A tag's new row, with what it pointed at before. */
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

/** Why a tag that points at `current` may not move; undefined: it may. */
export function refusalOf(move: MoveTag, current: Digest | undefined): TagRefusal | undefined {
  const { condition, isImmutable, digest, key } = move
  const [, tag] = key
  if (condition !== undefined && !holdsFor(condition, current)) {
    return { why: 'condition', tag, current }
  }
  if (!isImmutable || current === undefined || current === digest) return undefined
  return { why: 'immutable', tag, current }
}

export interface ManifestToAdd {
  readonly repository: RepositoryName
  readonly digest: Digest
  readonly bytes: Uint8Array
  readonly row: ManifestRow
  /** Digests that it names, each with what it is. */
  readonly children: readonly { readonly digest: string; readonly kind: EdgeRow['kind'] }[]
  /** How the list of its subject's referrers shows it; undefined when it has no subject. */
  readonly referrer: ReferrerRow | undefined
}

/** Puts a manifest into a repository, and creates the repository by its first push. */
export function addManifest(it: ManifestToAdd, now: Timestamp): SingleChange[] {
  const { repository, digest, bytes, row, children, referrer } = it
  const changes: SingleChange[] = [
    { change: 'putIfAbsent', in: 'repositories', key: repository, row: { createdAt: now } },
    { change: 'put', in: 'manifestBytes', key: digest, row: bytes },
    { change: 'put', in: 'manifests', key: [repository, digest], row },
    { change: 'put', in: 'manifestHolders', key: [digest, repository], row: 'stored' },
    { change: 'delete', in: 'deletedManifests', key: [repository, digest] },
  ]
  for (const { digest: child, kind } of children) {
    changes.push(
      { change: 'put', in: 'children', key: [digest, child], row: { kind } },
      { change: 'put', in: 'parents', key: [child, repository, digest], row: true },
    )
  }
  if (row.subject !== undefined && referrer !== undefined) {
    changes.push(...putReferrers(repository, row.subject, [[digest, referrer]]))
  }
  return changes
}

export interface ManifestToRestore {
  readonly repository: RepositoryName
  readonly digest: Digest
  readonly deleted: DeletedManifestRow
  /** Digests that it names. */
  readonly children: readonly string[]
}

/** Brings a deleted manifest back, if it is still as it was deleted and its bytes are here. */
export function restoreManifest(it: ManifestToRestore, now: Timestamp): Decision {
  const { repository, digest, deleted, children } = it
  const key = [repository, digest] as const
  const row = { ...deleted.row, reliedAt: now }
  const changes: SingleChange[] = [
    { change: 'putIfAbsent', in: 'repositories', key: repository, row: { createdAt: now } },
    { change: 'put', in: 'manifests', key, row },
    { change: 'put', in: 'manifestHolders', key: [digest, repository], row: 'stored' },
    { change: 'delete', in: 'deletedManifests', key },
  ]
  for (const child of children) {
    changes.push({ change: 'put', in: 'parents', key: [child, repository, digest], row: true })
  }
  if (deleted.referrer !== undefined && row.subject !== undefined) {
    changes.push(...putReferrers(repository, row.subject, [[digest, deleted.referrer]]))
  }
  return {
    checks: [
      { check: 'unchanged', in: 'deletedManifests', key, row: deleted },
      { check: 'present', in: 'manifestBytes', key: digest },
    ],
    changes,
  }
}

/** Lists manifests among the referrers of a subject. */
export function putReferrers(
  repository: RepositoryName,
  subject: string,
  rows: readonly (readonly [Digest, ReferrerRow])[],
): SingleChange[] {
  return rows.map(([digest, row]) => ({
    change: 'put',
    in: 'referrers',
    key: [repository, subject, digest],
    row,
  }))
}

/** Takes manifests out of the list of a subject's referrers; the manifests stay. */
export function dropReferrers(
  repository: RepositoryName,
  subject: string,
  digests: readonly Digest[],
): SingleChange[] {
  return digests.map((digest) => ({
    change: 'delete',
    in: 'referrers',
    key: [repository, subject, digest],
  }))
}

/** Removes one tag, if it is still what `row` says. Its manifest stays. */
export function dropTag(
  repository: RepositoryName,
  tag: Tag,
  row: TagRow,
  removal: Removal,
): Decision {
  return {
    checks: [{ check: 'unchanged', in: 'tags', key: [repository, tag], row }],
    changes: [
      { change: 'delete', in: 'tags', key: [repository, tag] },
      { change: 'delete', in: 'tagsByDigest', key: [repository, row.digest, tag] },
      { change: 'delete', in: 'pulls', key: [repository, tag] },
      { change: 'put', in: 'deletedTags', key: [repository, tag], row: { ...removal, row } },
    ],
  }
}

export interface ManifestToRemove {
  readonly repository: RepositoryName
  readonly digest: Digest
  readonly row: ManifestRow
  /** Every tag that points at it now. */
  readonly tags: readonly { readonly tag: Tag; readonly row: TagRow }[]
  /** Digests that it refers to. */
  readonly children: readonly string[]
  readonly referrer: ReferrerRow | undefined
  /** Those of them that the repository has neither as a blob nor as a manifest. */
  readonly absent: readonly string[]
}

/**
 * Removes a manifest with its tags, if it is still what was read. Bytes and edges stay for an
 * undelete; `manifestHolders` says so.
 */
export function removeManifest(it: ManifestToRemove, removal: Removal): Decision {
  const { repository, digest, row, tags, referrer, absent } = it
  const key = [repository, digest] as const
  const deleted = {
    ...removal,
    row,
    tags: tags.slice(0, deletedTagsMax).map(({ tag }) => tag),
    ...(absent.length === 0 ? {} : { absent }),
    ...(referrer === undefined ? {} : { referrer }),
  }
  const checks: Check[] = [{ check: 'unchanged', in: 'manifests', key, row }]
  const changes: SingleChange[] = [
    { change: 'delete', in: 'manifests', key },
    { change: 'delete', in: 'pulls', key },
    { change: 'put', in: 'manifestHolders', key: [digest, repository], row: 'deleted' },
    { change: 'put', in: 'deletedManifests', key, row: deleted },
  ]
  // People remember tags: each that goes along leaves the same trace as one that is deleted alone.
  for (const { tag, row: tagRow } of tags) {
    const removed = dropTag(repository, tag, tagRow, removal)
    checks.push(...removed.checks)
    changes.push(...removed.changes)
  }
  for (const child of it.children) {
    changes.push({ change: 'delete', in: 'parents', key: [child, repository, digest] })
  }
  if (row.subject !== undefined) {
    changes.push({ change: 'delete', in: 'referrers', key: [repository, row.subject, digest] })
  }
  return { checks, changes }
}

/** Whether a pin protects what it names in this repository at this time. */
export function holdsNow(pin: PinRow, repository: string, now: number): boolean {
  const isHere = pin.repository === undefined || pin.repository === repository
  return isHere && (pin.expiresAt === undefined || pin.expiresAt > now)
}
