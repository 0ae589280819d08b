/**
 * @module Deletes what upstream has no longer, so that it cannot hurt: only tags that the sync wrote and nobody
 * touched since, missed by two full passes, and then confirmed one by one. What is much, or is the first of its
 * source, waits as a plan for an operator:
 *
 *   full pass ──► missed twice ──► asked for ──► few of a repository ──► asked for again ──► deleted
 *                                       └──────► many, or the first ──► plan ──► operator ──┘
 */
import type { SyncSourceConfig } from '../../config/config.ts'
import type { SyncPlanItemRow } from '../../metadata/rows/upstream.ts'
import { atOnce } from '../copy/at-once.ts'
import { retryMs } from '../copy/copier.ts'
import { followedDigest } from '../selection/tags.ts'
import {
  approvalOf,
  asksAtOnce,
  noCounts,
  PlanApplication,
  type PruneCounts,
  type PruneParts,
} from './apply.ts'
import { type Missed, type MissedRepository, PrunePass, type SeenRepository } from './pass.ts'
import { PrunePlans } from './plans.ts'

/** What a full pass was. */
export interface FullPass {
  readonly source: SyncSourceConfig
  /** Every repository that the run wanted. */
  readonly repositories: Iterable<SeenRepository> | AsyncIterable<SeenRepository>
  /** The credential was good. */
  readonly isProbeOk: boolean
  /** Undefined ends: neither cancelled nor cut. */
  readonly isCancelled: boolean
  /** The list of repositories came to its end. */
  readonly isListComplete: boolean
  /** The pass before went by the same filters and names. */
  readonly isFingerprintUnchanged: boolean
  /** Makes a plan and deletes nothing. */
  readonly plansOnly?: boolean
  readonly signal: AbortSignal
}

export interface PruneResult {
  readonly counts: PruneCounts
  /** A plan that waits for an operator. */
  readonly waitingPlan?: string
  /** What an operator has to know. */
  readonly message?: string
}

interface Split {
  readonly now: readonly SyncPlanItemRow[]
  readonly later: readonly SyncPlanItemRow[]
  readonly reasons: ReadonlySet<string>
}

export class Prune {
  readonly plans: PrunePlans
  readonly #parts: PruneParts
  readonly #application: PlanApplication

  constructor(parts: PruneParts) {
    this.#parts = parts
    this.plans = new PrunePlans(parts.metadata, parts.clock, parts.storeOf)
    this.#application = new PlanApplication(this.plans, parts)
  }

  /**
   * Counts what the pass has missed, deletes what is proven gone, and makes a plan of the rest. Throws what the
   * signal was aborted with: what was deleted until then is, and the next pass goes on.
   */
  async afterFullPass(pass: FullPass): Promise<PruneResult> {
    const { source, signal } = pass
    if (!source.prune.isEnabled) return nothing()
    if (!pass.isProbeOk) return nothing('nothing is pruned: the credential was not confirmed')
    if (pass.isCancelled) return nothing('nothing is pruned: the run was cancelled')
    if (!pass.isListComplete) return nothing('nothing is pruned: the listing was not complete')
    const planned = this.plans.repositoriesOf(source.name)
    const counting = new PrunePass(this.#parts, source, planned)
    if (!pass.isFingerprintUnchanged) {
      await counting.forget()
      await this.plans.supersede(source.name, (id) => this.#application.isBusy(id))
      return nothing('nothing is pruned: the filters have changed')
    }
    for await (const seen of pass.repositories) {
      signal.throwIfAborted()
      await counting.see(seen)
    }
    const missed = await counting.end()
    const { due, unknown, back } = await this.#confirmed(source.name, missed, signal)
    await this.plans.supersede(source.name, (id) => this.#application.isBusy(id))
    const split = this.#split(pass, missed, due)
    const result = await this.#application.applyNow(source, split.now, signal)
    const counts = { ...result, unknown: result.unknown + unknown, back: result.back + back }
    const waiting = await this.#keep(source, split)
    await this.plans.trim((id) => this.#application.isBusy(id))
    const more = missed.isCut
      ? ['more tags are gone than one plan takes: the next pass goes on']
      : []
    const message = [...waiting.map(({ message }) => message), ...more].join('; ')
    return {
      counts,
      ...(waiting[0] === undefined ? {} : { waitingPlan: waiting[0].id }),
      ...(message === '' ? {} : { message }),
    }
  }

  /** What waits for an operator, as a plan; none where nothing does. */
  async #keep(source: SyncSourceConfig, { later, reasons }: Split) {
    if (later.length === 0) return []
    const why = [...reasons]
    const id = await this.plans.create(this.#application.planOf(source, later, why), later)
    const message = `${later.length} tags wait for an operator in plan ${id}: ${why.join(', ')}`
    return [{ id, message }]
  }

  /**
   * Tags that upstream's own history says were deleted: each is asked for and deleted at once, without a plan.
   * Nothing goes when pruning is off.
   */
  async afterDeletions(
    source: SyncSourceConfig,
    deletions: Iterable<{ readonly repository: string; readonly tag: string }>,
    signal: AbortSignal,
  ): Promise<PruneCounts> {
    const { journal } = this.#parts
    const counts = noCounts()
    if (!source.prune.isEnabled) return counts
    const asking = this.#application.confirmation(source.name, signal)
    await atOnce([...deletions], asksAtOnce, signal, async ({ repository, tag }) => {
      const known = journal.tag({ source: source.name, repository, tag })
      if (known?.wrote === undefined || followedDigest(tag) !== undefined) return
      const { local, wrote: digest } = known
      const item: SyncPlanItemRow = { repository, local, tag, digest, rule: 'gone' }
      const kind = await this.#application.deleteItem(source.name, item, asking, () => true, counts)
      const it = { source: source.name, repository, tag }
      const now = journal.tag(it)
      if (now === undefined) return
      const at = this.#parts.clock.now()
      const { isTold, ...missing } = now.missing ?? { since: at, passes: 0 }
      if (kind === 'unknown') {
        // Its row says that it is to be asked for again, however many passes have missed it.
        const attempts = now.attempts + 1
        const again = { attempts, nextRetryAt: at + retryMs(attempts) }
        await journal.noteTag(it, { ...now, ...again, missing: { ...missing, isTold: true } })
      } else if (isTold === true) await journal.noteTag(it, { ...now, missing })
    })
    return counts
  }

  /**
   * Applies a plan as a job: each tag is judged and asked for again. The job is on disk when this resolves.
   * Throws a `PlanRefusal`.
   */
  apply(id: string, by: string): Promise<{ readonly id: string; readonly ended: Promise<void> }> {
    return this.#application.apply(id, by)
  }

  /** Due tags of each repository that upstream confirms to be gone. */
  async #confirmed(source: string, { repositories }: Missed, signal: AbortSignal) {
    const asking = this.#application.confirmation(source, signal)
    const due = new Map<MissedRepository, SyncPlanItemRow[]>()
    const counts = { unknown: 0, back: 0 }
    for (const repository of repositories) {
      const proven: SyncPlanItemRow[] = []
      await atOnce(repository.due, asksAtOnce, signal, async (item) => {
        const proof = await asking.of(item)
        if (proof === 'proven') proven.push(item)
        else counts[proof] += 1
        if (proof === 'back') await this.#application.isBack(source, item)
      })
      if (proven.length > 0) due.set(repository, proven)
    }
    return { due, ...counts }
  }

  /** What may go without an operator, and why the rest may not. */
  #split(
    pass: FullPass,
    missed: Missed,
    due: ReadonlyMap<MissedRepository, readonly SyncPlanItemRow[]>,
  ): Split {
    const { source, plansOnly = false } = pass
    const ofAll: string[] = []
    if (plansOnly) ofAll.push('it was asked for')
    const isFirst = this.#parts.metadata.get('approvals', approvalOf(source)) === undefined
    if (isFirst) ofAll.push('it is the first plan of the source')
    if (missed.hasListShrunk) ofAll.push('the list of repositories has shrunk')
    const now: SyncPlanItemRow[] = []
    const later: SyncPlanItemRow[] = []
    const reasons = new Set<string>(due.size > 0 ? ofAll : [])
    for (const [repository, items] of due) {
      const own = reasonsOf(repository, items.length, source.prune.maxPercent)
      const all = own.length + ofAll.length > 0 ? later : now
      for (const item of items) all.push(item)
      for (const reason of own) reasons.add(reason)
    }
    return { now, later, reasons }
  }
}

function reasonsOf(
  { isGone, owned, hasShrunk }: MissedRepository,
  count: number,
  maxPercent: number,
): string[] {
  const reasons: string[] = []
  if (isGone) reasons.push('a repository is gone')
  if (hasShrunk) reasons.push('a repository has shrunk')
  if (count >= owned) reasons.push('a repository would be empty')
  if (count * 100 > maxPercent * owned) reasons.push(`more than ${maxPercent} % of a repository`)
  return reasons
}

function nothing(message?: string): PruneResult {
  return { counts: noCounts(), ...(message === undefined ? {} : { message }) }
}
