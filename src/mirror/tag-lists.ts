/**
 * @module The tags of an upstream repository, whole: pages of a size that upstream gives, in whatever
 * way it leads from one to the next.
 */
import { parseTag } from '../registry/tag.ts'
import { headerOf } from '../upstream/client.ts'
import { toUpstreamError, UpstreamError } from '../upstream/error.ts'
import { decode, elementsOf, membersOf, type Piece, Turns } from '../upstream/json-pieces.ts'
import { nextQuery } from '../upstream/link.ts'
import type { MirroredRepository } from './mirrored-repository.ts'
import { sortInTurns } from './sorted.ts'

/** Tags of one list that are kept, and pages that are asked for. */
const tagsMax = 200_000
const pagesMax = 4_000

/** Largest page, bytes: some registries put all that they know of every manifest beside the tags. */
const pageBytesMax = 16 * 1024 * 1024

/** Sizes of a page, tried in turn where upstream refuses one; undefined: as upstream likes. */
const PAGE_SIZES: readonly (number | undefined)[] = [1_000, 100, undefined]

export interface TagList {
  /** In byte order, each once. */
  readonly tags: readonly string[]
  /** Upstream has more than are kept. */
  readonly isCut: boolean
}

/** Throws an `UpstreamError` when the list cannot be had to its end. */
export async function fetchTags(
  repository: MirroredRepository,
  deadline: number,
): Promise<TagList> {
  for (const size of PAGE_SIZES) {
    try {
      return await fetchPages(repository, size, deadline)
    } catch (error) {
      // A refusal of the size, or of sizes at all; what it is of, only the next attempt tells.
      const isOfSize = toUpstreamError(error, repository.mirror.name).kind === 'rejected'
      if (!isOfSize || size === undefined) throw error
    }
  }
  throw new UpstreamError('garbage', 'upstream gives no list of tags')
}

async function fetchPages(
  repository: MirroredRepository,
  size: number | undefined,
  deadline: number,
): Promise<TagList> {
  const found = new Set<string>()
  const asked = new Set<string>()
  const turns = new Turns()
  let query: string | undefined = size === undefined ? '' : `?n=${size}`
  while (query !== undefined && !asked.has(query)) {
    if (found.size >= tagsMax || asked.size >= pagesMax) {
      return { tags: await sortInTurns([...found]), isCut: true }
    }
    asked.add(query)
    const answer = await repository.fetch({ tail: `tags/list${query}`, deadline }, pageBytesMax)
    const before = found.size
    let count = 0
    let last = ''
    for (const piece of elementsOf(answer.bytes, tagsOf(answer.bytes))) {
      await turns.spend(piece.end - piece.start)
      const tag = decode(answer.bytes, piece)
      if (typeof tag !== 'string') throw new UpstreamError('garbage', 'upstream sends no tags')
      count += 1
      last = tag
      if (parseTag(tag).ok) found.add(tag)
    }
    query = nextQuery(headerOf(answer.headers, 'link'))
    // A page that is full and leads nowhere may still not be the last one.
    const isFull = query === undefined && size !== undefined && count >= size
    if (isFull) query = `?n=${size}&last=${encodeURIComponent(last)}`
    // Pages that repeat themselves end here.
    if (found.size === before) query = undefined
  }
  return { tags: await sortInTurns([...found]), isCut: false }
}

/** Where the tags stand. Throws `garbage` for what is no list of tags. */
function tagsOf(bytes: Buffer): Piece {
  for (const member of membersOf(bytes)) if (member.name === 'tags') return member
  throw new UpstreamError('garbage', 'upstream sends no tags')
}
