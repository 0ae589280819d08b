/**
 * @module The tags of a repository by name, last push, last pull or size. Tags of one manifest share
 * its size and its last pull: they stand together in those orders, by name.
 */

import { orderedKey, parseOrderedKey } from '../metadata/ordered-key.ts'
import type { MetadataReader } from '../metadata/port.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import { parseTag, type Tag } from '../registry/tag.ts'
import { nextTurn } from '../runtime/next-turn.ts'
import { placeOf, sortNaturally } from './natural-order.ts'
import {
  BadSearch,
  countNames,
  type ListRequest,
  namesPerTurn,
  type Placed,
  parseSearch,
  type Search,
  takePage,
} from './ordered-list.ts'
import { type TagNames, tagNamesMax } from './tag-names.ts'

export interface TagInfo {
  readonly tag: string
  readonly digest: Digest
  readonly mediaType: string
  readonly artifactType: string | undefined
  readonly pushedAt: number
  /** Who moved it where it is. */
  readonly by: string | undefined
  /** Last pull of what it points at, by tag or by digest. */
  readonly pulledAt: number | undefined
  readonly sizeBytes: number
  /** When it ends by the words of its image. */
  readonly expiresAt: number | undefined
}

export interface TagPage {
  readonly tags: TagInfo[]
  readonly next: string | undefined
  /** Tags that the search finds; undefined where counting them would take too long. */
  readonly total: number | undefined
}

/** What is wanted of the tags of a repository. */
export interface TagListRequest extends ListRequest {
  /** Only those that point at it; then the order is that of names. */
  readonly digest?: Digest | undefined
}

/** A row has the tag's history: so many are decoded in one turn (about 64 KiB). */
const rowsPerTurn = 25

/** Tags that a search counts. */
const countedMax = 200_000

/** A page of tags. Throws `BadCursor` when `after` was never given out for this order, and `BadSearch`. */
export async function listTagsInOrder(
  metadata: MetadataReader,
  kept: TagNames,
  repository: RepositoryName,
  request: TagListRequest,
): Promise<TagPage> {
  const search = parseSearch(request.search)
  if (request.order === 'name' || request.digest !== undefined) {
    const names =
      request.digest === undefined
        ? await kept.list(repository, search)
        : await namesOf(metadata, repository, request.digest, search)
    if (names !== undefined) return pageOf(metadata, repository, names, request)
  }
  const isFew = request.order === 'pulled' || request.order === 'size'
  if (search !== undefined && isFew && request.offset === undefined) {
    const found = await fewTags(metadata, repository, request, search)
    if (found !== undefined) return found
  }
  const batches = batchesOf(metadata, repository, request)
  const { page, next } = await takePage(batches, request, search?.fits)
  const tags = await describeTags(
    metadata,
    repository,
    page.map(({ name }) => name),
  )
  const all = metadata.get('repositorySums', repository)?.tags ?? 0
  if (search === undefined) return { tags, next, total: all }
  if (all > countedMax) return { tags, next, total: undefined }
  return { tags, next, total: await countNames(tagNames(metadata, repository), search.fits) }
}

/** A page of a list in natural order: the cursor is the name of its last tag. */
async function pageOf(
  metadata: MetadataReader,
  repository: RepositoryName,
  names: readonly Tag[],
  { isDescending, after, offset = 0, limit }: TagListRequest,
): Promise<TagPage> {
  const last = after === undefined ? undefined : tagCursor(after)
  let begin = offset
  if (last !== undefined) {
    const place = placeOf(names, last)
    // Names in front of it, or behind it: it may have gone itself.
    begin += isDescending ? names.length - place : place + (names[place] === last ? 1 : 0)
  }
  const end = Math.min(names.length, begin + limit)
  const page: Tag[] = []
  for (let at = begin; at < end; at += 1) {
    page.push(names[isDescending ? names.length - 1 - at : at]!)
  }
  return {
    tags: await describeTags(metadata, repository, page),
    next: end < names.length ? page.at(-1) : undefined,
    total: names.length,
  }
}

/** The tags of one manifest, in natural order. Throws `BadSearch` where there are too many. */
async function namesOf(
  metadata: MetadataReader,
  repository: RepositoryName,
  digest: Digest,
  search: Search | undefined,
): Promise<readonly Tag[]> {
  const names: Tag[] = []
  let last: string | undefined
  while (true) {
    const keys = metadata.keys('tagsByDigest', [repository, digest], last, namesPerTurn)
    for (const [, , tag] of keys) if (search?.fits(tag) !== false) names.push(tag)
    if (keys.length < namesPerTurn) return sortNaturally(names)
    if (names.length > tagNamesMax) throw new BadSearch('too many tags point at this digest')
    last = keys.at(-1)![2]
    await nextTurn()
  }
}

async function describeTags(
  metadata: MetadataReader,
  repository: RepositoryName,
  names: readonly Tag[],
): Promise<TagInfo[]> {
  const tags: TagInfo[] = []
  for (const [index, name] of names.entries()) {
    if (index % rowsPerTurn === rowsPerTurn - 1) await nextTurn()
    const info = describeTag(metadata, repository, name)
    if (info !== undefined) tags.push(info)
  }
  return tags
}

/** Tags that a search finds and that are sorted at once, instead of looking at every manifest. */
const sortedMax = 2_000

/** The page of a search that finds few tags; undefined where it finds many, which are soon met. */
async function fewTags(
  metadata: MetadataReader,
  repository: RepositoryName,
  request: ListRequest,
  search: Search,
): Promise<TagPage | undefined> {
  const order = request.order === 'size' ? 'size' : 'pulled'
  const behind = request.after === undefined ? undefined : parseCursor(request.after, order)
  const names: Tag[] = []
  for (const batch of tagNames(metadata, repository)) {
    for (const name of batch) if (search.fits(name)) names.push(name)
    if (names.length > sortedMax) return undefined
    await nextTurn()
  }
  const all: { readonly key: string; readonly info: TagInfo }[] = []
  for (const [index, name] of names.entries()) {
    if (index % rowsPerTurn === rowsPerTurn - 1) await nextTurn()
    const info = describeTag(metadata, repository, name)
    if (info === undefined) continue
    const value = order === 'size' ? info.sizeBytes : (info.pulledAt ?? 0)
    all.push({ key: orderedKey(value, info.digest), info })
  }
  const sign = request.isDescending ? -1 : 1
  type Place = { readonly key: string; readonly tag: string | undefined }
  const compare = (one: Place, other: Place) =>
    sign * (byText(one.key, other.key) || byText(one.tag ?? '', other.tag ?? ''))
  const placed = all
    .map(({ key, info }) => ({ key, tag: info.tag, info }))
    .filter((it) => behind === undefined || compare(it, behind) > 0)
    .sort(compare)
  const page = placed.slice(0, request.limit)
  const last = page.at(-1)
  const hasMore = placed.length > page.length && last !== undefined
  return {
    tags: page.map(({ info }) => info),
    next: hasMore ? `${last.key}~${last.tag}` : undefined,
    total: names.length,
  }
}

const byText = (one: string, other: string) => (one < other ? -1 : one > other ? 1 : 0)

/** Undefined when the tag has gone meanwhile. */
function describeTag(
  metadata: MetadataReader,
  repository: RepositoryName,
  tag: Tag,
): TagInfo | undefined {
  const row = metadata.get('tags', [repository, tag])
  if (row === undefined) return undefined
  const { digest, pushedAt, by } = row
  const manifest = metadata.get('manifests', [repository, digest])
  const lifeMs = manifest?.expiresAfterMs
  return {
    tag,
    digest,
    mediaType: manifest?.mediaType ?? '',
    artifactType: manifest?.artifactType,
    pushedAt,
    by,
    pulledAt: metadata.get('pulls', [repository, digest]),
    sizeBytes: manifest?.imageBytes ?? 0,
    expiresAt: lifeMs === undefined ? undefined : pushedAt + lifeMs,
  }
}

/** The `after` of a request is no cursor of its order. */
export class BadCursor extends Error {}

function* batchesOf(
  metadata: MetadataReader,
  repository: RepositoryName,
  { order, isDescending, after, offset, limit, search }: ListRequest,
): Generator<readonly Placed<Tag>[]> {
  const isShort = search === undefined && offset === undefined
  const size = isShort ? limit + 1 : namesPerTurn
  const read = isDescending ? metadata.keysBackward : metadata.keys
  const keys = read.bind(metadata) as MetadataReader['keys']
  if (order === 'name') {
    let last = after === undefined ? undefined : tagCursor(after)
    while (true) {
      const found = keys('tags', [repository], last, size)
      yield found.map(([, name]) => ({ name, cursor: name }))
      if (found.length < size) return
      last = found.at(-1)![1]
    }
  }
  const cursor = after === undefined ? undefined : parseCursor(after, order)
  if (cursor?.tag !== undefined && metadata.get('tagOrder', [repository, order, cursor.key])) {
    yield* tagsOf(cursor.key, cursor.tag)
  }
  let last = cursor?.key
  while (true) {
    const found = keys('tagOrder', [repository, order], last, size)
    if (order === 'pushed') {
      yield found.map(([, , key]) => ({ name: parseOrderedKey<Tag>(key).name, cursor: key }))
    } else for (const [, , key] of found) yield* tagsOf(key, undefined)
    if (found.length < size) return
    last = found.at(-1)![2]
  }

  /** The tags of the manifest at this place, behind one of them. */
  function* tagsOf(key: string, behind: string | undefined): Generator<readonly Placed<Tag>[]> {
    const prefix = [repository, parseOrderedKey(key).name]
    let last = behind
    while (true) {
      const found = keys('tagsByDigest', prefix, last, size)
      yield found.map(([, , name]) => ({ name, cursor: `${key}~${name}` }))
      if (found.length < size) return
      last = found.at(-1)![2]
    }
  }
}

function tagCursor(text: string): string {
  if (!parseTag(text).ok) throw new BadCursor()
  return text
}

/** `number~tag`, or `number~digest~tag` where the manifest has the place. */
function parseCursor(
  text: string,
  order: 'pushed' | 'pulled' | 'size',
): { readonly key: string; readonly tag: string | undefined } {
  const [number = '', name = '', tag, ...more] = text.split('~')
  if (!/^\d{16}$/.test(number) || more.length > 0) throw new BadCursor()
  const key = `${number}~${name}`
  if (order === 'pushed') {
    if (tag !== undefined || !parseTag(name).ok) throw new BadCursor()
    return { key, tag: undefined }
  }
  if (tag === undefined || !parseDigest(name).ok || !parseTag(tag).ok) throw new BadCursor()
  return { key, tag }
}

function* tagNames(metadata: MetadataReader, repository: RepositoryName) {
  let last: string | undefined
  while (true) {
    const keys = metadata.keys('tags', [repository], last, namesPerTurn)
    yield keys.map(([, tag]) => tag)
    if (keys.length < namesPerTurn) return
    last = keys.at(-1)![1]
  }
}
