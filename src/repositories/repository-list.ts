/**
 * @module Repositories by name, last push, last pull or size, those that the asker may see, with their
 * sums. The sums are kept by the writer: a page reads a row for each of its entries.
 */

import { parseOrderedKey } from '../metadata/ordered-key.ts'
import type { MetadataReader } from '../metadata/port.ts'
import { parseRepositoryName, type RepositoryName } from '../registry/name.ts'
import {
  countNames,
  type ListRequest,
  namesPerTurn,
  type Placed,
  parseSearch,
  takePage,
} from './ordered-list.ts'
import { BadCursor } from './tag-list.ts'

export interface RepositoryInfo {
  readonly name: RepositoryName
  readonly createdAt: number
  readonly tags: number
  readonly manifests: number
  readonly pushedAt: number | undefined
  readonly pulledAt: number | undefined
  /** Bytes of the blobs that it holds, and of those that no other repository holds. */
  readonly logicalBytes: number
  readonly exclusiveBytes: number
}

export interface RepositoryPage {
  readonly repositories: RepositoryInfo[]
  readonly next: string | undefined
  /** Undefined where counting them would take too long. */
  readonly total: number | undefined
}

/** Repositories that are counted one by one. */
const countedMax = 200_000

/** A page. `isSeen` undefined: all of them. Throws `BadCursor`. */
export async function listRepositoriesInOrder(
  metadata: MetadataReader,
  request: ListRequest,
  isSeen: ((name: string) => boolean) | undefined,
): Promise<RepositoryPage> {
  const search = parseSearch(request.search)
  const keep = both(search?.fits, isSeen)
  const { page, next } = await takePage(batchesOf(metadata, request), request, keep)
  const repositories = page.flatMap(({ name }) => {
    const info = describeRepository(metadata, name)
    return info === undefined ? [] : [info]
  })
  const all = metadata.count('repositories')
  if (keep === undefined) return { repositories, next, total: all }
  if (all > countedMax) return { repositories, next, total: undefined }
  return { repositories, next, total: await countNames(names(metadata), keep) }
}

/** Undefined when there is no such repository. */
export function describeRepository(
  metadata: MetadataReader,
  name: RepositoryName,
): RepositoryInfo | undefined {
  const row = metadata.get('repositories', name)
  if (row === undefined) return undefined
  const sums = metadata.get('repositorySums', name)
  return {
    name,
    createdAt: row.createdAt,
    tags: sums?.tags ?? 0,
    manifests: sums?.manifests ?? 0,
    pushedAt: sums?.pushedAt || undefined,
    pulledAt: sums?.pulledAt || undefined,
    logicalBytes: sums?.logicalBytes ?? 0,
    exclusiveBytes: sums?.exclusiveBytes ?? 0,
  }
}

function* batchesOf(
  metadata: MetadataReader,
  { order, isDescending, after, limit }: ListRequest,
): Generator<readonly Placed<RepositoryName>[]> {
  const size = Math.max(limit + 1, 200)
  const read = isDescending ? metadata.keysBackward : metadata.keys
  const keys = read.bind(metadata) as MetadataReader['keys']
  let last = after === undefined ? undefined : parseCursor(after, order)
  while (true) {
    const found: Placed<RepositoryName>[] =
      order === 'name'
        ? keys('repositories', [], last, size).map((name) => ({ name, cursor: name }))
        : keys('repositoryOrder', [order], last, size).map(([, key]) => ({
            name: parseOrderedKey<RepositoryName>(key).name,
            cursor: key,
          }))
    yield found
    if (found.length < size) return
    last = found.at(-1)!.cursor
  }
}

function parseCursor(text: string, order: ListRequest['order']): string {
  const name = order === 'name' ? text : text.slice(17)
  const isOurs = order === 'name' || /^\d{16}~$/.test(text.slice(0, 17))
  if (!isOurs || !parseRepositoryName(name).ok) throw new BadCursor()
  return text
}

function* names(metadata: MetadataReader): Generator<readonly string[]> {
  let last: string | undefined
  while (true) {
    const found = metadata.keys('repositories', [], last, namesPerTurn)
    yield found
    if (found.length < namesPerTurn) return
    last = found.at(-1)
  }
}

function both(
  one: ((name: string) => boolean) | undefined,
  other: ((name: string) => boolean) | undefined,
): ((name: string) => boolean) | undefined {
  if (one === undefined || other === undefined) return one ?? other
  return (name) => one(name) && other(name)
}
