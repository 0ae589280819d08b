/**
 * @module What the history of a source has told of one repository, as work: tags that were set, tags to which
 * something was attached, tags that were deleted, and what an earlier run could not finish of these. Nothing is listed.
 */
import type { SyncTagRow } from '../../metadata/rows/upstream.ts'
import type { Digest } from '../../registry/digest.ts'
import { parseTag, type Tag } from '../../registry/tag.ts'
import { addTags } from '../copy/late.ts'
import type { ChangedRepository } from '../port.ts'
import { followedDigest, type SelectedTag } from '../selection/tags.ts'
import type { RunParts } from './parts.ts'
import type { Place } from './place.ts'
import type { TagList } from './tag-list.ts'

/** What is told, with what is left of earlier runs. */
export interface Told extends ChangedRepository {
  /** Tags that failed and may not be tried yet, with what upstream meant by them. */
  readonly waiting: ReadonlyMap<string, Digest | undefined>
  /** Deletions that could not be confirmed, and may not be asked for yet. */
  readonly waitingDeletions: number
}

/** Outcomes that another try may mend: a policy rejects an image until its signature comes. */
const LEFT: ReadonlySet<string> = new Set(['failed', 'rejected'])

const NOTHING: Omit<Told, 'name'> = {
  tags: new Map(),
  deleted: new Set(),
  subjects: new Set(),
  removed: new Set(),
  isWhole: false,
  waiting: new Map(),
  waitingDeletions: 0,
}

/** What is told of a repository, and what its rows say is left. Undefined: nothing at all. */
export async function withLeft(
  { journal, config, clock }: Pick<RunParts, 'journal' | 'config' | 'clock'>,
  name: string,
  told: ChangedRepository | undefined,
  isForced: boolean,
): Promise<Told | undefined> {
  const now = clock.now()
  const known: Told = { ...NOTHING, ...told, name }
  const unfinished = journal.repository(config.name, name)?.unfinished
  if (unfinished === undefined) return told && known
  if (unfinished.kind === 'list') {
    const isDue = isForced || told !== undefined || isOver(unfinished.retryAt, now)
    return isDue ? { ...known, isWhole: true } : undefined
  }
  const tags = new Map(known.tags)
  const deleted = new Set(known.deleted)
  const waiting = new Map<string, Digest | undefined>()
  let waitingDeletions = 0
  for await (const { tag, row } of journal.tags(config.name, name)) {
    const isDeletion = isLeftDeletion(row)
    const isLeft = isDeletion || (LEFT.has(row.outcome) && followedDigest(tag) === undefined)
    if (!isLeft || known.tags.has(tag) || known.deleted.has(tag)) continue
    const isDue = isForced || isOver(row.nextRetryAt ?? 0, now)
    if (isDue && isDeletion) deleted.add(tag)
    else if (isDue) tags.set(tag, row.upstream)
    else if (isDeletion) waitingDeletions += 1
    else waiting.set(tag, row.upstream)
  }
  return { ...known, tags, deleted, waiting, waitingDeletions }
}

/** More than the longest wait: the clock was set back. */
function isOver(at: number, now: number): boolean {
  return at <= now || at > now + 2 * 3_600_000
}

/** The history said that upstream has deleted it, which could not be confirmed. */
function isLeftDeletion({ missing }: SyncTagRow): boolean {
  return missing?.isTold === true
}

/**
 * Forgets what upstream meant by the told tags that are not looked at now: another list may select them, when their
 * news are read no more.
 */
export async function forgetUnselected(
  { journal, config }: RunParts,
  { repository }: Place,
  told: Told,
  selected: readonly SelectedTag[],
): Promise<void> {
  const looked = new Set<string>(selected.map(({ tag }) => tag))
  for (const tag of told.tags.keys()) {
    const it = { source: config.name, repository, tag }
    const row = looked.has(tag) ? undefined : journal.tag(it)
    if (row?.upstream === undefined) continue
    const { upstream: _upstream, ...rest } = row
    await journal.noteTag(it, rest)
  }
}

/** Whether rows of the repository say that a deletion is left to be confirmed: no list mends that. */
export async function hasLeftDeletion({ journal, config }: RunParts, name: string) {
  for await (const { row } of journal.tags(config.name, name)) if (isLeftDeletion(row)) return true
  return false
}

/** The tags that are told, as a list of them would have them. */
export function toldTags({ filter, clock, metadata }: RunParts, place: Place, told: Told): TagList {
  const selected: SelectedTag[] = []
  let badNames = 0
  const add = (tag: string, digest: Digest | undefined) => {
    const listed = digest === undefined ? { tag } : { tag, digest }
    const parsed = parseTag(tag)
    if (!parsed.ok) badNames += 1
    else if (filter.judge(listed, clock.now()).rule === 'selected') {
      selected.push({ tag: parsed.value, listed })
    }
  }
  for (const tag of told.tags.keys()) add(tag, undefined)
  for (const [tag, digest] of told.waiting) if (digest !== undefined) add(tag, digest)
  const late = new Set<Tag>()
  for (const subject of told.subjects) addTags(metadata, place.local, subject, late)
  return {
    selected,
    isShort: false,
    unmatched: [],
    badNames,
    count: selected.length,
    names: undefined,
    named: new Map(),
    isNamedWhole: false,
    late,
    newest: undefined,
    isFull: false,
  }
}

/**
 * Tags that are gone: those of which the history says so, and those that no list has while it says that their
 * manifest was deleted. What else a list lacks is for the prune of a full pass.
 */
export async function goneTags(
  { journal, config, prune }: RunParts,
  { repository, local }: Place,
  told: Told,
  names: ReadonlySet<string> | undefined,
): Promise<ReadonlySet<string>> {
  const gone = new Set(told.deleted)
  if (told.removed.size === 0 || names === undefined) return gone
  for await (const { tag, row } of journal.tags(config.name, repository)) {
    if (row.local !== local || row.wrote === undefined) continue
    // What was noted before prune was switched on is here still.
    if (prune === undefined && row.outcome === 'gone') continue
    const digest = told.tags.get(tag) ?? row.upstream
    const isRemoved = digest !== undefined && told.removed.has(digest)
    if (isRemoved && !names.has(tag) && followedDigest(tag) === undefined) gone.add(tag)
  }
  return gone
}
