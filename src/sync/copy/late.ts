/**
 * @module What was signed after it was copied: one listing of a repository's tags says which images have got
 * something attached by tag since, without a request for each.
 */
import type { MetadataReader } from '../../metadata/port.ts'
import type { Digest } from '../../registry/digest.ts'
import type { RepositoryName } from '../../registry/name.ts'
import { namesakeOf } from '../../registry/named-tag.ts'
import type { Tag } from '../../registry/tag.ts'
import { nextTurn } from '../../runtime/next-turn.ts'
import type { SyncJournal } from '../journal.ts'

/** Tags of a listing that are looked at in one turn of the event loop. */
const tagsPerTurn = 500

/** Tags of one image that are found, indexes that list it, and how deep those nest. */
const tagsMax = 1_000
const parentsMax = 100
const depthMax = 4

export interface ListedTags {
  readonly source: string
  /** Upstream's name. */
  readonly repository: string
  readonly local: RepositoryName
  /** Tags upstream, with their digests where the source says them. */
  readonly listing: ReadonlyMap<Tag, Digest | undefined>
}

/**
 * Tags here whose image, or a manifest of it, has got something new attached by a tag. Without a digest in
 * the listing a tag that is here counts as known.
 */
export async function lateTags(
  metadata: MetadataReader,
  journal: SyncJournal,
  it: ListedTags,
): Promise<ReadonlySet<Tag>> {
  const late = new Set<Tag>()
  const subjects = new Set<Digest>()
  let looked = 0
  for (const [tag, digest] of it.listing) {
    looked += 1
    if (looked % tagsPerTurn === 0) await nextTurn()
    const subject = namesakeOf(tag)
    if (subject === undefined || subjects.has(subject)) continue
    if (metadata.get('manifests', [it.local, subject]) === undefined) continue
    if (isKnown(metadata, journal, it, tag, digest)) continue
    subjects.add(subject)
    addTags(metadata, it.local, subject, late)
  }
  return late
}

function isKnown(
  metadata: MetadataReader,
  journal: SyncJournal,
  { source, repository, local }: ListedTags,
  tag: Tag,
  digest: Digest | undefined,
): boolean {
  const here = metadata.get('tags', [local, tag])?.digest
  if (here !== undefined && (digest === undefined || here === digest)) return true
  // Looked at, and not moved: nothing of it is attached, or somebody has moved it here.
  const row = journal.tag({ source, repository, tag })
  if (row?.local !== local || row.upstream === undefined) return false
  return digest === undefined || row.upstream === digest
}

/**
 * Tags of a manifest, and of the indexes that list it; no tags that are attached themselves. Each is looked at once:
 * an upstream can make indexes that list each other in a thousand ways.
 */
export function addTags(
  metadata: MetadataReader,
  local: RepositoryName,
  subject: Digest,
  found: Set<Tag>,
): void {
  const seen = new Set([subject])
  let level: readonly Digest[] = [subject]
  for (let depth = 0; depth <= depthMax && level.length > 0; depth += 1) {
    const above = new Set<Digest>()
    for (const digest of level) {
      for (const [, , tag] of metadata.keys('tagsByDigest', [local, digest], undefined, tagsMax)) {
        if (namesakeOf(tag) === undefined) found.add(tag)
      }
      for (const [, , parent] of metadata.keys('parents', [digest, local], undefined, parentsMax)) {
        if (!seen.has(parent)) above.add(parent)
        seen.add(parent)
      }
    }
    level = [...above]
  }
}
