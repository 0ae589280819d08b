/**
 * @module Which tags of one repository are copied, in this order:
 *
 *   include and semver ── exclude wins ── age ── newest N ── enough of them?
 *
 * Tags named after a digest (`sha256-<hex>`, `.sig`, `.att`, `.sbom` …) never take part: they follow their
 * subject. Each tag gets a verdict with the rule that decided. Memory is one verdict a tag of the one
 * repository; listings beyond `repositoryTagsMax` are refused.
 */
import type { SyncTagsConfig } from '../../config/config.ts'
import { fallbackTagOf, namesakeOf } from '../../registry/named-tag.ts'
import type { Pattern } from '../../registry/pattern.ts'
import { parseTag, type Tag } from '../../registry/tag.ts'
import { parseVersionRange, type VersionRange } from '../../registry/version-range.ts'
import { nextTurn } from '../../runtime/next-turn.ts'
import { type ListedTag, SyncError } from '../port.ts'
import { eachInTurns, keepNewest, type TagOrder, tagsPerTurn } from './newest.ts'
import { compilePatterns } from './repositories.ts'

/** Most tags of one repository that are looked at: all of them are held until the last page. */
export const repositoryTagsMax = 1_000_000

export type TagRule =
  | 'selected'
  /** No pattern of `include` fits. */
  | 'include'
  | 'semver'
  | 'exclude'
  | 'max-age'
  | 'newest'
  /** Named after a digest: it follows its subject. */
  | 'attached'
  /** No tag by the grammar: skipped and counted. */
  | 'bad-name'

export interface TagVerdict {
  readonly listed: ListedTag
  readonly rule: TagRule
  /** The pattern or range that decided. */
  readonly by?: string
}

/** A verdict of a tag that is copied: its name was checked. */
export interface SelectedTag {
  readonly tag: Tag
  readonly listed: ListedTag
}

export interface TagSelection {
  /** As the source lists them; with `newest`, the newest first. Empty when `isShort`. */
  readonly selected: readonly SelectedTag[]
  /** Of every listed tag, in the order of the listing. */
  readonly verdicts: readonly TagVerdict[]
  /** What `newest` went by; undefined: nothing had to be ordered. */
  readonly order: TagOrder | undefined
  /** Fewer than `min` would be copied, so none is. */
  readonly isShort: boolean
  /** Patterns of `include` that no tag fits: worth a warning. */
  readonly unmatched: readonly string[]
  /** Tags without a time that `max_age` could not judge, and therefore keeps. */
  readonly unknownAges: number
}

/** The digest that a tag is named after and follows; undefined: the tag takes part in the filters. */
export function followedDigest(tag: string): string | undefined {
  const digest = namesakeOf(tag)
  if (digest === undefined) return undefined
  const end = fallbackTagOf(digest).length
  return end === tag.length || tag[end] === '.' ? digest : undefined
}

export class TagFilter {
  readonly #config: SyncTagsConfig
  readonly #include: readonly { readonly text: string; readonly fits: Pattern }[]
  readonly #exclude: readonly { readonly text: string; readonly fits: Pattern }[]
  readonly #range: VersionRange | undefined

  /** Throws on patterns and ranges that were not checked before. */
  constructor(config: SyncTagsConfig) {
    this.#config = config
    this.#include = compilePatterns(config.include)
    this.#exclude = compilePatterns(config.exclude)
    if (config.semver === undefined) return
    const range = parseVersionRange(config.semver)
    if (!range.ok) throw new TypeError(`range ${config.semver}: ${range.error}`)
    this.#range = range.value
  }

  /** Whether each tag is decided by itself, so that copying may begin with the first page. */
  get isImmediate(): boolean {
    return this.#config.newest === 0 && this.#config.min === 0
  }

  /**
   * Whether a part of the tags says nothing. Of a source that tells times, those that were set since some
   * time are newer than all others, so the newest of them are the newest of all.
   */
  needsAllTags(tellsTimes: boolean): boolean {
    return this.#config.min > 0 || (this.#config.newest > 0 && !tellsTimes)
  }

  /** All rules that look at one tag alone. `now`: ms since 1970 by the source's clock. */
  judge(listed: ListedTag, now: number): TagVerdict {
    const { tag, pushedAt } = listed
    if (!parseTag(tag).ok) return { listed, rule: 'bad-name' }
    if (followedDigest(tag) !== undefined) return { listed, rule: 'attached' }
    const included = this.#include.find(({ fits }) => fits(tag))
    if (included === undefined && this.#include.length > 0) return { listed, rule: 'include' }
    const { semver, maxAgeMs } = this.#config
    if (this.#range?.(tag) === false) return { listed, rule: 'semver', by: semver! }
    const excluded = this.#exclude.find(({ fits }) => fits(tag))
    if (excluded !== undefined) return { listed, rule: 'exclude', by: excluded.text }
    const isOld = maxAgeMs > 0 && pushedAt !== undefined && pushedAt < now - maxAgeMs
    if (isOld) return { listed, rule: 'max-age' }
    const by = included?.text ?? semver
    return { listed, rule: 'selected', ...(by === undefined ? {} : { by }) }
  }

  /**
   * All rules, over all pages; in short turns, however long a page is. Throws a `SyncError` for a listing
   * without end, and what the pages throw.
   */
  async select(pages: AsyncIterable<readonly ListedTag[]>, now: number): Promise<TagSelection> {
    const verdicts: TagVerdict[] = []
    const unmatched = new Set(this.#include)
    for await (const page of pages) {
      if (verdicts.length + page.length > repositoryTagsMax) {
        const message = `more than ${repositoryTagsMax} tags in one repository`
        throw new SyncError('incomplete-listing', message)
      }
      for (const listed of page) {
        const verdict = this.judge(listed, now)
        verdicts.push(verdict)
        // A pattern fits where it did not decide, too: the first that fits decides.
        const takesPart = verdict.rule !== 'bad-name' && verdict.rule !== 'attached'
        for (const one of unmatched) if (takesPart && one.fits(listed.tag)) unmatched.delete(one)
        if (verdicts.length % tagsPerTurn === 0) await nextTurn()
      }
    }
    const selection = await this.#finish(verdicts)
    return { ...selection, unmatched: [...unmatched].map(({ text }) => text) }
  }

  async #finish(judged: readonly TagVerdict[]): Promise<Omit<TagSelection, 'unmatched'>> {
    const { newest, min, maxAgeMs } = this.#config
    const candidates: TagVerdict[] = []
    let unknownAges = 0
    await eachInTurns(judged, (verdict) => {
      if (verdict.rule !== 'selected') return
      candidates.push(verdict)
      if (maxAgeMs > 0 && verdict.listed.pushedAt === undefined) unknownAges += 1
    })
    const isCut = newest > 0 && candidates.length > newest
    const { kept, order } = isCut
      ? await keepNewest(candidates, newest)
      : { kept: candidates, order: undefined }
    const isShort = kept.length < min
    const selected: SelectedTag[] = []
    if (!isShort) {
      await eachInTurns(kept, ({ listed }) => {
        selected.push({ tag: tagOf(listed), listed })
      })
    }
    const verdicts = isCut ? await cutOff(judged, kept) : judged
    return { selected, verdicts, order, isShort, unknownAges }
  }
}

async function cutOff(
  judged: readonly TagVerdict[],
  kept: readonly TagVerdict[],
): Promise<readonly TagVerdict[]> {
  const stays = new Set<TagVerdict>()
  await eachInTurns(kept, (verdict) => {
    stays.add(verdict)
  })
  const verdicts: TagVerdict[] = []
  await eachInTurns(judged, (verdict) => {
    const isCutOff = verdict.rule === 'selected' && !stays.has(verdict)
    verdicts.push(isCutOff ? { listed: verdict.listed, rule: 'newest' } : verdict)
  })
  return verdicts
}

function tagOf({ tag }: ListedTag): Tag {
  const parsed = parseTag(tag)
  if (!parsed.ok) throw parsed.error
  return parsed.value
}
