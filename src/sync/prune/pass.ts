/**
 * @module What a full pass has missed: tags of the source's own that upstream does not list. It counts them in
 * the journal, and says of each repository what may go. Nothing is deleted here, and nothing is asked.
 */
import type { SyncSourceConfig } from '../../config/config.ts'
import type { MetadataReader } from '../../metadata/port.ts'
import type { SyncMissing, SyncPlanItemRow, SyncTagRow } from '../../metadata/rows/upstream.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { SyncJournal } from '../journal.ts'
import { RepositorySelection } from '../selection/repositories.ts'
import { followedDigest } from '../selection/tags.ts'
import { ownedTag } from './owned.ts'
import { planItemsMax } from './plans.ts'

/** Full passes in a row that have to miss a tag. */
export const passesWanted = 2

/** A listing that lacks more than this much of what is the source's own has shrunk. */
const shrinkPercent = 50

/** What a full pass has seen of one repository that it wanted. */
export interface SeenRepository {
  /** Upstream's name. */
  readonly repository: string
  readonly local: RepositoryName
  /** `missing`: upstream says that there is no such repository. `unknown`: it was not listed to its end. */
  readonly listing: SeenTags | 'missing' | 'unknown'
}

/** A listing that is complete. */
export interface SeenTags {
  /** Every live tag. */
  readonly listed: Names
  /** Those of them that the filter selects. */
  readonly selected: Names
}

export type Names = Pick<ReadonlySet<string>, 'has' | 'size'>

/** The names of a listing as the pass asks for them: of those that the journal knows, which they lack. */
export async function compactNames(
  journal: SyncJournal,
  source: string,
  repository: string,
  listed: Names,
  selected: Names,
): Promise<SeenTags> {
  const gone = new Set<string>()
  const unselected = new Set<string>()
  // What is not written yet was looked at in this run, so it was listed.
  for await (const { tag } of journal.storedTags(source, repository)) {
    if (!listed.has(tag)) gone.add(tag)
    else if (!selected.has(tag)) unselected.add(tag)
  }
  return {
    listed: { has: (tag) => !gone.has(tag), size: listed.size },
    selected: {
      has: (tag) => !gone.has(tag) && !unselected.has(tag),
      size: selected.size,
    },
  }
}

/** What a repository lacks. */
export interface MissedRepository {
  readonly repository: string
  readonly isGone: boolean
  /** Tags of the source's own, without those that are attached to others. */
  readonly owned: number
  /** Of these: the listing has lost more than half of them. */
  readonly hasShrunk: boolean
  /** Missed often enough. */
  readonly due: readonly SyncPlanItemRow[]
}

export interface Missed {
  readonly repositories: readonly MissedRepository[]
  /** More than half of the repositories that have something of the source's own are not listed. */
  readonly hasListShrunk: boolean
  /** Some are left for the next plan. */
  readonly isCut: boolean
}

export interface PassParts {
  readonly metadata: MetadataReader
  readonly journal: SyncJournal
  readonly clock: Clock
}

type Kind = 'gone' | NonNullable<SyncMissing['kind']>

const RULES = {
  gone: 'gone',
  unselected: 'unselected',
  repository: 'repository-gone',
} as const satisfies Record<Kind, SyncPlanItemRow['rule']>

export class PrunePass {
  readonly #parts: PassParts
  readonly #source: SyncSourceConfig
  readonly #selection: RepositorySelection
  readonly #seen = new Set<string>()
  readonly #missed: MissedRepository[] = []
  /** Of which this pass says nothing. */
  readonly #unknown: string[] = []
  readonly #waiting: ReadonlySet<string>
  #known = 0
  #unlisted = 0
  #due = 0

  /** `waiting`: repositories of which a plan waits that this pass makes old. */
  constructor(parts: PassParts, source: SyncSourceConfig, waiting: ReadonlySet<string>) {
    this.#parts = parts
    this.#source = source
    this.#waiting = waiting
    this.#selection = new RepositorySelection(source)
  }

  /** Counts what the repository lacks. */
  async see({ repository, local, listing }: SeenRepository): Promise<void> {
    this.#seen.add(repository)
    if (listing === 'missing') return this.#judge(repository, () => 'repository')
    // A list without an entry is more often a fault than a truth.
    if (listing === 'unknown' || listing.listed.size === 0) {
      // Most repositories of most runs: their rows are read only where a plan has some of them.
      if (this.#waiting.has(repository)) return this.#carry(repository)
      this.#unknown.push(repository)
      return
    }
    const { listed, selected } = listing
    const kindOf = (tag: string) => {
      if (!listed.has(tag)) return 'gone'
      return selected.has(tag) ? undefined : 'unselected'
    }
    return this.#judge(repository, kindOf, local)
  }

  /** The list of repositories was complete: what it had not, upstream has not. */
  async end(): Promise<Missed> {
    const { journal } = this.#parts
    if (this.#seen.size > 0) {
      for await (const { repository } of journal.repositories(this.#source.name)) {
        if (this.#seen.has(repository)) continue
        const kind = this.#selection.isSelected(repository) ? 'repository' : 'unselected'
        await this.#judge(repository, () => kind)
      }
    }
    await journal.flush()
    if (this.#unlisted > 0) {
      for (const repository of this.#unknown) if (await this.#hasOwned(repository)) this.#known += 1
    }
    const hasListShrunk = this.#unlisted * 100 > this.#known * shrinkPercent
    return { repositories: this.#missed, hasListShrunk, isCut: this.#due > planItemsMax }
  }

  /** Other filters: what was counted says nothing any more. */
  async forget(): Promise<void> {
    const { journal } = this.#parts
    const { name: source } = this.#source
    for await (const { repository } of journal.repositories(source)) {
      for await (const { tag, row } of journal.tags(source, repository)) {
        await this.#count({ repository, tag, row }, undefined)
      }
    }
    await journal.flush()
  }

  async #hasOwned(repository: string): Promise<boolean> {
    const { journal, metadata } = this.#parts
    const { name: source } = this.#source
    for await (const { tag, row } of journal.storedTags(source, repository)) {
      if (followedDigest(tag) === undefined && ownedTag(metadata, source, tag, row)) return true
    }
    return false
  }

  /** What earlier passes have missed often enough is due still. */
  async #carry(repository: string): Promise<void> {
    const { journal, metadata } = this.#parts
    const due: SyncPlanItemRow[] = []
    let owned = 0
    let gone = 0
    for await (const { tag, row } of journal.storedTags(this.#source.name, repository)) {
      const isOwned = ownedTag(metadata, this.#source.name, tag, row) !== undefined
      if (followedDigest(tag) !== undefined || !isOwned) continue
      owned += 1
      const { kind = 'gone', passes = 0 } = row.missing ?? {}
      if (passes < passesWanted) continue
      if (kind !== 'unselected') gone += 1
      this.#add(due, { repository, tag, row }, kind)
    }
    this.#missing(repository, due, { owned, gone, isGone: false })
  }

  /** `kindOf`: why a tag is missed. */
  async #judge(
    repository: string,
    kindOf: (tag: string) => Kind | undefined,
    local?: RepositoryName,
  ): Promise<void> {
    const { journal, metadata } = this.#parts
    const { name: source } = this.#source
    const due: SyncPlanItemRow[] = []
    let owned = 0
    let gone = 0
    let isGone = false
    for await (const { tag, row } of journal.tags(source, repository)) {
      // What is attached follows its subject. What lies elsewhere by now is of another mapping.
      if (followedDigest(tag) !== undefined) continue
      if (local !== undefined && row.local !== local) continue
      const isOwned = ownedTag(metadata, source, tag, row) !== undefined
      if (isOwned) owned += 1
      const kind = isOwned ? this.#wanted(kindOf(tag)) : undefined
      const passes = await this.#count({ repository, tag, row }, kind)
      if (kind === 'gone' || kind === 'repository') gone += 1
      if (kind === 'repository') isGone = true
      if (kind !== undefined && passes >= passesWanted)
        this.#add(due, { repository, tag, row }, kind)
    }
    this.#missing(repository, due, { owned, gone, isGone })
  }

  #missing(
    repository: string,
    due: readonly SyncPlanItemRow[],
    { owned, gone, isGone }: { owned: number; gone: number; isGone: boolean },
  ): void {
    if (owned === 0) return
    this.#known += 1
    if (isGone) this.#unlisted += 1
    const hasShrunk = gone * 100 > owned * shrinkPercent
    if (due.length > 0) this.#missed.push({ repository, isGone, owned, hasShrunk, due })
  }

  #wanted(kind: Kind | undefined): Kind | undefined {
    return kind === 'unselected' && !this.#source.prune.removesUnselected ? undefined : kind
  }

  #add(due: SyncPlanItemRow[], { repository, tag, row }: Counted, kind: Kind): void {
    this.#due += 1
    if (this.#due > planItemsMax) return
    due.push({ repository, local: row.local, tag, digest: row.wrote!, rule: RULES[kind] })
  }

  /** Passes in a row that have missed it for this reason. */
  async #count({ repository, tag, row }: Counted, kind: Kind | undefined): Promise<number> {
    const { journal, clock } = this.#parts
    const it = { source: this.#source.name, repository, tag }
    const { missing, ...rest } = row
    if (kind === undefined) {
      if (missing !== undefined) await journal.noteTag(it, rest)
      return 0
    }
    const isSame = (missing?.kind ?? 'gone') === kind
    const before = isSame ? (missing?.passes ?? 0) : 0
    // Nothing is to be learned from more.
    if (before >= passesWanted) return before
    const since = isSame && missing !== undefined ? missing.since : clock.now()
    const passes = before + 1
    const told = missing?.isTold === true ? { isTold: true as const } : {}
    const now = { since, passes, ...(kind === 'gone' ? told : { kind }) }
    await journal.noteTag(it, { ...rest, missing: now })
    return passes
  }
}

interface Counted {
  readonly repository: string
  readonly tag: string
  readonly row: SyncTagRow
}
