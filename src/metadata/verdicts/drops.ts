/**
 * @module Takes the force from verdicts about signatures, in the very transaction that changes what they rest on.
 * Whoever puts or deletes a row of these tables does so through `DerivedRows`, which asks here: no push, delete,
 * copy, collection or replay can forget it.
 *
 *   tags        a tag that is named after a manifest points elsewhere    → that manifest, and the indexes that list it
 *   referrers   a manifest gains or loses a referrer                     → that manifest, and the indexes that list it
 *   parents     an index lists a manifest, or does not any more          → that manifest
 *   manifests   it comes, goes or becomes something else                 → itself, and the indexes that list it
 *
 * Indexes, because a policy may take an index for verified by its images, and an image by the attestation beside it.
 * Always with everything that inherits: what an index lists, at most `levelsMax` deep. A verdict that is being worked
 * out loses its row as well, so what comes out of it finds another row than the one that it began with and is not
 * written.
 */
import type { Digest } from '../../registry/digest.ts'
import { isImageIndex } from '../../registry/media-type.ts'
import type { RepositoryName } from '../../registry/name.ts'
import { namesakeOf } from '../../registry/named-tag.ts'
import type { RowAccess } from '../row-access.ts'
import type { DatabaseName, Databases } from '../schema.ts'

type Row<N extends DatabaseName> = Databases[N]['row'] | undefined

/** Levels of indexes that a member inherits from. */
export const levelsMax = 4

/** Manifests that one transaction looks at; beyond it the whole repository loses its verdicts. */
const looksMax = 10_000

/** Indexes that list one manifest and are looked at; with more the whole repository loses its verdicts. */
const listsMax = 256

/** A verdict that lost its force. */
export type DroppedVerdict = readonly [RepositoryName, Digest]

export class VerdictDrops {
  readonly #rows: RowAccess
  /** Whether there is any verdict in a repository: where there is none, nothing more is asked. */
  readonly #watched = new Map<string, boolean>()
  #dropped: DroppedVerdict[] = []
  #looks = 0
  /** Repositories that have lost all of them in this transaction. */
  readonly #emptied = new Set<string>()

  constructor(rows: RowAccess) {
    this.#rows = rows
  }

  /** Called before a row is put (or deleted: undefined). */
  before(database: DatabaseName, key: unknown, row: unknown): void {
    switch (database) {
      case 'tags':
        return this.#tag(key as Databases['tags']['key'], row as Row<'tags'>)
      case 'referrers':
        return this.#referrer(key as Databases['referrers']['key'], row as Row<'referrers'>)
      case 'parents':
        return this.#parent(key as Databases['parents']['key'], row as Row<'parents'>)
      case 'manifests':
        return this.#manifest(key as Databases['manifests']['key'], row as Row<'manifests'>)
      case 'verdicts':
        this.#watched.set((key as Databases['verdicts']['key'])[0], true)
        return
      default:
      // No verdict rests on the other tables.
    }
  }

  /** What lost its force since it was asked last. */
  take(): readonly DroppedVerdict[] {
    const dropped = this.#dropped
    this.#looks = 0
    this.#emptied.clear()
    if (dropped.length > 0) this.#dropped = []
    return dropped
  }

  #tag(key: Databases['tags']['key'], row: Row<'tags'>): void {
    const [repository, tag] = key
    const subject = namesakeOf(tag)
    if (subject === undefined || !this.#isWatched(repository)) return
    if (this.#get('tags', key)?.digest === row?.digest) return
    this.#drop(repository, subject)
    this.#dropLists(repository, subject)
  }

  #referrer(key: Databases['referrers']['key'], row: Row<'referrers'>): void {
    const [repository, subject] = key
    if (!this.#isWatched(repository)) return
    const before = this.#get('referrers', key)
    const isSame = (before === undefined) === (row === undefined)
    if (!isSame || before?.artifactType !== row?.artifactType) {
      this.#drop(repository, subject)
      this.#dropLists(repository, subject)
    }
  }

  #parent(key: Databases['parents']['key'], row: Row<'parents'>): void {
    const [child, repository] = key
    if (!this.#isWatched(repository)) return
    if ((this.#get('parents', key) === undefined) === (row === undefined)) return
    this.#drop(repository, child)
  }

  #manifest(key: Databases['manifests']['key'], row: Row<'manifests'>): void {
    const [repository, digest] = key
    if (!this.#isWatched(repository)) return
    const before = this.#get('manifests', key)
    const isSame = before?.mediaType === row?.mediaType && before?.subject === row?.subject
    if (isSame && (before === undefined) === (row === undefined)) return
    this.#dropLists(repository, digest)
    if (row !== undefined) return this.#drop(repository, digest)
    // What it lists is dropped with its edges.
    if (this.#get('verdicts', key) !== undefined) {
      this.#rows.delete('verdicts', key)
      this.#dropped.push(key)
    }
    this.#rows.delete('pullViolations', `${repository}@${digest}`)
  }

  /** Indexes that list it, with all that they list: it may be an image of them, or hold what is attested of another. */
  #dropLists(repository: RepositoryName, digest: string): void {
    const lists = this.#rows.firstKeys('parents', [digest, repository], listsMax)
    if (lists.length >= listsMax) return this.#dropAll(repository)
    for (const [, , list] of lists as Databases['parents']['key'][]) this.#drop(repository, list)
  }

  #isWatched(repository: RepositoryName): boolean {
    let isWatched = this.#watched.get(repository)
    if (isWatched === undefined) {
      isWatched = this.#rows.firstKeys('verdicts', [repository], 1).length > 0
      this.#watched.set(repository, isWatched)
    }
    return isWatched
  }

  /** With everything that it lists, if it is an index. */
  #drop(repository: RepositoryName, digest: string): void {
    if (this.#emptied.has(repository)) return
    let level: readonly string[] = [digest]
    for (let depth = 0; depth <= levelsMax && level.length > 0; depth += 1) {
      const below: string[] = []
      for (const it of level) {
        this.#looks += 1
        if (this.#looks > looksMax) return this.#dropAll(repository)
        // A layer: most of what a manifest refers to.
        const key = [repository, it] as unknown as Databases['manifests']['key']
        const row = this.#get('manifests', key)
        if (row === undefined) continue
        this.#invalidate(key)
        if (!isImageIndex(row.mediaType) || depth === levelsMax) continue
        const members = this.#rows.firstKeys('children', [it], looksMax)
        for (const [, member] of members as Databases['children']['key'][]) {
          below.push(member)
        }
      }
      level = below
    }
  }

  #dropAll(repository: RepositoryName): void {
    this.#emptied.add(repository)
    const keys = this.#rows.firstKeys('verdicts', [repository]) as Databases['verdicts']['key'][]
    for (const key of keys) this.#invalidate(key)
  }

  #invalidate(key: Databases['verdicts']['key']): void {
    const row = this.#get('verdicts', key)
    if (row === undefined) return
    const { state, was = state === 'pending' ? undefined : state } = row
    if (state === 'pending' && row.judgedBy === '') return
    const dropped: Row<'verdicts'> = {
      state: 'pending',
      judgedBy: '',
      by: [],
      rests: [],
      at: row.at,
      ...(was !== undefined && { was }),
    }
    this.#rows.put('verdicts', key, dropped)
    this.#dropped.push(key)
  }

  #get<N extends DatabaseName>(database: N, key: Databases[N]['key']): Row<N> {
    return this.#rows.get(database, key) as Row<N>
  }
}
