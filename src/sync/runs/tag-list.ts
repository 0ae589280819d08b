/**
 * @module The tags of one repository in a run: listed, filtered, and which of them need work. Nothing is
 * written.
 */

import type { SyncTagRow } from '../../metadata/rows/upstream.ts'
import type { Digest } from '../../registry/digest.ts'
import { namesakeOf } from '../../registry/named-tag.ts'
import { parseTag, type Tag } from '../../registry/tag.ts'
import { retryMsMax } from '../copy/copier.ts'
import { isWantedTag } from '../copy/kinds.ts'
import { lateTags } from '../copy/late.ts'
import type { AttachedWanted } from '../copy/outcome.ts'
import { type ListedTag, SyncError } from '../port.ts'
import type { TagSelection } from '../selection/tags.ts'
import type { RunParts } from './parts.ts'
import { freshMs, type Place } from './place.ts'

/** A listing that ends with fewer is whole, wherever it was asked to end. */
const cutFromTags = 100

export interface TagList {
  readonly selected: TagSelection['selected']
  /** Fewer are selected than there have to be. */
  readonly isShort: boolean
  readonly unmatched: readonly string[]
  /** Names that are none here. */
  readonly badNames: number
  /** Live tags upstream, of those that were asked for. */
  readonly count: number
  /** Their names, where a deletion may rest on them. */
  readonly names: ReadonlySet<string> | undefined
  /** Tags that are named after a digest. Undefined: some may lie before the times that were listed. */
  readonly named: ReadonlyMap<Tag, Digest | undefined>
  readonly isNamedWhole: boolean
  /** Tags whose image has got something new attached. */
  readonly late: ReadonlySet<Tag>
  /** The time of the latest push, by the source. */
  readonly newest: number | undefined
  readonly isFull: boolean
}

/** Every page of a list is held by somebody. */
export type Held = <T>(pages: AsyncIterable<readonly T[]>) => AsyncIterable<readonly T[]>

/** Throws as the source does; `suspicious-listing` for nothing where there was something. */
export async function listTags(
  parts: RunParts,
  place: Place,
  signal: AbortSignal,
  held: Held = (pages) => pages,
): Promise<TagList> {
  const first = await select(parts, place, signal, held)
  const isEmpty = place.since === undefined && first.verdicts.length === 0
  // A source that says when the last tag was set says by 0 that there is none.
  const isSuspect = isEmpty && place.changedAt !== 0 && (await hasContent(parts, place))
  if (!isSuspect) return await finish(parts, place, first)
  await parts.upstream.probe(signal)
  const second = await select(parts, place, signal, held)
  if (second.verdicts.length > 0) return await finish(parts, place, second)
  const message = `upstream lists no tags of ${place.repository}, of which there were some`
  throw new SyncError('suspicious-listing', message, true)
}

function select(
  { upstream, filter, clock }: RunParts,
  { repository, since }: Place,
  signal: AbortSignal,
  held: Held,
): Promise<TagSelection> {
  const wanted = since === undefined ? { signal } : { since, signal }
  return filter.select(held(upstream.tags(repository, wanted)), clock.now())
}

/** Whether the source has copied a tag of it. */
export async function hasContent({ journal, config }: RunParts, place: Place): Promise<boolean> {
  for await (const { row } of journal.tags(config.name, place.repository)) {
    if (row.wrote !== undefined && row.outcome !== 'gone') return true
  }
  return false
}

/** Of each verdict, what the run needs: the rest of a long list is not held while it is copied. */
async function finish(parts: RunParts, place: Place, selection: TagSelection): Promise<TagList> {
  const { metadata, journal, config, prune, upstream } = parts
  const { repository, local, since, changedAt } = place
  const { verdicts, selected, isShort, unmatched } = selection
  const named = new Map<Tag, Digest | undefined>()
  const isNameNeeded = prune !== undefined || upstream.changes !== undefined
  const names = isNameNeeded ? new Set<string>() : undefined
  let newest = changedAt
  let badNames = 0
  for (const { listed, rule } of verdicts) {
    names?.add(listed.tag)
    if (listed.pushedAt !== undefined) newest = Math.max(newest ?? 0, listed.pushedAt)
    if (rule === 'bad-name') badNames += 1
    if (rule !== 'attached') continue
    const tag = parseTag(listed.tag)
    const subject = namesakeOf(listed.tag)
    if (!tag.ok || subject === undefined) continue
    if (isWantedTag(tag.value, subject, config.referrers)) named.set(tag.value, listed.digest)
  }
  const it = { source: config.name, repository, local, listing: named }
  const late =
    attachedBy(config) === 'none' ? new Set<Tag>() : await lateTags(metadata, journal, it)
  const isNamedWhole = since === undefined || verdicts.length < cutFromTags
  const count = verdicts.length
  const known = { named, isNamedWhole, late, newest, isFull: since === undefined }
  return { selected, isShort, unmatched, badNames, count, names, ...known }
}

/** What is copied beside images. */
function attachedBy({ referrers }: RunParts['config']): AttachedWanted {
  const { signatures, sboms, others } = referrers
  return signatures || sboms || others ? 'all' : 'none'
}

/** A tag to be copied, or to be looked at. */
export interface TagWork {
  readonly tag: Tag
  readonly listed: ListedTag
  /** Something was attached to it. */
  readonly isLate: boolean
  /** By upstream's history: no list says what it is. */
  readonly isTold: boolean
  /** For that alone: this listing does not have it. */
  readonly isExtra: boolean
}

/** Every selected tag, and those beside them that were signed since. `isTold`: the list is of a history. */
export function* worksOf(
  parts: RunParts,
  place: Place,
  list: TagList,
  isTold = false,
): Generator<TagWork> {
  const selected = new Set<Tag>()
  for (const { tag, listed } of list.selected) {
    selected.add(tag)
    const isLate = list.late.has(tag)
    yield { tag, listed, isLate, isTold: isLate && isTold, isExtra: false }
  }
  for (const tag of list.late) {
    if (selected.has(tag)) continue
    const { journal, config } = parts
    const row = journal.tag({ source: config.name, repository: place.repository, tag })
    if (row?.local !== place.local || row.upstream === undefined) continue
    const pushed = row.pushedAt === undefined ? {} : { pushedAt: row.pushedAt }
    // No list says it anew.
    const sparse = isSparse(row) ? { isSparse: true } : {}
    const listed = { tag, digest: row.upstream, ...pushed, ...sparse }
    yield { tag, listed, isLate: true, isTold, isExtra: true }
  }
}

function isSparse({ reason, isSparse }: SyncTagRow): boolean {
  return reason === 'sparse' || isSparse === true
}

export type TagState =
  /** It is here, and nothing is looked for. */
  | { readonly kind: 'settled' }
  /** Upstream has what was here before: it came from here, and is older. */
  | { readonly kind: 'echo' }
  /** It failed, and it is too early to try again. */
  | { readonly kind: 'too-early'; readonly row: SyncTagRow }
  | { readonly kind: 'due'; readonly attached: AttachedWanted }

/** Outcomes that stay as they are while upstream means the same by the tag. */
const HERE: ReadonlySet<string> = new Set(['copied', 'unchanged', 'referrers_updated'])

export interface StateHow {
  /** Ignores the wait after a failure. */
  readonly isForced: boolean
  /** It is known of the tag that upstream has set it since, so it is no echo. */
  readonly isSet?: boolean
}

/** `digest`: what upstream means by it now. */
export function stateOf(
  parts: RunParts,
  place: Place,
  work: TagWork,
  digest: Digest,
  how: StateHow,
): TagState {
  const { journal, metadata, config, clock } = parts
  const { repository, local } = place
  const now = clock.now()
  const wanted = attachedBy(config)
  const known = journal.tag({ source: config.name, repository, tag: work.tag })
  const row = known?.local === local && known.upstream === digest ? known : undefined
  const here = metadata.get('tags', [local, work.tag])?.digest
  const isEcho = how.isSet !== true && here !== digest && parts.isEcho !== undefined
  if (isEcho && parts.isEcho({ repository, tag: work.tag, digest })) return { kind: 'echo' }
  if (row === undefined) return { kind: 'due', attached: wanted }
  if (row.outcome === 'failed') {
    const waitMs = (row.nextRetryAt ?? 0) - now
    // More than the longest wait: the clock was set back.
    const isEarly = !how.isForced && waitMs > 0 && waitMs <= retryMsMax
    return isEarly ? { kind: 'too-early', row } : { kind: 'due', attached: wanted }
  }
  // What upstream has there does not become another thing; what is wanted of it may have.
  const isSame = place.row !== undefined
  if (row.outcome === 'skipped' && isSame) return { kind: 'settled' }
  if (!HERE.has(row.outcome) || here !== digest || !isSame) return { kind: 'due', attached: wanted }
  // Upstream has by now what it lacked.
  const isFilled = row.reason === 'sparse' && work.listed.isSparse !== true
  if (isFilled) return { kind: 'due', attached: wanted }
  if (wanted === 'none') return { kind: 'settled' }
  const checkedAt = row.referrersCheckedAt
  const { pushedAt } = work.listed
  const isFresh = pushedAt !== undefined && pushedAt > now - freshMs
  const age = checkedAt === undefined ? undefined : now - checkedAt
  const isDue = age === undefined || age < 0 || age >= config.referrersEveryMs
  if (isDue || isFresh || work.isTold) return { kind: 'due', attached: 'all' }
  return work.isLate ? { kind: 'due', attached: 'listed' } : { kind: 'settled' }
}
