/**
 * @module Long lists in byte order without long turns: sorted in runs, merged with pauses.
 */
import { nextTurn } from '../runtime/next-turn.ts'

/** Sorted or merged in one turn of the event loop, entries. */
const turnEntries = 8_192

/** In the order of their code units, which for tags is byte order. */
export async function sortInTurns(entries: readonly string[]): Promise<string[]> {
  let runs: string[][] = []
  for (let from = 0; from < entries.length; from += turnEntries) {
    runs.push(entries.slice(from, from + turnEntries).sort(compare))
    await nextTurn()
  }
  while (runs.length > 1) {
    const merged: string[][] = []
    for (let at = 0; at < runs.length; at += 2) {
      const other = runs[at + 1]
      merged.push(other === undefined ? runs[at]! : await merge(runs[at]!, other))
    }
    runs = merged
  }
  return runs[0] ?? []
}

async function merge(a: readonly string[], b: readonly string[]): Promise<string[]> {
  const all: string[] = []
  let [i, j] = [0, 0]
  while (i < a.length || j < b.length) {
    const isFirst = j >= b.length || (i < a.length && compare(a[i]!, b[j]!) <= 0)
    all.push(isFirst ? a[i++]! : b[j++]!)
    if (all.length % turnEntries === 0) await nextTurn()
  }
  return all
}

/** Up to `limit` of both sorted lists, without doubles each, after `last`. Costs the page, not the lists. */
export function mergeAfter(
  a: readonly string[],
  b: readonly string[],
  last: string | undefined,
  limit: number,
): string[] {
  const from = last === undefined ? 0 : firstAfter(a, last)
  const all = new Set([...a.slice(from, from + limit), ...b])
  return [...all].sort(compare).slice(0, limit)
}

function firstAfter(sorted: readonly string[], last: string): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]! <= last) low = middle + 1
    else high = middle
  }
  return low
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
