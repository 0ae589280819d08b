/**
 * @module The tags of one repository in a run, one by one: each is asked for, copied, and counted by what it came to.
 */
import { recordEvent } from '../../metadata/edits.ts'
import type { SyncTagRow } from '../../metadata/rows/upstream.ts'
import { type Digest, parseDigest } from '../../registry/digest.ts'
import { parseTag, type Tag } from '../../registry/tag.ts'
import { isToWait, retryMs } from '../copy/copier.ts'
import { type CopyResult, noCounts, type TagCopy } from '../copy/outcome.ts'
import { SyncError } from '../port.ts'
import { toSyncError } from '../sources/failures.ts'
import type { Place } from './place.ts'
import { patiently, type RunScope } from './scope.ts'
import { stateOf, type TagList, type TagWork } from './tag-list.ts'
import type { Told } from './told.ts'
import { waitMsMax } from './waits/gate.ts'

/** Tags named after a digest that are kept for a second try; with more they are asked for. */
const namedMax = 1_000

/** Times that a tag is copied again because the host was away. */
const outagesMax = 3

/** Tags of all repositories of a run that are tried once more at its end. */
const againMax = 10_000

/** Longest message that is kept, characters. */
const messageLengthMax = 300

/** What is known of the tags that are named after a digest. Undefined: nothing. */
export type NamedTags = Pick<TagList, 'named' | 'isNamedWhole'>

export class TagRuns {
  readonly #scope: RunScope
  readonly #place: Place
  readonly #told: Told | undefined
  #again: TagWork[] = []
  #named: NamedTags | undefined
  #unfinished = 0

  constructor(scope: RunScope, place: Place, told: Told | undefined) {
    this.#scope = scope
    this.#place = place
    this.#told = told
  }

  /** Tags that are not what they should be. */
  get unfinished(): number {
    return this.#unfinished
  }

  /** Whether some are worth another try in this run. */
  get hasMore(): boolean {
    return this.#again.length > 0
  }

  /** What the list says of the tags that are named after a digest. */
  knows(named: NamedTags): void {
    this.#named = named
  }

  /** All have had their first try. */
  rest(): void {
    if ((this.#named?.named.size ?? 0) > namedMax || !this.hasMore) this.#named = undefined
  }

  /** Those that failed in passing, to be tried once more. */
  takeAgain(): readonly TagWork[] {
    const { tally, again } = this.#scope
    const works = this.#again
    this.#again = []
    again.count -= works.length
    this.#unfinished -= works.length
    for (const { isExtra } of works) if (!isExtra) tally.again()
    return works
  }

  leave(count: number): void {
    this.#unfinished += count
  }

  /** It failed before anybody knew what upstream means by it, and may not be asked for yet. */
  waits(name: string): void {
    const { tally } = this.#scope
    const tag = parseTag(name)
    const row = tag.ok ? this.#known(tag.value) : undefined
    if (!tag.ok || row === undefined) return
    this.#unfinished += 1
    tally.wanted()
    tally.ended(this.#place.repository, name, { outcome: 'failed', counts: noCounts() })
    this.#fault({ tag: tag.value, listed: { tag: name } }, row)
  }

  /** Without a place and without a turn: most tags of most runs are. */
  isSettled(work: TagWork): boolean {
    const digest = work.listed.digest ?? this.#untold(work.tag)
    if (digest === undefined) return false
    const { parts, isForced } = this.#scope
    const how = { isForced, isSet: this.#isSet(work, digest) }
    const state = stateOf(parts, this.#place, work, digest, how)
    if (state.kind !== 'settled') return false
    this.#end(work, UNCHANGED)
    return true
  }

  async one(work: TagWork, isLast: boolean): Promise<void> {
    const scope = this.#scope
    const { tally } = scope
    const { repository } = this.#place
    tally.begin(repository, work.tag)
    try {
      await this.#one(work, isLast)
    } catch (error) {
      tally.stopped(repository, work.tag)
      if (scope.hard.aborted || scope.soft.aborted) throw error
      const failure = await scope.refusals.judge(toSyncError(error))
      if (scope.soft.aborted) throw error
      await this.#noteFailed(work.tag, this.#told?.tags.get(work.tag), failure)
      const { reason, message, isPassing } = failure
      const counts = noCounts()
      this.#finish(work, { outcome: 'failed', reason, message, isPassing, counts }, isLast)
    }
  }

  async #one(work: TagWork, isLast: boolean): Promise<void> {
    const { parts, isForced } = this.#scope
    const digest = work.listed.digest ?? (await this.#resolve(work.tag))
    if (digest === undefined) {
      await this.#gone(work)
      return
    }
    const how = { isForced: isForced || isLast, isSet: this.#isSet(work, digest) }
    const state = stateOf(parts, this.#place, work, digest, how)
    if (state.kind === 'settled') return this.#end(work, UNCHANGED)
    if (state.kind === 'echo') return await this.#echo(work, digest)
    if (state.kind === 'too-early') {
      this.#unfinished += 1
      this.#end(work, { outcome: 'failed', counts: noCounts() })
      this.#fault(work, state.row)
      return
    }
    const before = this.#known(work.tag)
    const result = await this.#copy(work, digest, state.attached)
    if (result.outcome === 'gone') return await this.#gone(work, result)
    const row = this.#known(work.tag)
    // The reason of the failure stands where it was said.
    const isSparse = work.listed.isSparse === true && row?.outcome === 'failed'
    if (isSparse) await this.#note(work.tag, { ...row, isSparse })
    this.#finish(work, result, isLast)
    const isNew = before?.outcome !== 'conflict' || before.upstream !== digest
    if (result.outcome === 'conflict' && isNew) await this.#recordConflict(work.tag, digest)
  }

  /** Whether upstream says that the tag was set to this since it was looked at last: it may have moved on. */
  #isSet({ tag }: TagWork, digest: Digest): boolean {
    return this.#told?.tags.get(tag) === digest
  }

  /** What upstream meant by a tag of which its history says nothing since: no list says digests. */
  #untold(tag: Tag): Digest | undefined {
    const told = this.#told
    if (told === undefined || told.isWhole || told.tags.has(tag)) return undefined
    return this.#known(tag)?.upstream
  }

  #known(tag: Tag): SyncTagRow | undefined {
    const { journal, config } = this.#scope.parts
    return journal.tag({ source: config.name, repository: this.#place.repository, tag })
  }

  async #note(tag: Tag, row: SyncTagRow): Promise<void> {
    const { journal, config } = this.#scope.parts
    await journal.noteTag({ source: config.name, repository: this.#place.repository, tag }, row)
  }

  /** What the sync has written stays known: a prune goes by it. */
  async #gone(work: TagWork, result?: CopyResult): Promise<void> {
    const row = this.#known(work.tag)
    if (row !== undefined) {
      const at = this.#scope.parts.clock.now()
      await this.#note(work.tag, { ...row, outcome: 'gone', at, attempts: 0 })
    }
    this.#end(work, result ?? { outcome: 'gone', counts: noCounts() })
  }

  /** Upstream has it from here, and has not yet taken what was set here since. */
  async #echo(work: TagWork, digest: Digest): Promise<void> {
    const { local } = this.#place
    const known = this.#known(work.tag)
    const message = 'upstream still has what was here before'
    const isNew = known?.outcome !== 'kept' || known.upstream !== digest
    if (isNew) {
      const wrote = known?.local === local && known.wrote ? { wrote: known.wrote } : {}
      const at = this.#scope.parts.clock.now()
      const row = { local, outcome: 'kept', at, attempts: 0, upstream: digest, ...wrote, message }
      await this.#note(work.tag, row)
    }
    this.#end(work, { outcome: 'kept', message, counts: noCounts() })
  }

  /** For what the copier has not noted. */
  async #noteFailed(tag: Tag, digest: Digest | undefined, why: Why): Promise<void> {
    const { local } = this.#place
    const known = this.#known(tag)
    const row = known?.local === local ? known : undefined
    const upstream = digest ?? row?.upstream
    const at = this.#scope.parts.clock.now()
    const isSame = row?.outcome === 'failed' && row.upstream === upstream
    const attempts = (isSame ? row.attempts : 0) + 1
    const { reason = 'internal', message = '' } = why
    const { referrersCheckedAt: checkedAt, wrote, pushedAt, missing } = row ?? {}
    await this.#note(tag, {
      local,
      outcome: 'failed',
      at,
      attempts,
      ...(upstream === undefined ? {} : { upstream }),
      ...(wrote === undefined ? {} : { wrote }),
      ...(pushedAt === undefined ? {} : { pushedAt }),
      ...(checkedAt === undefined ? {} : { referrersCheckedAt: checkedAt }),
      ...(missing === undefined ? {} : { missing }),
      reason,
      message: message.slice(0, messageLengthMax),
      nextRetryAt: at + retryMs(attempts),
    })
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
    const scope = this.#scope
    const until = scope.parts.clock.monotonic() + waitMsMax
    let wanted = digest
    let isAskedAgain = false
    let outages = 0
    for (;;) {
      const copy = this.#copyOf(work, wanted, attached, scope.hard)
      const result = await scope.parts.copier.copy(copy)
      if (isToWait(result)) {
        if (await this.#mayWait(result, until)) continue
        await this.#noteFailed(work.tag, wanted, result)
        return result
      }
      if (result.reason === 'unreachable' && outages < outagesMax && !scope.soft.aborted) {
        outages += 1
        if (await scope.outage.check()) continue
      }
      if (result.reason === 'credentials') return await this.#refused(result)
      if (result.outcome !== 'gone') return result
      // It moved, or went, between the list and the fetch.
      const now = await this.#resolve(work.tag)
      if (now === undefined) return result
      if (isAskedAgain || now === wanted) {
        // Listed, and not given: that is not gone.
        const message = `upstream lists ${now} and does not give ${wanted}`
        const failure = { reason: 'child-missing', message, isPassing: true } as const
        await this.#noteFailed(work.tag, wanted, failure)
        return { ...result, outcome: 'failed', ...failure }
      }
      isAskedAgain = true
      wanted = now
    }
  }

  /** Waits for what time or room alone mends. False: it does not. */
  async #mayWait(result: CopyResult, until: number): Promise<boolean> {
    const { gate, soft, parts } = this.#scope
    if (soft.aborted || parts.clock.monotonic() >= until) return false
    if (result.reason === 'no-space') {
      // What is larger than the room that there is keeps nobody from copying what fits.
      if (gate.hasRoom) return false
      gate.holdForSpace()
    } else gate.holdUntil(result.retryAt)
    await gate.pass()
    return true
  }

  async #refused(result: CopyResult): Promise<CopyResult> {
    const error = new SyncError('credentials', result.message ?? 'the credential is refused')
    const { reason, message } = await this.#scope.refusals.judge(error)
    return { ...result, reason, message }
  }

  #copyOf(
    { tag, listed }: TagWork,
    digest: Digest,
    attached: TagCopy['attached'],
    signal: AbortSignal,
  ): TagCopy {
    const { parts, tally } = this.#scope
    const { config, metadata } = parts
    const { repository, local } = this.#place
    const known = this.#named
    // Signatures of an image that is here were seen when they came.
    const isListed =
      known?.isNamedWhole === true || metadata.get('manifests', [local, digest]) !== undefined
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
      ...(known !== undefined && isListed ? { listing: known.named } : {}),
      onChange: config.onChange,
      overwrite: config.overwrites,
      watch: tally.watch(repository, tag),
      signal,
    }
  }

  #finish(work: TagWork, result: CopyResult, isLast: boolean): void {
    this.#end(work, result)
    if (result.outcome !== 'failed' && result.outcome !== 'rejected') {
      this.#scope.refusals.ok()
      return
    }
    this.#unfinished += 1
    const { again, tally } = this.#scope
    const isAgain = result.isPassing === true && !isLast && again.count < againMax
    if (isAgain) {
      again.count += 1
      this.#again.push(work)
    } else if (work.isExtra) tally.leftOut()
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

  #fault({ tag, listed: { pushedAt } }: Pick<TagWork, 'tag' | 'listed'>, row: FaultRow): void {
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

type Why = Pick<CopyResult, 'reason' | 'message'>

interface FaultRow {
  readonly reason?: string
  readonly message?: string
  readonly attempts: number
  readonly nextRetryAt?: number
  readonly upstream?: string
}
