/**
 * @module What belongs to a manifest in its repository: the manifests that name it as their subject, and
 * the tags that are named after it. Whoever takes an image somewhere takes this along: copies and
 * undeletes ask here, collection follows the same two ways with its own rows (`gc/mark/repository.ts`).
 */

import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import { fallbackTagOf, namesakeOf } from '../registry/named-tag.ts'
import { parseTag, type Tag } from '../registry/tag.ts'
import type { MetadataReader } from './port.ts'
import { listAll } from './scan.ts'

/** Tags read at once. */
const tagsAtOnce = 100

/** Manifests of the repository whose subject is this one. */
export async function referrersOf(
  metadata: MetadataReader,
  repository: RepositoryName,
  subject: Digest,
): Promise<Digest[]> {
  const keys = await listAll(metadata, 'referrers', [repository, subject])
  return keys.map(([, , referrer]) => referrer)
}

/** Tags that are named after a digest, in byte order: those that are there, or those deleted lately; at most `limit`. */
export function tagsNamedAfter(
  metadata: MetadataReader,
  repository: RepositoryName,
  digest: Digest,
  database: 'tags' | 'deletedTags' = 'tags',
  limit = Number.POSITIVE_INFINITY,
): Tag[] {
  const stem = parseTag(fallbackTagOf(digest))
  // A tag cannot be as long as a digest of SHA-512.
  if (!stem.ok) return []
  const isThere = metadata.get(database, [repository, stem.value]) !== undefined
  const found: Tag[] = isThere ? [stem.value] : []
  let after: string = stem.value
  while (true) {
    const keys = metadata.keys(database, [repository], after, tagsAtOnce)
    for (const [, tag] of keys) {
      if (!tag.startsWith(stem.value) || found.length >= limit) return found
      if (namesakeOf(tag) === digest) found.push(tag)
      after = tag
    }
    if (keys.length < tagsAtOnce) return found
  }
}
