/**
 * @module One repository in a run: its tags are listed, filtered and copied, some at a time. What is known
 * of it is written down once all of them have ended.
 */
import { recordEvent } from '../../metadata/edits.ts'
import type { SyncRepositoryRow, SyncTagRow } from '../../metadata/upstream-rows.ts'
import { type Digest, parseDigest } from '../../registry/digest.ts'
import type { Tag } from '../../registry/tag.ts'
import { nextTurn } from '../../runtime/next-turn.ts'
import type { Semaphore } from '../../runtime/semaphore.ts'
import { isToWait } from '../copy/copier.ts'
import { type CopyResult, noCounts, type TagCopy } from '../copy/outcome.ts'
import { SyncError } from '../port.ts'
import { tagsPerTurn } from '../selection/newest.ts'
import { retryAtOf, toSyncError } from '../sources/failures.ts'
import { type Gate, waitMsMax } from './gate.ts'
import type { RunParts } from './parts.ts'
import { freshMs, type Place, watermarkOf } from './place.ts'
import { listTags, stateOf, type TagList, type TagWork, worksOf } from './tag-list.ts'
import type { Tally } from './tally.ts'

/** Tags that are tried once more at the end of a run, of one repository. */
const againMax = 1_000

export interface RunScope {
  readonly parts: RunParts
  readonly tally: Tally
  readonly gate: Gate
  /** Tags in work. */
  readonly slots: Semaphore
  /** Ends a copy in its middle: the server stops. */
  readonly hard: AbortSignal
  /** Ends requests of lists, and begins no tag: a person wants it. */
  readonly soft: AbortSignal
  readonly isForced: boolean
  readonly by: string
  /** Undefined: every tag. */
  readonly isAskedTag: ((tag: string) => boolean) | undefined
}

/** Runs what upstream may put off, again when it may. */
export async function patiently<T>(scope: RunScope, work: () => Promise<T>): Promise<T> {
  const { gate, parts } = scope
  const until = parts.clock.monotonic() + waitMsMax
  for (;;) {
    await gate.pass()
    try {
      return await work()
    } catch (error) {
      const isLimited = toSyncError(error).reason === 'rate-limited'
      if (scope.soft.aborted || !isLimited || parts.clock.monotonic() >= until) throw error
      gate.holdUntil(retryAtOf(error))
    }
  }
}

export class RepositoryRun {
  readonly #scope: RunScope
  readonly #place: Place
  readonly #again: TagWork[] = []
  #list: TagList | undefined
  #unfinished = 0

  constructor(scope: RunScope, place: Place) {
    this.#scope = scope
    this.#place = place
  }

  /** Whether some tags are worth another try in this run. */
  get hasMore(): boolean {
    return this.#again.length > 0
  }

  /** Throws what concerns the repository as a whole, and when it is stopped. */
  async run(): Promise<void> {
    const scope = this.#scope
    const { parts, tally, soft } = scope
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
      })
      // Whose its content is has to be known after a crash as well: what it holds is linked, not fetched again.
      if (known?.local !== local) await journal.flush()
    }
    const list = await patiently(scope, () => listTags(parts, this.#place, soft))
    this.#list = list
    const { selection } = list
    if (selection.isShort) {
      const message = `fewer than ${config.tags.min} tags of ${repository} are selected`
      throw new SyncError('minimum', message)
    }
    tally.add('skipped', selection.verdicts.filter(({ rule }) => rule === 'bad-name').length)
    this.#warn(list)
    await this.#each(worksOf(parts, this.#place, list))
  }

  /** Tries once more what failed in passing. */
  async again(): Promise<void> {
    const works = this.#again.splice(0)
    this.#unfinished -= works.length
    for (const { isExtra } of works) if (!isExtra) this.#scope.tally.again()
    await this.#each(works, true)
  }

  /** Writes down how far the repository is, where anything is new. Nothing is noted of what failed. */
  async settle(): Promise<void> {
    const { parts, isAskedTag, tally } = this.#scope
    const { config, journal, fingerprint, clock, prune } = parts
    const { repository, local, row } = this.#place
    const list = this.#list
    if (list === undefined || isAskedTag !== undefined || this.#unfinished > 0) return
    const now = clock.now()
    const before = row?.watermark
    const { newest } = list
    const watermark = newest === undefined ? before : watermarkOf(newest, before, now)
    const fullPassAt = list.isFull ? now : row?.fullPassAt
    const next: SyncRepositoryRow = {
      local,
      ...(watermark === undefined ? {} : { watermark }),
      ...(fullPassAt === undefined ? {} : { fullPassAt }),
      fingerprint,
      isListingComplete: list.isFull || row?.isListingComplete === true,
    }
    // Sources without times have a full pass in every run: not each of them is worth a write.
    const sinceMs = now - (row?.fullPassAt ?? 0)
    const isSame = row?.isListingComplete === true && next.watermark === before
    if (!isSame || (list.isFull && (sinceMs >= freshMs || sinceMs < 0))) {
      await journal.noteRepository(config.name, repository, next)
    }
    if (prune === undefined || !list.isFull) return
    const { verdicts, selected } = list.selection
    prune.afterRepository({
      repository,
      local,
      listed: new Set(verdicts.map(({ listed }) => listed.tag)),
      selected: new Set(selected.map(({ tag }) => tag)),
      startedAt: tally.startedAt,
    })
  }

  #warn({ selection, isFull }: TagList): void {
    if (!isFull || selection.unmatched.length === 0) return
    const { logger, config } = this.#scope.parts
    const fields = { sync: config.name, repository: this.#place.repository }
    const patterns = selection.unmatched.slice(0, 10)
    logger.debug({ ...fields, reason: 'unmatched', patterns }, 'patterns fit no tag')
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
      if (this.#isSettled(work)) continue
      let give: (() => void) | undefined
      try {
        give = await slots.take(soft)
        await gate.pass()
      } catch (error) {
        give?.()
        failure = { error }
        break
      }
      const one: Promise<void> = this.#one(work, isLast)
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

  /** Without a place and without a turn: most tags of most runs are. */
  #isSettled(work: TagWork): boolean {
    const { digest } = work.listed
    if (digest === undefined) return false
    const { parts, isForced } = this.#scope
    if (stateOf(parts, this.#place, work, digest, { isForced }).kind !== 'settled') return false
    this.#end(work, UNCHANGED)
    return true
  }

  async #one(work: TagWork, isLast: boolean): Promise<void> {
    const scope = this.#scope
    const { parts, tally, isForced } = scope
    const { repository } = this.#place
    tally.begin(repository, work.tag)
    try {
      const digest = work.listed.digest ?? (await this.#resolve(work.tag))
      if (digest === undefined) {
        await this.#gone(work)
        return
      }
      const state = stateOf(parts, this.#place, work, digest, { isForced: isForced || isLast })
      if (state.kind === 'settled') return this.#end(work, UNCHANGED)
      if (state.kind === 'too-early') {
        this.#unfinished += 1
        this.#end(work, { outcome: 'failed', counts: noCounts() })
        this.#fault(work, state.row)
        return
      }
      const before = this.#known(work.tag)
      const result = await this.#copy(work, digest, state.attached)
      if (result.outcome === 'gone') return await this.#gone(work, result)
      this.#finish(work, result, isLast)
      const isNew = before?.outcome !== 'conflict' || before.upstream !== digest
      if (result.outcome === 'conflict' && isNew) await this.#recordConflict(work.tag, digest)
    } catch (error) {
      tally.stopped(repository, work.tag)
      if (scope.hard.aborted || scope.soft.aborted) throw error
      const { reason, message, isPassing } = toSyncError(error)
      const result: CopyResult = {
        outcome: 'failed',
        reason,
        message,
        isPassing,
        counts: noCounts(),
      }
      this.#finish(work, result, isLast)
    }
  }

  #known(tag: Tag): SyncTagRow | undefined {
    const { journal, config } = this.#scope.parts
    return journal.tag({ source: config.name, repository: this.#place.repository, tag })
  }

  /** What the sync has written stays known: a prune goes by it. */
  async #gone(work: TagWork, result?: CopyResult): Promise<void> {
    const { journal, config, clock } = this.#scope.parts
    const row = this.#known(work.tag)
    if (row !== undefined) {
      const it = { source: config.name, repository: this.#place.repository, tag: work.tag }
      await journal.noteTag(it, { ...row, outcome: 'gone', at: clock.now(), attempts: 0 })
    }
    this.#end(work, result ?? { outcome: 'gone', counts: noCounts() })
  }

  async #resolve(tag: Tag): Promise<Digest | undefined> {
    const scope = this.#scope
    const { upstream } = scope.parts
    const { repository } = this.#place
    const found = await patiently(scope, () => upstream.tag(repository, tag, scope.soft))
    if (found === undefined) return undefined
    if (found.digest !== undefined) return found.digest
    throw new SyncError('upstream-error', `upstream does not say what ${tag} means`, true)
  }

  async #copy(work: TagWork, digest: Digest, attached: TagCopy['attached']): Promise<CopyResult> {
    const { parts, gate, hard, soft } = this.#scope
    const until = parts.clock.monotonic() + waitMsMax
    let wanted = digest
    let isAskedAgain = false
    for (;;) {
      const result = await parts.copier.copy(this.#copyOf(work, wanted, attached, hard))
      if (isToWait(result) && !soft.aborted && parts.clock.monotonic() < until) {
        if (result.reason === 'no-space') gate.holdForSpace()
        else gate.holdUntil(result.retryAt)
        await gate.pass()
        continue
      }
      if (result.outcome !== 'gone') return result
      // It moved, or went, between the list and the fetch.
      const now = await this.#resolve(work.tag)
      if (now === undefined) return result
      if (isAskedAgain || now === wanted) {
        // Listed, and not given: that is not gone.
        const message = `upstream lists ${now} and does not give ${wanted}`
        return { ...result, outcome: 'failed', reason: 'child-missing', message, isPassing: true }
      }
      isAskedAgain = true
      wanted = now
    }
  }

  #copyOf(
    { tag, listed }: TagWork,
    digest: Digest,
    attached: TagCopy['attached'],
    signal: AbortSignal,
  ): TagCopy {
    const { config, metadata } = this.#scope.parts
    const { repository, local } = this.#place
    const { named, isNamedWhole } = this.#list!
    // Signatures of an image that is here were seen when they came.
    const isListed = isNamedWhole || metadata.get('manifests', [local, digest]) !== undefined
    return {
      repository,
      tag,
      digest,
      ...(listed.pushedAt === undefined ? {} : { pushedAt: listed.pushedAt }),
      local,
      platforms: config.platforms,
      attached,
      kinds: config.referrers,
      isSparse: listed.isSparse === true && listed.digest === digest,
      ...(isListed ? { listing: named } : {}),
      onChange: config.onChange,
      overwrite: config.overwrites,
      signal,
    }
  }

  #finish(work: TagWork, result: CopyResult, isLast: boolean): void {
    this.#end(work, result)
    if (result.outcome !== 'failed' && result.outcome !== 'rejected') return
    this.#unfinished += 1
    const isAgain = result.isPassing === true && !isLast && this.#again.length < againMax
    if (isAgain) this.#again.push(work)
    else if (work.isExtra) this.#scope.tally.leftOut()
    this.#fault(work, {
      ...(this.#known(work.tag) ?? { attempts: 1 }),
      reason: result.reason ?? 'internal',
      message: result.message ?? '',
    })
  }

  #end(work: TagWork, result: CopyResult): void {
    const { tally } = this.#scope
    const { repository } = this.#place
    if (work.isExtra) {
      tally.stopped(repository, work.tag)
      tally.bytes(result.counts)
      if (result.outcome === 'referrers_updated') tally.add('referrers_updated')
      return
    }
    tally.ended(repository, work.tag, result)
  }

  #fault({ tag, listed: { pushedAt } }: TagWork, row: FaultRow): void {
    const { repository } = this.#place
    if (pushedAt !== undefined) this.#scope.tally.late(repository, tag, pushedAt)
    const { reason = 'internal', message = '', attempts, nextRetryAt, upstream } = row
    const digest = parseDigest(upstream ?? '')
    this.#scope.tally.fault({
      repository,
      tag,
      ...(digest.ok ? { digest: digest.value } : {}),
      reason,
      message,
      attempts,
      ...(nextRetryAt === undefined ? {} : { nextRetryAt }),
    })
  }

  /** One line of the history for each new conflict. */
  async #recordConflict(tag: Tag, digest: Digest): Promise<void> {
    const { parts, by } = this.#scope
    const { metadata, clock, logger, config } = parts
    const { local, repository } = this.#place
    logger.warn({ sync: config.name, repository, tag, reason: 'conflict' }, 'a tag was moved here')
    const at = clock.now()
    const row = { at, action: 'sync-conflict', repository: local, by, tag, digest } as const
    await metadata.commit({ checks: [], changes: [recordEvent(row)] })
  }
}

const UNCHANGED: CopyResult = { outcome: 'unchanged', counts: noCounts() }

interface FaultRow {
  readonly reason?: string
  readonly message?: string
  readonly attempts: number
  readonly nextRetryAt?: number
  readonly upstream?: string
}
