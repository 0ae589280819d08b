/**
 * @module The newest of the tags of a repository: by the time of the push, else by version, else by name.
 * In short turns: a repository may have as many tags as a stranger likes.
 */
import { compareVersions, parseVersion, type Version } from '../../registry/semver.ts'
import { nextTurn } from '../../runtime/next-turn.ts'
import type { ListedTag } from '../port.ts'

/** Tags that are looked at in one turn of the event loop (about 3 ms). */
export const tagsPerTurn = 1_000

/** Visits all, in short turns. */
export async function eachInTurns<T>(items: readonly T[], visit: (item: T) => void): Promise<void> {
  for (let at = 0; at < items.length; at += tagsPerTurn) {
    for (const item of items.slice(at, at + tagsPerTurn)) visit(item)
    await nextTurn()
  }
}

/** The time of the push, else the version (what is none comes last, by name), else the name. */
export type TagOrder = 'pushed' | 'version' | 'name'

interface Listed {
  readonly listed: ListedTag
}

/** The newest first, at most so many, and what they were ordered by. */
export async function keepNewest<T extends Listed>(
  candidates: readonly T[],
  count: number,
): Promise<{ readonly kept: readonly T[]; readonly order: TagOrder }> {
  const order = await orderOf(candidates)
  const runs: (readonly Ranked<T>[])[] = []
  for (let at = 0; at < candidates.length; at += tagsPerTurn) {
    const run = candidates.slice(at, at + tagsPerTurn).map((item) => rank(item, order))
    runs.push(run.sort(newestFirst).slice(0, count))
    await nextTurn()
  }
  return { kept: (await mergeAll(runs, count)).map(({ item }) => item), order }
}

/** Times only when all have one: a tag without would be older or newer than all others by chance. */
async function orderOf(candidates: readonly Listed[]): Promise<TagOrder> {
  let isTimed = true
  let hasVersion = false
  await eachInTurns(candidates, ({ listed }) => {
    isTimed &&= listed.pushedAt !== undefined
    hasVersion ||= parseVersion(listed.tag) !== undefined
  })
  return isTimed ? 'pushed' : hasVersion ? 'version' : 'name'
}

interface Ranked<T> {
  readonly item: T
  readonly pushedAt: number
  readonly version: Version | undefined
}

function rank<T extends Listed>(item: T, order: TagOrder): Ranked<T> {
  const { tag, pushedAt } = item.listed
  return {
    item,
    pushedAt: order === 'pushed' ? (pushedAt ?? 0) : 0,
    version: order === 'name' ? undefined : parseVersion(tag),
  }
}

/** Two by two, so that each is looked at as often as the number of runs has digits in base two. */
async function mergeAll<T extends Listed>(
  runs: readonly (readonly Ranked<T>[])[],
  count: number,
): Promise<readonly Ranked<T>[]> {
  let left = runs
  while (left.length > 1) {
    const merged: (readonly Ranked<T>[])[] = []
    for (let at = 0; at < left.length; at += 2) {
      merged.push(await merge(left[at]!, left[at + 1] ?? [], count))
    }
    left = merged
  }
  return left[0] ?? []
}

async function merge<T extends Listed>(
  one: readonly Ranked<T>[],
  other: readonly Ranked<T>[],
  count: number,
): Promise<readonly Ranked<T>[]> {
  const merged: Ranked<T>[] = []
  let [at, otherAt] = [0, 0]
  while (merged.length < count && at + otherAt < one.length + other.length) {
    const [first, second] = [one[at], other[otherAt]]
    const isFirst = second === undefined || (first !== undefined && newestFirst(first, second) < 0)
    merged.push((isFirst ? first : second)!)
    if (isFirst) at += 1
    else otherAt += 1
    if (merged.length % tagsPerTurn === 0) await nextTurn()
  }
  return merged
}

/** Equal times, such as those of one second, go by version and name: always the same. */
function newestFirst(one: Ranked<Listed>, other: Ranked<Listed>): number {
  if (one.pushedAt !== other.pushedAt) return other.pushedAt - one.pushedAt
  if (one.version !== undefined && other.version !== undefined) {
    const order = compareVersions(other.version, one.version)
    if (order !== 0) return order
  } else if (one.version !== other.version) {
    return one.version === undefined ? 1 : -1
  }
  const [name, otherName] = [one.item.listed.tag, other.item.listed.tag]
  return name === otherName ? 0 : name < otherName ? 1 : -1
}
