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
import { compareVersions, parseVersion, type Version } from '../../registry/semver.ts'
import { parseTag, type Tag } from '../../registry/tag.ts'
import { parseVersionRange, type VersionRange } from '../../registry/version-range.ts'
import { type ListedTag, SyncError } from '../port.ts'
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

/** The time of the push, else the version (what is none comes last, by name), else the name. */
export type TagOrder = 'pushed' | 'version' | 'name'

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

  /** All rules, over all pages. Throws a `SyncError` for a listing without end, and what the pages throw. */
  async select(pages: AsyncIterable<readonly ListedTag[]>, now: number): Promise<TagSelection> {
    const verdicts: TagVerdict[] = []
    for await (const page of pages) {
      if (verdicts.length + page.length > repositoryTagsMax) {
        const message = `more than ${repositoryTagsMax} tags in one repository`
        throw new SyncError('incomplete-listing', message)
      }
      for (const listed of page) verdicts.push(this.judge(listed, now))
    }
    return this.#finish(verdicts)
  }

  #finish(judged: readonly TagVerdict[]): TagSelection {
    const { newest, min, maxAgeMs } = this.#config
    const candidates = judged.filter(({ rule }) => rule === 'selected')
    const isCut = newest > 0 && candidates.length > newest
    const order = isCut ? orderOf(candidates) : undefined
    const kept = order === undefined ? candidates : inOrder(candidates, order).slice(0, newest)
    const isShort = kept.length < min
    const stays = new Set(kept)
    const verdicts = judged.map((verdict): TagVerdict => {
      const isCutOff = verdict.rule === 'selected' && !stays.has(verdict)
      return isCutOff ? { listed: verdict.listed, rule: 'newest' } : verdict
    })
    return {
      selected: isShort ? [] : kept.map(({ listed }) => ({ tag: tagOf(listed), listed })),
      verdicts,
      order,
      isShort,
      unmatched: this.#unmatched(judged),
      unknownAges:
        maxAgeMs === 0
          ? 0
          : candidates.filter(({ listed }) => listed.pushedAt === undefined).length,
    }
  }

  /** A pattern fits where it did not decide, too: the first that fits decides. */
  #unmatched(judged: readonly TagVerdict[]): readonly string[] {
    const taking = judged.filter(({ rule }) => rule !== 'bad-name' && rule !== 'attached')
    return this.#include
      .filter(({ fits }) => !taking.some(({ listed }) => fits(listed.tag)))
      .map(({ text }) => text)
  }
}

function tagOf({ tag }: ListedTag): Tag {
  const parsed = parseTag(tag)
  if (!parsed.ok) throw parsed.error
  return parsed.value
}

/** Times only when all have one: a tag without would be older or newer than all others by chance. */
function orderOf(candidates: readonly TagVerdict[]): TagOrder {
  if (candidates.every(({ listed }) => listed.pushedAt !== undefined)) return 'pushed'
  return candidates.some(({ listed }) => parseVersion(listed.tag) !== undefined)
    ? 'version'
    : 'name'
}

interface Ranked {
  readonly verdict: TagVerdict
  readonly pushedAt: number
  readonly version: Version | undefined
}

/** The newest first. Equal times, such as those of one second, by version and name: always the same. */
function inOrder(candidates: readonly TagVerdict[], order: TagOrder): readonly TagVerdict[] {
  const ranked = candidates.map((verdict): Ranked => {
    const { tag, pushedAt } = verdict.listed
    return {
      verdict,
      pushedAt: order === 'pushed' ? (pushedAt ?? 0) : 0,
      version: order === 'name' ? undefined : parseVersion(tag),
    }
  })
  return ranked.sort(newestFirst).map(({ verdict }) => verdict)
}

function newestFirst(one: Ranked, other: Ranked): number {
  if (one.pushedAt !== other.pushedAt) return other.pushedAt - one.pushedAt
  if (one.version !== undefined && other.version !== undefined) {
    const order = compareVersions(other.version, one.version)
    if (order !== 0) return order
  } else if (one.version !== other.version) {
    return one.version === undefined ? 1 : -1
  }
  const [name, otherName] = [one.verdict.listed.tag, other.verdict.listed.tag]
  return name === otherName ? 0 : name < otherName ? 1 : -1
}
