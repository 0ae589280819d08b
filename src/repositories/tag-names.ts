/**
 * @module The tags of repositories that somebody looks at, in natural order and in memory: a page at any place of a
 * hundred thousand costs the page. A list is read once, follows every push and delete, and goes when others are
 * looked at. What a search finds is kept with it.
 */
import type { EffectListener } from '../metadata/effects.ts'
import type { MetadataReader } from '../metadata/port.ts'
import type { RepositoryName } from '../registry/name.ts'
import { parseTag, type Tag } from '../registry/tag.ts'
import { nextTurn } from '../runtime/next-turn.ts'
import { compareNaturally, placeOf, sortNaturally } from './natural-order.ts'
import { namesPerTurn, type Search } from './ordered-list.ts'

/** Tags of one repository that are kept so, and of all of them. */
export const tagNamesMax = 250_000
const keptNamesMax = 500_000
const repositoriesMax = 64

/** Searches of one repository whose finds are kept. */
const searchesMax = 8

/** Changes that wait for the next look; beyond them the list is read again. */
const changesMax = 20_000
/** So few are put into the list one by one. */
const fewChanges = 16

class KeptNames {
  names: readonly Tag[] = []
  /** By the text of the search. */
  readonly found = new Map<string, readonly Tag[]>()
  /** Tags that have changed since the last look. */
  readonly changed = new Set<Tag>()
  reading: Promise<void> | undefined
}

export class TagNames {
  readonly #metadata: MetadataReader
  /** The one that was looked at last comes last. */
  readonly #kept = new Map<RepositoryName, KeptNames>()

  constructor(metadata: MetadataReader) {
    this.#metadata = metadata
  }

  /** Costs a push next to nothing: what it has changed is looked at by the next who wants the list. */
  readonly effects: EffectListener = {
    tag: (repository, text) => {
      const kept = this.#kept.get(repository)
      const tag = kept && parseTag(text)
      if (kept === undefined || tag?.ok !== true) return
      kept.changed.add(tag.value)
      if (kept.changed.size > changesMax) this.#kept.delete(repository)
    },
  }

  /** Forgets all of it: nobody learned what has changed. */
  clear(): void {
    this.#kept.clear()
  }

  /** All tags, or those that a search finds; undefined: there are too many to be kept. The list must not be changed. */
  async list(
    repository: RepositoryName,
    search: Search | undefined,
  ): Promise<readonly Tag[] | undefined> {
    const count = this.#metadata.get('repositorySums', repository)?.tags ?? 0
    if (count > tagNamesMax) return undefined
    const kept = this.#keptOf(repository)
    await kept.reading
    this.#follow(repository, kept)
    const { names, found } = kept
    if (search === undefined) return names
    const known = found.get(search.text)
    if (known !== undefined) return known
    const fitting = await filter(names, search)
    if (names === kept.names) {
      if (found.size >= searchesMax) found.clear()
      found.set(search.text, fitting)
    }
    return fitting
  }

  #keptOf(repository: RepositoryName): KeptNames {
    const before = this.#kept.get(repository)
    const kept = before ?? new KeptNames()
    this.#kept.delete(repository)
    this.#kept.set(repository, kept)
    if (before === undefined) {
      kept.reading = this.#read(repository, kept).catch((error: unknown) => {
        if (this.#kept.get(repository) === kept) this.#kept.delete(repository)
        throw error
      })
      kept.reading.catch(() => undefined)
    }
    return kept
  }

  async #read(repository: RepositoryName, kept: KeptNames): Promise<void> {
    const names: Tag[] = []
    let last: string | undefined
    while (true) {
      const keys = this.#metadata.keys('tags', [repository], last, namesPerTurn)
      for (const [, tag] of keys) names.push(tag)
      if (keys.length < namesPerTurn || names.length > tagNamesMax) break
      last = keys.at(-1)![1]
      await nextTurn()
    }
    kept.names = await sortNaturally(names)
    kept.reading = undefined
    this.#forgetSome()
  }

  /** Each tag that has changed is there or not: the list says the same. */
  #follow(repository: RepositoryName, kept: KeptNames): void {
    if (kept.changed.size === 0) return
    const { names } = kept
    const added: Tag[] = []
    const gone = new Set<Tag>()
    for (const tag of kept.changed) {
      const wasHere = names[placeOf(names, tag)] === tag
      const isHere = this.#metadata.get('tags', [repository, tag]) !== undefined
      if (wasHere && !isHere) gone.add(tag)
      else if (isHere && !wasHere) added.push(tag)
    }
    kept.changed.clear()
    if (added.length + gone.size === 0) return
    const next = gone.size === 0 ? [...names] : names.filter((tag) => !gone.has(tag))
    if (added.length <= fewChanges) for (const tag of added) next.splice(placeOf(next, tag), 0, tag)
    else next.push(...added)
    kept.names = added.length <= fewChanges ? next : next.sort(compareNaturally)
    kept.found.clear()
  }

  #forgetSome(): void {
    let sum = 0
    for (const { names } of this.#kept.values()) sum += names.length
    for (const [repository, { names, reading }] of this.#kept) {
      if (sum <= keptNamesMax && this.#kept.size <= repositoriesMax) return
      if (reading !== undefined) continue
      this.#kept.delete(repository)
      sum -= names.length
    }
  }
}

async function filter(names: readonly Tag[], search: Search): Promise<readonly Tag[]> {
  const found: Tag[] = []
  for (const [index, name] of names.entries()) {
    if (search.fits(name)) found.push(name)
    if (index % namesPerTurn === namesPerTurn - 1) await nextTurn()
  }
  return found
}
