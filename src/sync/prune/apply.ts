/**
 * @module Applies plans of what a sync deletes, those of operators and those that a full pass may apply itself. Each
 * tag is asked for again, and judged again where it is deleted.
 */
import type { SyncSourceConfig } from '../../config/config.ts'
import type { Jobs, RunningJob } from '../../jobs/jobs.ts'
import { LeadTaken } from '../../jobs/leads.ts'
import { recordEvent } from '../../metadata/edits.ts'
import type { SyncPlanItemRow, SyncPlanRow } from '../../metadata/rows/upstream.ts'
import { atOnce } from '../copy/at-once.ts'
import { writerOf } from '../journal.ts'
import type { SyncUpstream } from '../port.ts'
import { fingerprintOf } from '../selection/fingerprint.ts'
import { Confirmation } from './confirm.ts'
import { type DeletionParts, TagDeletion } from './deletion.ts'
import { passesWanted } from './pass.ts'
import type { PrunePlans } from './plans.ts'

/** Questions to one upstream at a time. */
export const asksAtOnce = 4

/** Items of a plan read at a time. */
const itemsAtOnce = 200

export interface PruneParts extends DeletionParts {
  readonly jobs: Jobs
  /** As configured; undefined: no such source. */
  readonly sourceOf: (name: string) => SyncSourceConfig | undefined
  readonly upstreamOf: (name: string) => SyncUpstream | undefined
}

export type PruneCounts = Readonly<
  Record<'deleted' | 'attached' | 'back' | 'changed' | 'protected' | 'unknown', number>
>

/** Why a plan cannot be applied. */
export class PlanRefusal extends Error {
  override readonly name = 'PlanRefusal'
  readonly isUnknown: boolean

  constructor(message: string, isUnknown = false) {
    super(message)
    this.isUnknown = isUnknown
  }
}

export class PlanApplication {
  readonly #plans: PrunePlans
  readonly #parts: PruneParts
  readonly #deletion: TagDeletion
  readonly #busy = new Set<string>()

  constructor(plans: PrunePlans, parts: PruneParts) {
    this.#plans = plans
    this.#parts = parts
    this.#deletion = new TagDeletion(parts)
  }

  /** Whether a plan is being applied here. */
  isBusy(id: string): boolean {
    return this.#busy.has(id)
  }

  /**
   * Applies a plan as a job: each tag is judged and asked for again. The job is on disk when this resolves.
   * Throws a `PlanRefusal`.
   */
  async apply(
    id: string,
    by: string,
  ): Promise<{ readonly id: string; readonly ended: Promise<void> }> {
    const row = this.#plans.get(id)
    if (row === undefined) throw new PlanRefusal('there is no such plan', true)
    const source = this.#parts.sourceOf(row.source)
    const why = refusalOf(row, source, this.#busy.has(id))
    if (why !== undefined) throw new PlanRefusal(why)
    const at = this.#parts.clock.now()
    this.#busy.add(id)
    try {
      const key = approvalOf(source!)
      const approval = { change: 'put', in: 'approvals', key, row: at } as const
      if (!(await this.#plans.claim(id, row, [approval]))) {
        throw new PlanRefusal('the plan has changed meanwhile')
      }
      const work = async (job: RunningJob) => {
        try {
          job.update({}, id)
          return await this.#applyPlan(id, row, by, job.signal, (counts) => job.update(counts))
        } finally {
          this.#busy.delete(id)
        }
      }
      return await this.#parts.jobs.start('sync-prune', by, work, { lead: writerOf(row.source) })
    } catch (error) {
      this.#busy.delete(id)
      if (!(error instanceof LeadTaken)) throw error
      await this.#plans.put(id, row)
      throw new PlanRefusal('the source runs now on a node of the mesh: its plan waits for the end')
    }
  }

  async #applyPlan(
    id: string,
    row: SyncPlanRow,
    by: string,
    signal: AbortSignal,
    tell: (counts: PruneCounts) => void,
  ) {
    const counts = noCounts()
    const { source } = row
    const asking = this.confirmation(source, signal)
    let after: string | undefined
    try {
      do {
        const page = this.#plans.items(id, after, itemsAtOnce)
        await atOnce(page.items, asksAtOnce, signal, async (item) => {
          await this.deleteItem(source, item, asking, isDue, counts)
        })
        tell(counts)
        after = page.next
      } while (after !== undefined)
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      await this.#finish(id, row, by, counts, signal.aborted)
    }
    const message = `${counts.deleted} of ${row.counts['tag'] ?? 0} tags were deleted`
    return { state: signal.aborted ? ('cancelled' as const) : ('done' as const), message }
  }

  async #finish(
    id: string,
    row: SyncPlanRow,
    by: string,
    counts: PruneCounts,
    isStopped: boolean,
  ): Promise<void> {
    const { clock, metadata, storeOf } = this.#parts
    const store = storeOf?.(row.source) ?? metadata
    const at = clock.now()
    const ended = { appliedAt: at, appliedBy: by, outcome: { ...counts } }
    const state = isStopped ? 'stopped' : 'applied'
    const why = `plan ${id} of sync ${row.source}: ${counts.deleted} tags`
    await store.commit({
      checks: [],
      changes: [
        { change: 'put', in: 'syncPlans', key: id, row: { ...row, ...ended, state } },
        ...(counts.deleted > 0
          ? [recordEvent({ at, action: 'plan-applied', repository: '', by, why })]
          : []),
      ],
    })
  }

  /** What goes immediately has a plan too, so that it can be looked up. */
  async applyNow(
    source: SyncSourceConfig,
    items: readonly SyncPlanItemRow[],
    signal: AbortSignal,
  ): Promise<PruneCounts> {
    const counts = noCounts()
    if (items.length === 0) return counts
    const row = this.planOf(source, items, [])
    const id = await this.#plans.create({ ...row, state: 'applying' }, items)
    const asking = this.confirmation(source.name, signal)
    this.#busy.add(id)
    try {
      await atOnce(items, asksAtOnce, signal, async (item) => {
        await this.deleteItem(source.name, item, asking, isDue, counts)
      })
    } finally {
      this.#busy.delete(id)
      await this.#finish(id, row, writerOf(source.name), counts, signal.aborted)
    }
    return counts
  }

  planOf(
    source: SyncSourceConfig,
    items: readonly SyncPlanItemRow[],
    reasons: readonly string[],
  ): SyncPlanRow {
    const repositories = new Set(items.map(({ repository }) => repository)).size
    return {
      source: source.name,
      createdAt: this.#parts.clock.now(),
      by: writerOf(source.name),
      state: 'ready',
      fingerprint: planFingerprintOf(source),
      reasons,
      counts: { tag: items.length, repository: repositories },
    }
  }

  /** Asks for a tag, and deletes it where it is gone. Says what it has counted. */
  async deleteItem(
    source: string,
    item: SyncPlanItemRow,
    asking: Confirmation,
    isStillDue: typeof isDue,
    counts: ReturnType<typeof noCounts>,
  ): Promise<keyof PruneCounts> {
    const { repository, tag, digest } = item
    const proof = await asking.of(item)
    if (proof !== 'proven') {
      counts[proof] += 1
      if (proof === 'back') await this.isBack(source, item)
      return proof
    }
    const why = WORDS[item.rule]
    const it = { tag: { source, repository, tag }, digest, why, isDue: isStillDue }
    const deleted = await this.#deletion.delete(it)
    counts[deleted.kind] += 1
    if (deleted.kind === 'deleted') counts.attached += deleted.attached
    return deleted.kind
  }

  /** Two passes have to miss it again. */
  async isBack(source: string, { repository, tag }: SyncPlanItemRow): Promise<void> {
    const { journal } = this.#parts
    const it = { source, repository, tag }
    const row = journal.tag(it)
    if (row?.missing === undefined) return
    const { missing: _missing, ...rest } = row
    await journal.noteTag(it, rest)
  }

  confirmation(source: string, signal: AbortSignal): Confirmation {
    const upstream = this.#parts.upstreamOf(source)
    if (upstream === undefined) throw new PlanRefusal(`there is no source ${source}`)
    return new Confirmation(upstream, signal)
  }
}

const WORDS: Readonly<Record<SyncPlanItemRow['rule'], string>> = {
  gone: 'upstream has it no longer',
  unselected: 'the filter does not select it any more',
  'repository-gone': 'upstream has its repository no longer',
}

/** Whoever copied or looked at it again since has taken the count away. */
function isDue({ missing }: { readonly missing?: { readonly passes: number } }): boolean {
  return missing !== undefined && missing.passes >= passesWanted
}

/** Of the filters, and of what they let go. */
function planFingerprintOf(source: SyncSourceConfig): string {
  const { removesUnselected } = source.prune
  return `${fingerprintOf(source)}${removesUnselected ? ' unselected' : ''}`
}

/** An operator has once said yes to a plan of this source. */
export function approvalOf({ name, url }: SyncSourceConfig): string {
  return `sync-prune ${name} ${url}`
}

function refusalOf(
  row: SyncPlanRow,
  source: SyncSourceConfig | undefined,
  isBusy: boolean,
): string | undefined {
  if (isBusy) return 'the plan is being applied'
  if (row.state === 'superseded') return 'a later full pass has looked again: take its plan'
  if (row.state === 'applied') return 'the plan was applied'
  if (source === undefined) return `there is no source ${row.source} any more`
  if (!source.prune.isEnabled) return `pruning is off for ${row.source}`
  if (row.fingerprint !== planFingerprintOf(source)) return 'the filters have changed since'
  return undefined
}

export function noCounts() {
  return { deleted: 0, attached: 0, back: 0, changed: 0, protected: 0, unknown: 0 }
}
