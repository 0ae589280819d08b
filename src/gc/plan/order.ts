/**
 * @module The order in which a repository's items are applied, so that each finds what needed it gone
 * when its turn comes, or still there, and then stays too:
 *
 *   index ──► what it lists          must: an index that is there holds what it lists
 *   referrer tag ──► its manifest    must: a tag that is there holds its manifest
 *   subject ──► what refers to it    should: an index can list and refer to the same manifest
 */

/** One comes before the other. */
export type Edge<T> = readonly [before: T, after: T]

/**
 * Every item once, in the order of `items` as far as edges leave a choice. `must` has no cycles (an
 * index holds the digests of what it lists); where `should` makes one, it gives way.
 */
export function inOrder<T>(
  items: Iterable<T>,
  must: readonly Edge<T>[],
  should: readonly Edge<T>[],
): T[] {
  const nodes = new Map<T, Node<T>>()
  for (const item of items) nodes.set(item, { waitsFor: 0, wishes: 0, next: [], wished: [] })
  for (const [before, after] of must) {
    nodes.get(before)!.next.push(after)
    nodes.get(after)!.waitsFor += 1
  }
  for (const [before, after] of should) {
    nodes.get(before)!.wished.push(after)
    nodes.get(after)!.wishes += 1
  }
  const ordered = new Set<T>()
  const ready: T[] = []
  /**
   * Held back by wishes alone: taken when nothing else is left, and those first that others must wait
   * for. Without such a one there is no cycle: nothing refers to what refers to it.
   */
  const holding: T[] = []
  const wishing: T[] = []
  const look = (item: T, { waitsFor, wishes, next }: Node<T>) => {
    if (waitsFor > 0) return
    if (wishes === 0) ready.push(item)
    else (next.length > 0 ? holding : wishing).push(item)
  }
  for (const [item, node] of nodes) look(item, node)
  const lines = [ready, holding, wishing].map((waiting) => ({ waiting, at: 0 }))
  while (ordered.size < nodes.size) {
    const line = lines.find(({ waiting, at }) => at < waiting.length)!
    const item = line.waiting[line.at++]!
    if (ordered.has(item)) continue
    ordered.add(item)
    const { next, wished } = nodes.get(item)!
    for (const after of next) {
      const node = nodes.get(after)!
      node.waitsFor -= 1
      look(after, node)
    }
    for (const after of wished) {
      const node = nodes.get(after)!
      node.wishes -= 1
      look(after, node)
    }
  }
  return [...ordered]
}

interface Node<T> {
  waitsFor: number
  wishes: number
  readonly next: T[]
  readonly wished: T[]
}
