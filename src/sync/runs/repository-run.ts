/**
 * @module One repository in a run: its tags are listed, filtered and copied, some at a time. What is known
 * of it is written down once all of them have ended.
 */
import type { SyncRepositoryRow, SyncUnfinished } from '../../metadata/rows/upstream.ts'
import { nextTurn } from '../../runtime/next-turn.ts'
import { retryMs } from '../copy/copier.ts'
import { SyncError } from '../port.ts'
import { compactNames } from '../prune/pass.ts'
import { tagsPerTurn } from '../selection/newest.ts'
import { toSyncError } from '../sources/failures.ts'
import type { RepositoryPass } from './parts.ts'
import { freshMs, type Place, watermarkOf } from './place.ts'
import { patiently, type RunScope } from './scope.ts'
import { hasShrunk } from './shrinks.ts'
import { hasContent, listTags, type TagList, type TagWork, worksOf } from './tag-list.ts'
import { TagRuns } from './tag-run.ts'
import { forgetUnselected, goneTags, hasLeftDeletion, type Told, toldTags } from './told.ts'

/** What is needed of the list once its tags have had their first try. */
type Listed = Pick<TagList, 'newest' | 'isFull' | 'count'>

export class RepositoryRun {
  readonly #scope: RunScope
  readonly #place: Place
  readonly #told: Told | undefined
  readonly #tags: TagRuns
  #listed: Listed | undefined
  #pass: RepositoryPass | undefined

  /** `told`: by the history of the source. */
  constructor(scope: RunScope, place: Place, told: Told | undefined) {
    this.#scope = scope
    this.#place = place
    // Where it was never listed to its end, or not by these rules, all of it is looked at.
    const isNew = place.row?.fullPassAt === undefined
    this.#told = told !== undefined && isNew ? { ...told, isWhole: true } : told
    this.#tags = new TagRuns(scope, place, this.#told)
  }

  /** Whether the history of the source has named it. */
  get isTold(): boolean {
    return this.#told !== undefined
  }

  /** Whether some tags are worth another try in this run. */
  get hasMore(): boolean {
    return this.#tags.hasMore
  }

  /** Throws what concerns the repository as a whole, and when it is stopped. */
  async run(): Promise<void> {
    try {
      await this.#run()
    } finally {
      this.#scope.names.release(this)
      this.#tags.rest()
    }
  }

  async #run(): Promise<void> {
    const { parts, tally } = this.#scope
    const { config, journal, fingerprint } = parts
    const { repository, local } = this.#place
    const known = journal.repository(config.name, repository)
    if (known?.fingerprint !== fingerprint || known.local !== local) {
      // What is copied from now on is copied by these rules. Some is of the old ones as long as not all has ended:
      // then nobody's fingerprint is true.
      await journal.noteRepository(config.name, repository, {
        local,
        fingerprint: known === undefined ? fingerprint : '',
        isListingComplete: false,
        // What was left is left still, should this run be stopped.
        ...(known?.unfinished === undefined ? {} : { unfinished: known.unfinished }),
      })
      // Whose its content is has to be known after a crash as well: what it holds is linked, not fetched again.
      if (known?.local !== local) await journal.flush()
    }
    const list = await this.#list()
    if (list === undefined) return
    const told = this.#isByHistory ? undefined : this.#told
    if (told !== undefined) await forgetUnselected(parts, this.#place, told, list.selected)
    const { newest, isFull, count } = list
    if (list.isShort) {
      const message = `fewer than ${config.tags.min} tags of ${repository} are selected`
      throw new SyncError('minimum', message)
    }
    tally.add('skipped', list.badNames)
    this.#warn(list)
    await this.#shrinks(list)
    const waiting = this.#isByHistory ? (this.#told?.waiting ?? []) : []
    for (const [tag, digest] of waiting) if (digest === undefined) this.#tags.waits(tag)
    await this.#each(worksOf(parts, this.#place, list, this.#isByHistory))
    await this.#deletions(list.names)
    await this.#seen(list)
    this.#listed = { newest, isFull, count }
  }

  /** Whether no list of the tags is needed. */
  get #isByHistory(): boolean {
    return this.#told?.isWhole === false && this.#scope.parts.filter.isImmediate
  }

  /** Undefined: all that was here is gone, as the history of the source says. */
  async #list(): Promise<TagList | undefined> {
    const scope = this.#scope
    const { parts, soft, names } = scope
    const told = this.#told
    if (told !== undefined && this.#isByHistory) return toldTags(parts, this.#place, told)
    try {
      const held = <T>(pages: AsyncIterable<readonly T[]>) => names.through(this, pages, soft)
      const list = await patiently(scope, () => listTags(parts, this.#place, soft, held))
      this.#tags.knows(list)
      return list
    } catch (error) {
      const isTold = told !== undefined && told.removed.size + told.deleted.size > 0
      if (!isTold || toSyncError(error).reason !== 'suspicious-listing') throw error
      await this.#deletions(new Set())
      if (await hasContent(parts, this.#place)) throw error
      return undefined
    }
  }

  /** Tries once more what failed in passing. */
  async again(): Promise<void> {
    await this.#each(this.#tags.takeAgain(), true)
  }

  /** Writes down how far the repository is, where anything is new. Nothing is noted of what failed. */
  async settle(): Promise<void> {
    const { parts, isAskedTag } = this.#scope
    const { config, journal, fingerprint, clock, prune } = parts
    const { repository, local, row, changedAt } = this.#place
    const listed = this.#listed
    if (listed === undefined || isAskedTag !== undefined) return
    if (this.#tags.unfinished > 0) return await this.#leave('tags')
    const now = clock.now()
    const { newest, isFull, count } = listed
    const watermark = watermarkOf(newest, row?.watermark, now)
    const fullPassAt = isFull ? now : row?.fullPassAt
    const tags = isFull ? count : row?.tags
    const next: SyncRepositoryRow = {
      local,
      ...(watermark === undefined ? {} : { watermark }),
      ...(fullPassAt === undefined ? {} : { fullPassAt }),
      fingerprint,
      isListingComplete: isFull || row?.isListingComplete === true,
      ...(changedAt === undefined ? {} : { changedAt }),
      ...(tags === undefined ? {} : { tags }),
      ...(await this.#deletionsLeft()),
    }
    // Sources without times have a full pass in every run: not each of them is worth a write.
    const sinceMs = now - (row?.fullPassAt ?? 0)
    const isSame =
      row?.isListingComplete === true &&
      row.unfinished === undefined &&
      watermark === row.watermark &&
      changedAt === row.changedAt &&
      tags === row.tags
    if (!isSame || (isFull && (sinceMs >= freshMs || sinceMs < 0))) {
      await journal.noteRepository(config.name, repository, next)
    }
    if (this.#pass !== undefined) prune?.afterRepository(this.#pass)
  }

  /** What a full pass leaves to the runs that go by the history. */
  async #deletionsLeft(): Promise<Pick<SyncRepositoryRow, 'unfinished'>> {
    const { parts } = this.#scope
    const { repository } = this.#place
    const { unfinished } = parts.journal.repository(parts.config.name, repository) ?? {}
    if (this.#told !== undefined || unfinished === undefined) return {}
    if (!(await hasLeftDeletion(parts, repository))) return {}
    return { unfinished: { ...unfinished, kind: 'tags', attempts: 0, retryAt: 0 } }
  }

  /** Notes of a source that tells only what changed that this is not done. */
  async leave(why: SyncError): Promise<void> {
    await this.#leave('list', why)
  }

  /** Upstream has no such repository: there is nothing to be tried again. */
  async isGone(): Promise<void> {
    const { config, journal } = this.#scope.parts
    const row = journal.repository(config.name, this.#place.repository)
    if (row?.unfinished === undefined) return
    const { unfinished: _unfinished, ...rest } = row
    await journal.noteRepository(config.name, this.#place.repository, rest)
  }

  async #leave(kind: SyncUnfinished['kind'], why?: SyncError): Promise<void> {
    const { upstream, config, journal, clock, fingerprint } = this.#scope.parts
    const { repository, local } = this.#place
    if (upstream.changes === undefined) return
    const known = journal.repository(config.name, repository)
    const row = known ?? { local, fingerprint: '', isListingComplete: false }
    // Each tag of a full list was looked at by these rules: what failed says so in its own row.
    const isListed = kind === 'tags' && this.#listed?.isFull === true
    // Rows of tags say what is left, where they are of these rules.
    const isOfTags = isListed || (kind === 'tags' && row.fingerprint === fingerprint)
    const attempts = isOfTags ? 0 : (known?.unfinished?.attempts ?? 0) + 1
    const retryAt = isOfTags ? 0 : clock.now() + retryMs(attempts)
    const reason = why?.reason ?? 'internal'
    await journal.noteRepository(config.name, repository, {
      ...row,
      ...(isListed ? { fingerprint, fullPassAt: clock.now(), isListingComplete: true } : {}),
      unfinished: { kind: isOfTags ? 'tags' : 'list', attempts, retryAt, reason },
    })
  }

  /** What a prune needs of a list is what it lacks. */
  async #seen({ isFull, names, selected }: TagList): Promise<void> {
    const { parts, tally } = this.#scope
    const { prune, journal, config } = parts
    if (prune === undefined || !isFull || names === undefined) return
    const { repository, local } = this.#place
    const chosen = new Set<string>(selected.map(({ tag }) => tag))
    const some = await compactNames(journal, config.name, repository, names, chosen)
    this.#pass = { repository, local, ...some, startedAt: tally.startedAt }
  }

  /** Follows what the history of the source says is deleted; `names`: all live tags, where they were listed. */
  async #deletions(names: ReadonlySet<string> | undefined): Promise<void> {
    const { parts, tally, soft } = this.#scope
    const told = this.#told
    if (told === undefined) return
    this.#leaves(told.waitingDeletions)
    const gone = await goneTags(parts, this.#place, told, names)
    if (gone.size === 0) return
    soft.throwIfAborted()
    const { repository } = this.#place
    const { prune } = parts
    if (prune !== undefined) {
      const all = [...gone].map((tag) => ({ repository, tag }))
      const { deleted, unknown } = await prune.afterDeletions(all, soft)
      tally.add('pruned', deleted)
      this.#leaves(unknown)
      return
    }
    for (const tag of gone) await this.#gone(tag, told.deleted.has(tag))
  }

  /** Deletions that could not be confirmed: the run is not whole. */
  #leaves(count: number): void {
    this.#tags.leave(count)
    if (count > 0) this.#scope.tally.leftOut()
  }

  /** Upstream has deleted it. `isKnown`: its history says so; else it is asked. */
  async #gone(tag: string, isKnown: boolean): Promise<void> {
    const { parts, tally, soft } = this.#scope
    const { journal, config, clock, upstream } = parts
    const { repository } = this.#place
    const it = { source: config.name, repository, tag }
    const row = journal.tag(it)
    if (row === undefined || row.outcome === 'gone') return
    const isThere = async () => (await upstream.tag(repository, tag, soft)) !== undefined
    if (!isKnown && (await patiently(this.#scope, isThere))) return
    await journal.noteTag(it, { ...row, outcome: 'gone', at: clock.now(), attempts: 0 })
    tally.add('gone')
  }

  #warn({ unmatched, isFull }: TagList): void {
    if (!isFull || unmatched.length === 0) return
    const { logger, config } = this.#scope.parts
    const fields = { sync: config.name, repository: this.#place.repository }
    const patterns = unmatched.slice(0, 10)
    logger.debug({ ...fields, reason: 'unmatched', patterns }, 'patterns fit no tag')
  }

  /** More than half of the tags are gone: more often a fault than a truth. */
  async #shrinks({ isFull, count }: TagList): Promise<void> {
    const { parts, soft } = this.#scope
    const { repository, local, row } = this.#place
    if (!isFull || !hasShrunk(row?.tags, count)) return
    await patiently(this.#scope, () => parts.upstream.probe(soft))
    const what = `upstream lists ${count} tags of ${repository}, where it listed ${row!.tags}`
    await this.#scope.shrunk(local, what)
  }

  /** Some tags at a time: all repositories of the run share the places. */
  async #each(works: Iterable<TagWork>, isLast = false): Promise<void> {
    const { slots, soft, isAskedTag, gate, tally } = this.#scope
    const running = new Set<Promise<void>>()
    let failure: { readonly error: unknown } | undefined
    let looked = 0
    for (const work of works) {
      if (failure !== undefined || soft.aborted) break
      if (isAskedTag?.(work.tag) === false) continue
      if (!work.isExtra && !isLast) tally.wanted(work.listed.expiresAt)
      looked += 1
      if (looked % tagsPerTurn === 0) await nextTurn()
      if (this.#tags.isSettled(work)) continue
      let give: (() => void) | undefined
      try {
        give = await slots.take(soft)
        await gate.pass()
      } catch (error) {
        give?.()
        failure = { error }
        break
      }
      const one: Promise<void> = this.#tags
        .one(work, isLast)
        .catch((error: unknown) => {
          failure ??= { error }
        })
        .finally(() => {
          give()
          running.delete(one)
        })
      running.add(one)
    }
    await Promise.all(running)
    if (failure !== undefined) throw failure.error
    soft.throwIfAborted()
  }
}
