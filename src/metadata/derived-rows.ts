/**
 * @module The rows of an open write transaction, with everything that follows from them: whoever puts
 * or deletes a row here puts and deletes what is derived from it. Pushes, deletes, collections,
 * mirrors and migrations all write through this, so none of them can forget an index.
 *
 *   events          → eventsByRepository, and the number of each (`event-log.ts`)
 *   tags            → tagOrder by push; number of tags of the repository
 *   tagsByDigest    → tagOrder by pull and by size, for manifests that have tags
 *   manifests       → tagOrder by size; number of manifests
 *   pulls           → tagOrder by pull; last pull of the repository
 *   holders, blobs  → bytes of the repository, shared and alone
 *   trash           → bytes in the trash (the sums over the whole store stand in `totals`)
 *   repositories    → repositoryOrder
 *   tags, referrers, parents, manifests → verdicts about signatures that rested on them (`verdicts/drops.ts`)
 *
 * What belongs to a manifest is kept once for it, not once for each of its tags: a pull by digest of
 * an image with ten thousand tags writes as much as one with a single tag. Sums of repositories are
 * collected until `flush`, which the store's writer calls once for all transactions of a commit.
 */

import { eventClock, eventKey } from './event-log.ts'
import { orderedKey } from './ordered-key.ts'
import { RepositorySumsChanges } from './repository-sums.ts'
import type { RowAccess } from './row-access.ts'
import type { DatabaseName, Databases, EventRow, Timestamp } from './schema.ts'
import { type DroppedVerdict, VerdictDrops } from './verdicts/drops.ts'

type Row<N extends DatabaseName> = Databases[N]['row'] | undefined
type Repository = Databases['repositories']['key']
type Manifest = Databases['manifests']['key'][1]

/** Numbers that a transaction may give; one that needs more takes the next place as well. */
const stampsPerIndex = 65_536

export class DerivedRows implements RowAccess {
  readonly #rows: RowAccess
  readonly #sums: RepositorySumsChanges
  readonly #verdicts: VerdictDrops
  /** Manifests that came with this commit and have no tag yet: looking for one costs ten puts. */
  readonly #newManifests = new Set<string>()
  #index: number | undefined
  #stamps = 0
  /** The last event, once this commit has written one. */
  #events: { readonly number: number; readonly clock: number } | undefined

  constructor(rows: RowAccess) {
    this.#rows = rows
    this.#sums = new RepositorySumsChanges(rows)
    this.#verdicts = new VerdictDrops(rows)
  }

  get(database: DatabaseName, key: unknown): unknown {
    return this.#rows.get(database, key)
  }

  firstKeys(database: DatabaseName, prefix: readonly string[], limit?: number): unknown[] {
    return this.#rows.firstKeys(database, prefix, limit)
  }

  keysFrom(database: DatabaseName, start: readonly string[], limit: number): (readonly string[])[] {
    return this.#rows.keysFrom(database, start, limit)
  }

  /** The next transaction of the order: everything below is of it. */
  begin(): void {
    this.#index = this.index + 1
    this.#stamps = 0
  }

  /** The place of the last transaction in the order of all, refused ones too. */
  get index(): number {
    this.#index ??= this.#get('totals', 'index') ?? 0
    return this.#index
  }

  /** A number that was never given out before: by the transaction's place, not by a clock. */
  stamp(): number {
    if (this.#stamps === stampsPerIndex) this.begin()
    this.#stamps += 1
    return this.index * stampsPerIndex + this.#stamps - 1
  }

  put(database: DatabaseName, key: unknown, row: unknown): void {
    this.#verdicts.before(database, key, row)
    this.#derive(database, key, row)
    this.#rows.put(database, key, row)
  }

  /** A row that is there and changes in nothing that anything is derived from. */
  putPlain(database: DatabaseName, key: unknown, row: unknown): void {
    this.#rows.put(database, key, row)
  }

  delete(database: DatabaseName, key: unknown): void {
    this.#verdicts.before(database, key, undefined)
    this.#derive(database, key, undefined)
    this.#rows.delete(database, key)
  }

  /** Verdicts about signatures that lost their force since it was asked last. */
  takeDropped(): readonly DroppedVerdict[] {
    return this.#verdicts.take()
  }

  /** Writes the sums and the last numbers. The transactions before it are whole only with it. */
  flush(): void {
    this.#sums.flush()
    if (this.#index !== undefined) this.#rows.put('totals', 'index', this.#index)
    if (this.#events !== undefined) this.#rows.put('totals', 'sequence', this.#events.number)
  }

  /** Gives the event the next number and writes it down under it. */
  appendEvent(event: EventRow): void {
    this.#events ??= this.#lastEvent()
    const number = this.#events.number + 1
    const { clock } = this.#events
    const key = eventKey(number)
    this.#rows.put('events', key, clock > event.at ? { ...event, clock } : event)
    this.#event(key, undefined, event)
    this.#events = { number, clock: Math.max(clock, event.at) }
  }

  #lastEvent(): { readonly number: number; readonly clock: number } {
    const number = this.#get('totals', 'sequence') ?? 0
    const last = this.#get('events', eventKey(number))
    const clock = last === undefined ? (this.#get('totals', 'eventClock') ?? 0) : eventClock(last)
    return { number, clock }
  }

  #derive(database: DatabaseName, key: unknown, row: unknown): void {
    if (!DERIVED_FROM.has(database)) return
    this.#deriveFrom(database, key, this.#rows.get(database, key), row)
  }

  #deriveFrom(database: DatabaseName, key: unknown, before: unknown, row: unknown): void {
    switch (database) {
      case 'events':
        this.#event(key as string, before as Row<'events'>, row as Row<'events'>)
        break
      case 'tags':
        this.#tag(key as Databases['tags']['key'], before as Row<'tags'>, row as Row<'tags'>)
        break
      case 'tagsByDigest':
        if ((before === undefined) === (row === undefined)) return
        this.#tagged(key as Databases['tagsByDigest']['key'], row !== undefined)
        break
      case 'manifests':
        this.#manifest(
          key as Databases['manifests']['key'],
          before as Row<'manifests'>,
          row as Row<'manifests'>,
        )
        break
      case 'pulls':
        this.#pull(key as Databases['pulls']['key'], before as Row<'pulls'>, row as Row<'pulls'>)
        break
      case 'holders':
        if ((before === undefined) === (row === undefined)) return
        this.#sums.hold(key as Databases['holders']['key'], row !== undefined)
        break
      case 'blobs': {
        const sizeBytes = (before as Row<'blobs'>)?.sizeBytes ?? 0
        const sizeNow = (row as Row<'blobs'>)?.sizeBytes ?? 0
        if (sizeBytes !== sizeNow) this.#sums.resize(key as Manifest, sizeNow - sizeBytes)
        break
      }
      case 'trash': {
        const sizeBytes = (before as Row<'trash'>)?.sizeBytes ?? 0
        this.#sums.add('trashBytes', ((row as Row<'trash'>)?.sizeBytes ?? 0) - sizeBytes)
        break
      }
      case 'repositories':
        this.#repository(key as Repository, before !== undefined, row !== undefined)
        break
      default:
      // Nothing is derived from the other tables.
    }
  }

  #repository(name: Repository, wasListed: boolean, isListed: boolean): void {
    const sums = this.#sums.change(name)
    sums.isListed = isListed
    // A new one with an old name has the blobs that nobody has collected yet, and nothing else.
    if (isListed && !wasListed) Object.assign(sums, { pushedAt: 0, pulledAt: 0 })
  }

  #event(key: string, before: Row<'events'>, row: Row<'events'>): void {
    if (before !== undefined && before.repository !== row?.repository) {
      this.#rows.delete('eventsByRepository', [before.repository, key])
    }
    if (row !== undefined && row.repository !== '') {
      this.#rows.put('eventsByRepository', [row.repository, key], true)
    }
  }

  #tag([repository, tag]: Databases['tags']['key'], before: Row<'tags'>, row: Row<'tags'>): void {
    const sums = this.#sums.change(repository)
    sums.tags += Number(row !== undefined) - Number(before !== undefined)
    if (row !== undefined) sums.pushedAt = Math.max(sums.pushedAt, row.pushedAt)
    if (before?.pushedAt === row?.pushedAt) return
    this.#place(repository, 'pushed', tag, before?.pushedAt, row?.pushedAt)
  }

  /**
   * A manifest has its places among the tags while it is there and a tag points at it. The key of a
   * place says what it was made of, so that nothing else must be kept: the manifest's row and its last
   * pull are what they were.
   */
  #tagged([repository, digest]: Databases['tagsByDigest']['key'], isGained: boolean): void {
    const name = `${repository}@${digest}`
    const isNew = this.#newManifests.delete(name)
    // Before the change: the only one goes, or the first one comes.
    const tags = isGained && isNew ? 0 : this.#tagsOf(repository, digest)
    if (tags !== (isGained ? 0 : 1)) return
    const row = this.#get('manifests', [repository, digest])
    if (row !== undefined) this.#placeManifest(repository, digest, row, isGained)
  }

  /** A manifest comes before its tags and goes before them. */
  #manifest(
    [repository, digest]: Databases['manifests']['key'],
    before: Row<'manifests'>,
    row: Row<'manifests'>,
  ): void {
    const sums = this.#sums.change(repository)
    sums.manifests += Number(row !== undefined) - Number(before !== undefined)
    if (row !== undefined) sums.pushedAt = Math.max(sums.pushedAt, row.pushedAt)
    if (before === undefined) {
      if (row !== undefined) this.#newManifests.add(`${repository}@${digest}`)
      return
    }
    if (row !== undefined && row.imageBytes === before.imageBytes) return
    if (!this.#isTagged(repository, digest)) return
    if (row === undefined) this.#placeManifest(repository, digest, before, false)
    else this.#place(repository, 'size', digest, before.imageBytes ?? 0, row.imageBytes ?? 0)
  }

  #pull(
    [repository, name]: Databases['pulls']['key'],
    before: Timestamp | undefined,
    at: Timestamp | undefined,
  ): void {
    if (at !== undefined) {
      const sums = this.#sums.change(repository)
      sums.pulledAt = Math.max(sums.pulledAt, at)
    }
    // A pull by tag is written down by digest as well.
    if (!name.includes(':')) return
    const digest = name as Manifest
    if (this.#get('manifests', [repository, digest]) === undefined) return
    if (!this.#isTagged(repository, digest)) return
    this.#place(repository, 'pulled', digest, before ?? 0, at ?? 0)
  }

  /** 0, 1 or 2 for more. */
  #tagsOf(repository: Repository, digest: Manifest): number {
    return this.#rows.firstKeys('tagsByDigest', [repository, digest], 2).length
  }

  #isTagged(repository: Repository, digest: Manifest): boolean {
    return this.#rows.firstKeys('tagsByDigest', [repository, digest], 1).length > 0
  }

  #placeManifest(
    repository: Repository,
    digest: Manifest,
    row: Databases['manifests']['row'],
    isPut: boolean,
  ): void {
    const pulledAt = this.#get('pulls', [repository, digest]) ?? 0
    const sizeBytes = row.imageBytes ?? 0
    for (const [order, value] of [
      ['pulled', pulledAt],
      ['size', sizeBytes],
    ] as const) {
      if (isPut) this.#place(repository, order, digest, undefined, value)
      else this.#place(repository, order, digest, value, undefined)
    }
  }

  #place(
    repository: Repository,
    order: 'pushed' | 'pulled' | 'size',
    name: string,
    before: number | undefined,
    value: number | undefined,
  ): void {
    if (before === value) return
    if (before !== undefined) {
      this.#rows.delete('tagOrder', [repository, order, orderedKey(before, name)])
    }
    if (value !== undefined) {
      this.#rows.put('tagOrder', [repository, order, orderedKey(value, name)], true)
    }
  }

  #get<N extends DatabaseName>(database: N, key: Databases[N]['key']): Row<N> {
    return this.#rows.get(database, key) as Row<N>
  }
}

const DERIVED_FROM: ReadonlySet<DatabaseName> = new Set([
  'events',
  'tags',
  'tagsByDigest',
  'manifests',
  'pulls',
  'holders',
  'blobs',
  'trash',
  'repositories',
] satisfies DatabaseName[])
