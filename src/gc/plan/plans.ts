/**
 * @module Plans: a row with the sums, a file with the items. Made by a walk, read by people, applied
 * at most once.
 */

import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { MemberRun } from '../../jobs/leads.ts'
import { recordEvent } from '../../metadata/edits.ts'
import type { MetadataStore } from '../../metadata/port.ts'
import { idTime, RowIds } from '../../metadata/row-ids.ts'
import type { PlanRow } from '../../metadata/rows/jobs.ts'
import type { Change } from '../../metadata/transaction.ts'
import { RegistryError } from '../../registry/errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import { disk } from '../../runtime/disk.ts'
import { readPlan } from './file.ts'
import type { PlanItem } from './item.ts'

/** Plans that are kept; the oldest go. */
const plansKeptMax = 50

/** A plan's file may be without its row for so long, ms: the row comes when all items are written. */
const fileKeptMs = 24 * 60 * 60_000

/** `plans/` below `storage.path`: `<plan id>` is what a collection would remove or did, line by line. */
export function plansFolder(storagePath: string): string {
  return join(storagePath, 'plans')
}

export interface PlansOptions {
  readonly metadata: MetadataStore
  /** `storage.path`; the files of plans are in a folder of their own there. */
  readonly path: string
  readonly clock: Clock
  /** Of a mesh: this node's run. A plan says which member has its file. */
  readonly run?: (() => MemberRun | undefined) | undefined
}

export class Plans {
  readonly #options: PlansOptions
  readonly #ids: RowIds
  readonly #folder: string

  /** Makes the folder of the plans where there is none. */
  constructor(options: PlansOptions) {
    this.#options = options
    this.#folder = plansFolder(options.path)
    mkdirSync(this.#folder, { recursive: true, mode: 0o750 })
    this.#ids = new RowIds(options.metadata, 'plans', options.clock)
  }

  newId(): string {
    return this.#ids.next()
  }

  path(id: string): string {
    return join(this.#folder, id)
  }

  get(id: string): PlanRow | undefined {
    return this.#options.metadata.get('plans', id)
  }

  async put(id: string, row: PlanRow): Promise<void> {
    const whose = row.member === undefined ? { ...row, ...this.#options.run?.() } : row
    await this.#options.metadata.commit({
      checks: [],
      changes: [{ change: 'put', in: 'plans', key: id, row: whose }],
    })
  }

  /** Throws PLAN_UNKNOWN when the items are on the disk of another member of the mesh, which made the plan. */
  requireHere({ member }: PlanRow): void {
    const run = this.#options.run?.()
    if (run === undefined || member === undefined || member === run.member) return
    const message = `the items of the plan are on node ${member} of the mesh: ask that one`
    throw new RegistryError('PLAN_UNKNOWN', { message, detail: { member } })
  }

  /** Takes a plan of this node that is ready for applying; as it was. Throws PLAN_UNKNOWN and PLAN_SPENT. */
  async take(id: string): Promise<PlanRow> {
    const row = this.get(id)
    if (row === undefined) throw new RegistryError('PLAN_UNKNOWN')
    this.requireHere(row)
    const detail = { plan: id }
    if (row.state !== 'ready') {
      const message = `the plan is ${row.state} already`
      throw new RegistryError('PLAN_SPENT', { message, detail })
    }
    if (!(await this.#claim(id, row))) throw new RegistryError('PLAN_SPENT', { detail })
    return row
  }

  /** False when its row has changed. */
  async #claim(id: string, row: PlanRow): Promise<boolean> {
    const { applied } = await this.#options.metadata.commit({
      checks: [{ check: 'unchanged', in: 'plans', key: id, row }],
      changes: [{ change: 'put', in: 'plans', key: id, row: { ...row, state: 'applying' } }],
    })
    return applied
  }

  /** Newest first. */
  list(): { readonly id: string; readonly row: PlanRow }[] {
    const rows = this.#options.metadata.entries('plans', [], undefined, plansKeptMax * 4)
    return rows.map(({ key, row }) => ({ id: key, row })).reverse()
  }

  /** Up to `limit` items from a byte of the file on, and where the next page begins. */
  async items(
    id: string,
    offset: number,
    limit: number,
  ): Promise<{ readonly items: PlanItem[]; readonly next: number | undefined }> {
    const items: PlanItem[] = []
    let next = offset
    for await (const { item, end } of readPlan(this.path(id), offset)) {
      if (items.length === limit) return { items, next }
      items.push(item)
      next = end
    }
    return { items, next: undefined }
  }

  /** Removes the oldest beyond the bound. Their files go first: a row without one is harmless. */
  async prune(): Promise<void> {
    const old = this.list().filter(({ row }) => row.state !== 'applying')
    for (const { id } of old.slice(plansKeptMax)) {
      await disk.unlink(this.path(id))
      await this.#options.metadata.commit({
        checks: [],
        changes: [{ change: 'delete', in: 'plans', key: id }],
      })
    }
    if (this.#options.run !== undefined) await this.#dropFiles()
  }

  /** In a mesh another node may have removed the rows of plans of this one. A young one has no row yet. */
  async #dropFiles(): Promise<void> {
    const before = this.#options.clock.now() - fileKeptMs
    for (const id of readdirSync(this.#folder)) {
      const madeAt = idTime(id)
      if (madeAt === undefined || madeAt >= before || this.get(id) !== undefined) continue
      await disk.unlink(this.path(id))
    }
  }

  /**
   * The plan is applied: on disk with an event and, when somebody asked for this very plan, with his
   * yes to the rules in it.
   */
  async finish(
    id: string,
    row: PlanRow,
    { kind, by }: { readonly kind: 'run' | 'plan' | 'apply'; readonly by: string },
  ): Promise<void> {
    const { metadata, clock } = this.#options
    const at = clock.now()
    const rules = kind === 'apply' ? row.rules : []
    const items = Object.values(row.counts).reduce((sum, count) => sum + count, 0)
    const changes: Change[] = rules.map((key) => ({ change: 'put', in: 'approvals', key, row: at }))
    changes.push({
      change: 'put',
      in: 'plans',
      key: id,
      row: { ...row, state: 'applied', appliedAt: at },
    })
    if (items > 0) {
      const why = `plan ${id}: ${items} items`
      changes.push(recordEvent({ at, action: 'plan-applied', repository: '', by, why }))
    }
    await metadata.commit({ checks: [], changes })
  }
}
