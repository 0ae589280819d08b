/**
 * @module Lists for people, in the order that they ask for: a page costs the page, because every order
 * has its index (`metadata/derived-rows.ts`). What a search leaves out costs a look at its key, in
 * short turns of the event loop.
 */
import { compileGlob } from '../registry/glob.ts'
import { nextTurn } from '../runtime/next-turn.ts'

export type ListOrder = 'name' | 'pushed' | 'pulled' | 'size'

export interface ListRequest {
  readonly order: ListOrder
  readonly isDescending: boolean
  readonly limit: number
  /** The `next` of the page before. */
  readonly after: string | undefined
  /** Entries that are left out before the page; undefined: none. */
  readonly offset?: number | undefined
  /** What names must hold; with a `*` at the end what they must begin with; or a glob. */
  readonly search: string | undefined
}

/** A name at its place in a list: `cursor` says how to go on behind it. */
export interface Placed<N extends string> {
  readonly name: N
  readonly cursor: string
}

/** A search, understood: ASCII letters of either case are the same. */
export interface Search {
  readonly text: string
  fits(name: string): boolean
}

/** What is searched for is no glob. The message says why. */
export class BadSearch extends Error {}

/** Characters that make a glob of a search, wherever they stand. */
const GLOB = /[*?{}[\]]/

/** Undefined: everything. Throws `BadSearch`. */
export function parseSearch(given: string | undefined): Search | undefined {
  if (given === undefined || given === '' || given === '*') return undefined
  const text = given.toLowerCase()
  const stem = text.endsWith('*') ? text.slice(0, -1) : text
  if (GLOB.test(stem)) {
    const glob = compileGlob(text)
    if (!glob.ok) throw new BadSearch(glob.error)
    return { text, fits: (name) => glob.value(name.toLowerCase()) }
  }
  const fits =
    stem === text
      ? (name: string) => name.toLowerCase().includes(stem)
      : (name: string) => name.toLowerCase().startsWith(stem)
  return { text, fits }
}

/** Names looked at in one turn. */
export const namesPerTurn = 1_000
const looksPerBatch = 4

/** Takes a page from a list of batches, behind the first `offset`; the names that `keep` wants. */
export async function takePage<N extends string>(
  batches: Iterable<readonly Placed<N>[]>,
  { limit, offset = 0 }: Pick<ListRequest, 'limit' | 'offset'>,
  keep: ((name: string) => boolean) | undefined,
): Promise<{ readonly page: Placed<N>[]; readonly next: string | undefined }> {
  const page: Placed<N>[] = []
  let looks = 0
  let skipped = 0
  for (const batch of batches) {
    for (const placed of batch) {
      if (keep !== undefined && !keep(placed.name)) continue
      if (skipped < offset) {
        skipped += 1
        continue
      }
      if (page.length === limit) return { page, next: page.at(-1)!.cursor }
      page.push(placed)
    }
    // A batch of few names costs a look-up as well.
    looks += batch.length + looksPerBatch
    if (looks < namesPerTurn) continue
    looks = 0
    await nextTurn()
  }
  return { page, next: undefined }
}

/** How many names of a list there are that `keep` wants, in short turns. */
export async function countNames(
  batches: Iterable<readonly string[]>,
  keep: (name: string) => boolean,
): Promise<number> {
  let count = 0
  for (const batch of batches) {
    for (const name of batch) if (keep(name)) count += 1
    await nextTurn()
  }
  return count
}
