/**
 * @module Whether a tag that a peer has from a sync of its own came from here. No registry needs a name for that:
 * what points where a tag of ours points or once pointed, and is not what a sync brought here from that very
 * peer, is an echo. Nothing is lost by leaving it out: a sync does not move tags that are not its own, and where
 * it may (`overwrite`), an echo would undo what was pushed here since.
 */
import type { MetadataReader } from '../../metadata/port.ts'
import type { TagRow } from '../../metadata/schema.ts'
import { parseTag } from '../../registry/tag.ts'
import { isWriterOf } from '../journal.ts'
import { type Mapping, mapName } from '../selection/names.ts'
import type { PeerEvent } from './fastregistry.ts'

export interface EchoParts {
  readonly metadata: MetadataReader
  readonly mapping: Mapping
  /** What it brought here follows the peer. */
  readonly source: string
}

export function isEchoOf({ metadata, mapping, source }: EchoParts, event: PeerEvent): boolean {
  const { repository, digest } = event
  const name = mapName(mapping, repository)
  const tag = parseTag(event.tag)
  if (name.kind !== 'local' || !tag.ok || digest === undefined) return false
  const key = [name.name, tag.value] as const
  const row = metadata.get('tags', key)
  const known = row ?? metadata.get('deletedTags', key)?.row
  // What the sync brought here follows the peer, wherever that goes.
  if (known === undefined || isWriterOf(metadata, source, known.by)) return false
  return hasPointedAt(known, digest)
}

function hasPointedAt({ digest, previous }: TagRow, wanted: string): boolean {
  return digest === wanted || previous.some((it) => it.digest === wanted)
}
