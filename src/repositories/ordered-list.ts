/**
 * @module Lists for people, in the order that they ask for: a page costs the page, because every order
 * has its index (`metadata/derived-rows.ts`). What a search leaves out costs a look at its key, in
 * short turns of the event loop.
 */
import { nextTurn } from '../runtime/next-turn.ts'

export type ListOrder = 'name' | 'pushed' | 'pulled' | 'size'

export interface ListRequest {
  readonly order: ListOrder
  readonly isDescending: boolean
  readonly limit: number
  /** The `next` of the page before. */
  readonly after: string | undefined
  /** What names must hold; with a `*` at the end: what they must begin with. */
  readonly search: string | undefined
}

/** A name at its place in a list: `cursor` says how to go on behind it. */
export interface Placed<N extends string> {
  readonly name: N
  readonly cursor: string
}

/** A search, understood: ASCII letters of either case are the same. */
export interface Search {
  readonly isPrefix: boolean
  fits(name: string): boolean
}

export function parseSearch(text: string | undefined): Search | undefined {
  if (text === undefined || text === '' || text === '*') return undefined
  const isPrefix = text.endsWith('*')
  const wanted = (isPrefix ? text.slice(0, -1) : text).toLowerCase()
  return {
    isPrefix,
    fits: isPrefix
      ? (name) => name.toLowerCase().startsWith(wanted)
      : (name) => name.toLowerCase().includes(wanted),
  }
}

/** Names looked at in one turn. */
export const namesPerTurn = 1_000
const looksPerBatch = 4

/** Takes a page from a list of batches; the names that `keep` wants. */
export async function takePage<N extends string>(
  batches: Iterable<readonly Placed<N>[]>,
  limit: number,
  keep: ((name: string) => boolean) | undefined,
): Promise<{ readonly page: Placed<N>[]; readonly next: string | undefined }> {
  const page: Placed<N>[] = []
  let looks = 0
  for (const batch of batches) {
    for (const placed of batch) {
      if (keep !== undefined && !keep(placed.name)) continue
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
