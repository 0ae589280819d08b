/**
 * @module Which tags are a sync's own: the journal says that it wrote them, and nobody has touched them since.
 * @apart Passes and deletes both rest on it, and must mean the same.
 */
import type { MetadataReader } from '../../metadata/port.ts'
import type { SyncTagRow } from '../../metadata/rows/upstream.ts'
import type { TagRow } from '../../metadata/schema.ts'
import { parseRepositoryName, type RepositoryName } from '../../registry/name.ts'
import { parseTag, type Tag } from '../../registry/tag.ts'
import { isWriterOf } from '../journal.ts'

/** Where the journal says that a tag lies. */
export function placeOf(
  local: string,
  tag: string,
): { readonly local: RepositoryName; readonly tag: Tag } | undefined {
  const name = parseRepositoryName(local)
  const parsed = parseTag(tag)
  return name.ok && parsed.ok ? { local: name.value, tag: parsed.value } : undefined
}

/** The tag's row here while it is the source's own; undefined: somebody pushed, moved, deleted or restored it. */
export function ownedTag(
  metadata: MetadataReader,
  source: string,
  tag: string,
  known: SyncTagRow,
): TagRow | undefined {
  const place = placeOf(known.local, tag)
  if (known.wrote === undefined || place === undefined) return undefined
  const row = metadata.get('tags', [place.local, place.tag])
  const isOwned = row?.digest === known.wrote && isWriterOf(metadata, source, row.by)
  return isOwned ? row : undefined
}
