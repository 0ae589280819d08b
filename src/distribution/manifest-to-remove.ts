/**
 * @module Reads all that goes with a manifest when it is taken out of its repository.
 */

import type { ManifestToRemove } from '../metadata/edits.ts'
import type { MetadataReader } from '../metadata/port.ts'
import { listAll } from '../metadata/scan.ts'
import type { ManifestRow } from '../metadata/schema.ts'
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'

/** What `removeManifest` needs to know of a manifest whose row is `row`. */
export async function readManifestToRemove(
  metadata: MetadataReader,
  repository: RepositoryName,
  digest: Digest,
  row: ManifestRow,
): Promise<ManifestToRemove> {
  const tagKeys = await listAll(metadata, 'tagsByDigest', [repository, digest])
  const tags = tagKeys.flatMap(([, , tag]) => {
    const tagRow = metadata.get('tags', [repository, tag])
    return tagRow?.digest === digest ? [{ tag, row: tagRow }] : []
  })
  const children = (await listAll(metadata, 'children', [digest])).map(([, child]) => child)
  const referrer =
    row.subject === undefined
      ? undefined
      : metadata.get('referrers', [repository, row.subject, digest])
  const absent = children.filter((child) => !isHere(metadata, repository, child))
  return { repository, digest, row, tags, children, referrer, absent }
}

function isHere(metadata: MetadataReader, repository: RepositoryName, child: string): boolean {
  // The keys of both are the digests that are stored, whatever the child's algorithm is.
  const [holder] = metadata.keys('holders', [child, repository], undefined, 1)
  if (holder !== undefined) return true
  return metadata.keys('manifestHolders', [child, repository], undefined, 1).length > 0
}
