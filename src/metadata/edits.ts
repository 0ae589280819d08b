/**
 * @module Taking a tag or a manifest out of a repository as data: the rows that go, what is written
 * down so that it can come back, the checks that keep it true. Deletes by clients, collection and
 * bulk deletes share these.
 */
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Tag } from '../registry/tag.ts'
import {
  deletedTagsMax,
  type ManifestRow,
  type PinRow,
  type ReferrerRow,
  type Removal,
  type TagRow,
} from './schema.ts'
import type { Change, Check } from './transaction.ts'

export interface Decision {
  readonly checks: Check[]
  readonly changes: Change[]
}

/** Removes one tag, if it is still what `row` says. Its manifest stays. */
export function tagRemoval(
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
export function manifestRemoval(it: ManifestToRemove, removal: Removal): Decision {
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
  const changes: Change[] = [
    { change: 'delete', in: 'manifests', key },
    { change: 'delete', in: 'pulls', key },
    { change: 'put', in: 'manifestHolders', key: [digest, repository], row: 'deleted' },
    { change: 'put', in: 'deletedManifests', key, row: deleted },
  ]
  // People remember tags: each that goes along leaves the same trace as one that is deleted alone.
  for (const { tag, row: tagRow } of tags) {
    const removed = tagRemoval(repository, tag, tagRow, removal)
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
