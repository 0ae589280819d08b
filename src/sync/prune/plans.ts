/**
 * @module Plans of what a sync would delete: a row with the sums, and a row for each tag. Made by a full pass,
 * read by operators, applied at most once. They are in the metadata, so any node can show and apply them.
 */
import type { MetadataStore } from '../../metadata/port.ts'
import { RowIds } from '../../metadata/row-ids.ts'
import type { SyncPlanItemRow, SyncPlanRow } from '../../metadata/rows/upstream.ts'
import type { Change } from '../../metadata/transaction.ts'
import { BoundedMap } from '../../runtime/bounded-map.ts'
import type { Clock } from '../../runtime/clock.ts'

/** Plans that are kept of all sources; the oldest go. */
const plansKeptMax = 200

/** Tags of one plan; what is beyond waits for the next one. */
export const planItemsMax = 100_000

/** Plans of which the repositories are kept in memory. */
const openMax = 16

/** Rows written or deleted in one transaction. */
const rowsAtOnce = 500

export interface NumberedPlan {
  readonly id: string
  readonly row: SyncPlanRow
}

export class PrunePlans {
  readonly #metadata: MetadataStore
  readonly #storeOf: (source: string) => MetadataStore
  readonly #ids: RowIds
  readonly #repositories = new BoundedMap<string, ReadonlySet<string>>(openMax)

  /** `storeOf`: through which plans of a source are written. */
  constructor(
    metadata: MetadataStore,
    clock: Clock,
    storeOf: (source: string) => MetadataStore = () => metadata,
  ) {
    this.#metadata = metadata
    this.#storeOf = storeOf
    this.#ids = new RowIds(metadata, 'syncPlans', clock)
  }

  get(id: string): SyncPlanRow | undefined {
    return this.#metadata.get('syncPlans', id)
  }

  /** Newest first. */
  list(): NumberedPlan[] {
    const rows = this.#metadata.entriesBackward('syncPlans', [], undefined, plansKeptMax * 2)
    return rows.map(({ key, row }) => ({ id: key, row }))
  }

  /** Up to `limit` items after a cursor, and the cursor of the next page. */
  items(
    id: string,
    after: string | undefined,
    limit: number,
  ): { readonly items: SyncPlanItemRow[]; readonly next: string | undefined } {
    const rows = this.#metadata.entries('syncPlanItems', [id], after, limit)
    const next = rows.length < limit ? undefined : rows.at(-1)!.key[1]
    return { items: rows.map(({ row }) => row), next }
  }

  /** Writes a plan with its items. Until the last one is written it counts as superseded. */
  async create(row: SyncPlanRow, items: readonly SyncPlanItemRow[]): Promise<string> {
    const id = this.#ids.next()
    await this.put(id, { ...row, state: 'superseded' })
    for (let start = 0; start < items.length; start += rowsAtOnce) {
      const some = items.slice(start, start + rowsAtOnce)
      await this.#commit(
        this.#storeOf(row.source),
        some.map((item, index): Change => {
          const key = [id, String(start + index).padStart(8, '0')] as const
          return { change: 'put', in: 'syncPlanItems', key, row: item }
        }),
      )
    }
    await this.put(id, row)
    return id
  }

  async put(id: string, row: SyncPlanRow): Promise<void> {
    await this.#commit(this.#storeOf(row.source), [
      { change: 'put', in: 'syncPlans', key: id, row },
    ])
  }

  /** Takes a plan for applying, with what belongs to that; false when it has changed meanwhile. */
  async claim(id: string, row: SyncPlanRow, more: readonly Change[]): Promise<boolean> {
    const { applied } = await this.#metadata.commit({
      checks: [{ check: 'unchanged', in: 'syncPlans', key: id, row }],
      changes: [
        { change: 'put', in: 'syncPlans', key: id, row: { ...row, state: 'applying' } },
        ...more,
      ],
    })
    return applied
  }

  /** Repositories of which a plan of the source waits. The items of one never change, so they are read once. */
  repositoriesOf(source: string): ReadonlySet<string> {
    const all = new Set<string>()
    const open = this.list().filter(({ row }) => row.source === source && isOpen(row))
    for (const { id } of open) {
      const known = this.#repositories.get(id) ?? this.#readRepositories(id)
      this.#repositories.set(id, known)
      for (const repository of known) all.add(repository)
    }
    return all
  }

  #readRepositories(id: string): ReadonlySet<string> {
    const found = new Set<string>()
    let after: string | undefined
    do {
      const page = this.items(id, after, rowsAtOnce)
      for (const { repository } of page.items) found.add(repository)
      after = page.next
    } while (after !== undefined)
    return found
  }

  /** A new full pass makes every plan of its source old that was not applied. */
  async supersede(source: string, isBusy: (id: string) => boolean): Promise<void> {
    for (const { id, row } of this.list()) {
      if (row.source !== source || !isOpen(row) || isBusy(id)) continue
      await this.#storeOf(source).commit({
        checks: [{ check: 'unchanged', in: 'syncPlans', key: id, row }],
        changes: [
          { change: 'put', in: 'syncPlans', key: id, row: { ...row, state: 'superseded' } },
        ],
      })
    }
  }

  /** Removes the oldest beyond the bound: first the items, so that none is left over. */
  async trim(isBusy: (id: string) => boolean): Promise<void> {
    for (const { id } of this.list().slice(plansKeptMax)) {
      if (isBusy(id)) continue
      while (true) {
        const keys = this.#metadata.keys('syncPlanItems', [id], undefined, rowsAtOnce)
        if (keys.length === 0) break
        const changes = keys.map((key) => ({ change: 'delete', in: 'syncPlanItems', key }) as const)
        await this.#commit(this.#metadata, changes)
      }
      await this.#commit(this.#metadata, [{ change: 'delete', in: 'syncPlans', key: id }])
    }
  }

  async #commit(store: MetadataStore, changes: readonly Change[]): Promise<void> {
    await store.commit({ checks: [], changes })
  }
}

function isOpen({ state }: SyncPlanRow): boolean {
  return state === 'ready' || state === 'stopped' || state === 'applying'
}
