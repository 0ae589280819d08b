/**
 * @module Deletes one tag of a sync, as a client would: it can be undeleted, and stands in the history. What is
 * attached to its image goes with it, once no other tag holds the image.
 *
 * Whether the tag still is the sync's own is decided under the lock that every move of a tag takes, from the
 * rows that the transaction checks again: a push that comes in between makes it fail, and the tag stays.
 */

import type { Protection } from '../../distribution/protection.ts'
import type { TagLocks } from '../../distribution/tag-locks.ts'
import { tagsNamedAfter } from '../../metadata/attached.ts'
import { dropTag, holdsNow, recordEvent } from '../../metadata/edits.ts'
import type { MetadataStore } from '../../metadata/port.ts'
import type { SyncTagRow } from '../../metadata/rows/upstream.ts'
import type { Change, Check } from '../../metadata/transaction.ts'
import { type Digest, parseDigest } from '../../registry/digest.ts'
import { commitAttemptsMax } from '../../registry/limits.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { Tag } from '../../registry/tag.ts'
import type { Clock } from '../../runtime/clock.ts'
import { type SyncJournal, type TagOfSource, writerOf } from '../journal.ts'
import { followedDigest } from '../selection/tags.ts'
import { ownedTag, placeOf } from './owned.ts'

/** Signatures of signatures, and indexes in indexes. */
const depthMax = 3

/** Manifests looked at for one: with more of them it counts as held. */
const parentsMax = 1_000

export interface DeletionParts {
  readonly metadata: MetadataStore
  /** Through which the work of a source is written; undefined: through the metadata itself. */
  readonly storeOf?: (source: string) => MetadataStore
  readonly journal: SyncJournal
  readonly protection: Protection
  readonly tagLocks: TagLocks
  readonly clock: Clock
}

export type Deleted =
  | { readonly kind: 'deleted'; readonly attached: number }
  /** It is not the sync's own any more, points elsewhere, or was copied again meanwhile. */
  | { readonly kind: 'changed' }
  /** Immutable or pinned here. */
  | { readonly kind: 'protected' }

export interface Deletion {
  readonly tag: TagOfSource
  readonly digest: Digest
  readonly why: string
  /** What the journal has to say of it still. */
  readonly isDue: (row: SyncTagRow) => boolean
}

type Place = NonNullable<ReturnType<typeof placeOf>>

export class TagDeletion {
  readonly #parts: DeletionParts

  constructor(parts: DeletionParts) {
    this.#parts = parts
  }

  /** On disk when it resolves. */
  async delete(it: Deletion): Promise<Deleted> {
    const known = this.#parts.journal.tag(it.tag)
    const place = known === undefined ? undefined : placeOf(known.local, it.tag.tag)
    if (place === undefined) return { kind: 'changed' }
    const kind = await this.#deleteOne(it, place)
    if (kind !== 'deleted') return { kind }
    const attached = await this.#deleteAttached(it, place.local, it.digest, new Set(), 0)
    return { kind, attached }
  }

  #deleteOne(it: Deletion, { local, tag }: Place): Promise<Deleted['kind']> {
    const { metadata, tagLocks, journal, storeOf } = this.#parts
    const store = storeOf?.(it.tag.source) ?? metadata
    return tagLocks.run(local, [tag, it.digest], async () => {
      await journal.settle(it.tag)
      for (let attempt = 0; attempt < commitAttemptsMax; attempt += 1) {
        const decided = this.#decide(it, local, tag)
        if (typeof decided === 'string') return decided
        const { checks, changes, written } = decided
        const { applied } = await store.commit({ checks, changes })
        if (!applied) continue
        written()
        return 'deleted'
      }
      return 'changed'
    })
  }

  #decide(it: Deletion, local: RepositoryName, tag: Tag) {
    const { metadata, journal, protection, clock } = this.#parts
    const { source } = it.tag
    const known = journal.tag(it.tag)
    if (known?.local !== local || known.wrote !== it.digest || !it.isDue(known)) return 'changed'
    const row = ownedTag(metadata, source, tag, known)
    if (row === undefined) return 'changed'
    const { digest } = row
    const at = clock.now()
    if (protection.isImmutable(local, tag) || this.#isPinned(local, digest)) return 'protected'
    const by = writerOf(source)
    const dropped = dropTag(local, tag, row, { at, by, why: it.why })
    const checks: Check[] = [...dropped.checks]
    const changes: Change[] = [...dropped.changes]
    if (metadata.get('manifests', [local, digest]) !== undefined) {
      changes.push({ change: 'raise', in: 'manifests', key: [local, digest], at })
    }
    const event = { at, action: 'delete-tag', repository: local, by, tag, digest } as const
    const noted = journal.withDelete(it.tag)
    changes.push(recordEvent({ ...event, why: it.why }), noted.change)
    return { checks, changes, written: noted.written }
  }

  #isPinned(local: RepositoryName, digest: Digest): boolean {
    const { metadata, clock } = this.#parts
    const pins = metadata.entries('pins', [digest], undefined, parentsMax)
    return pins.some(({ row }) => holdsNow(row, local, clock.now()))
  }

  /** Tags of the sync's own that are named after an image which no tag holds any more. */
  async #deleteAttached(
    it: Deletion,
    local: RepositoryName,
    digest: Digest,
    going: Set<Digest>,
    depth: number,
  ): Promise<number> {
    const { metadata, journal } = this.#parts
    if (depth > depthMax || going.has(digest) || this.#isHeld(it, local, digest, going, 0)) return 0
    going.add(digest)
    let count = 0
    for (const tag of tagsNamedAfter(metadata, local, digest)) {
      const named = { ...it.tag, tag }
      const wrote = journal.tag(named)?.wrote
      if (wrote === undefined) continue
      const why = 'it was attached to an image that upstream has no longer'
      const deletion = { tag: named, digest: wrote, why, isDue: () => true }
      if ((await this.#deleteOne(deletion, { local, tag })) !== 'deleted') continue
      count += 1 + (await this.#deleteAttached(it, local, wrote, going, depth + 1))
    }
    for (const child of this.#childrenOf(digest)) {
      count += await this.#deleteAttached(it, local, child, going, depth + 1)
    }
    return count
  }

  /** Whether a tag holds it, by itself or by an index. */
  #isHeld(
    it: Deletion,
    local: RepositoryName,
    digest: Digest,
    going: ReadonlySet<Digest>,
    depth: number,
    free = new Set<Digest>(),
  ): boolean {
    const { metadata } = this.#parts
    if (depth > depthMax) return true
    // Looked at on another way: an upstream can make indexes that list each other a thousand ways.
    if (free.has(digest)) return false
    if (free.size >= parentsMax) return true
    free.add(digest)
    const tags = metadata.keys('tagsByDigest', [local, digest], undefined, parentsMax)
    if (tags.some(([, , tag]) => !this.#isNamesake(it, tag, digest))) return true
    const parents = metadata.keys('parents', [digest, local], undefined, parentsMax)
    if (parents.length === parentsMax) return true
    return parents.some(
      ([, , parent]) =>
        !going.has(parent) && this.#isHeld(it, local, parent, going, depth + 1, free),
    )
  }

  /** A tag of the sync's own that is named after the image which it points at: it goes with the others. */
  #isNamesake(it: Deletion, tag: Tag, digest: Digest): boolean {
    const { metadata, journal } = this.#parts
    if (followedDigest(tag) !== digest) return false
    const known = journal.tag({ ...it.tag, tag })
    return known !== undefined && ownedTag(metadata, it.tag.source, tag, known) !== undefined
  }

  #childrenOf(digest: Digest): Digest[] {
    const rows = this.#parts.metadata.entries('children', [digest], undefined, parentsMax)
    return rows.flatMap(({ key, row }) => {
      const child = parseDigest(key[1])
      return row.kind === 'manifest' && child.ok ? [child.value] : []
    })
  }
}
