/**
 * @module The order in which people count: `v1.9` stands before `v1.10`. And sorting of long lists in short turns,
 * so that no pull waits for a list.
 */
import { nextTurn } from '../runtime/next-turn.ts'

const zero = '0'.charCodeAt(0)
const nine = '9'.charCodeAt(0)

/** Texts that were moved in one turn. */
const movesPerTurn = 4_000

/** Numbers in the texts by their value, all else by its characters; no two texts are equal. */
export function compareNaturally(one: string, other: string): number {
  let [i, j] = [0, 0]
  while (i < one.length && j < other.length) {
    const [a, b] = [one.charCodeAt(i), other.charCodeAt(j)]
    if (isDigit(a) && isDigit(b)) {
      const [first, second] = [significant(one, i), significant(other, j)]
      i = endOfNumber(one, first)
      j = endOfNumber(other, second)
      const byLength = i - first - (j - second)
      if (byLength !== 0) return byLength
      for (let at = 0; first + at < i; at += 1) {
        const byDigit = one.charCodeAt(first + at) - other.charCodeAt(second + at)
        if (byDigit !== 0) return byDigit
      }
    } else {
      if (a !== b) return a - b
      i += 1
      j += 1
    }
  }
  const byRest = one.length - i - (other.length - j)
  if (byRest !== 0) return byRest
  // Leading zeros are all that is left.
  return one < other ? -1 : one > other ? 1 : 0
}

function isDigit(code: number): boolean {
  return code >= zero && code <= nine
}

/** Where the number begins that stands at `from`, without its zeros in front. */
function significant(text: string, from: number): number {
  let at = from
  while (text.charCodeAt(at) === zero) at += 1
  return at
}

function endOfNumber(text: string, from: number): number {
  let at = from
  while (isDigit(text.charCodeAt(at))) at += 1
  return at
}

/** The place of a text in a sorted list, or the one where it would stand. */
export function placeOf(sorted: readonly string[], text: string): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareNaturally(sorted[middle]!, text) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/** A new list of the same texts, sorted. Runs that are in order already cost a look each. */
export async function sortNaturally<T extends string>(texts: readonly T[]): Promise<T[]> {
  let runs: T[][] = []
  for (let at = 0; at < texts.length; at += runLength) {
    runs.push(texts.slice(at, at + runLength).sort(compareNaturally))
    await nextTurn()
  }
  while (runs.length > 1) {
    const merged: T[][] = []
    for (let at = 0; at < runs.length; at += 2) {
      merged.push(await merge(runs[at]!, runs[at + 1] ?? []))
    }
    runs = merged
  }
  return runs[0] ?? []
}

const runLength = 500

async function merge<T extends string>(one: readonly T[], other: readonly T[]): Promise<T[]> {
  const merged: T[] = []
  let [i, j] = [0, 0]
  while (i < one.length || j < other.length) {
    const isFirst =
      j >= other.length || (i < one.length && compareNaturally(one[i]!, other[j]!) <= 0)
    if (isFirst) {
      merged.push(one[i]!)
      i += 1
    } else {
      merged.push(other[j]!)
      j += 1
    }
    if (merged.length % movesPerTurn === 0) await nextTurn()
  }
  return merged
}
