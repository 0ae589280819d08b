/**
 * @module Rings in a graph: what leads back to itself. Linear in nodes and edges, and without recursion:
 * whoever may push decides how long a chain is.
 */

/** The nodes reachable from `starts` that are part of a cycle, one that leads to itself included. */
export function ringMembers<T>(starts: Iterable<T>, next: (node: T) => Iterable<T>): Set<T> {
  // Tarjan's strongly connected components, with a stack of our own.
  const order = new Map<T, number>()
  const low = new Map<T, number>()
  const open: T[] = []
  const isOpen = new Set<T>()
  const members = new Set<T>()
  const path: { readonly node: T; readonly rest: Iterator<T>; leadsToItself: boolean }[] = []
  const enter = (node: T) => {
    order.set(node, order.size)
    low.set(node, order.get(node)!)
    open.push(node)
    isOpen.add(node)
    path.push({ node, rest: next(node)[Symbol.iterator](), leadsToItself: false })
  }
  const lower = (node: T, to: number) => low.set(node, Math.min(low.get(node)!, to))
  for (const start of starts) {
    if (!order.has(start)) enter(start)
    while (path.length > 0) {
      const top = path.at(-1)!
      const { done, value } = top.rest.next()
      if (done !== true) {
        if (value === top.node) top.leadsToItself = true
        if (!order.has(value)) enter(value)
        else if (isOpen.has(value)) lower(top.node, order.get(value)!)
        continue
      }
      path.pop()
      const parent = path.at(-1)
      if (parent !== undefined) lower(parent.node, low.get(top.node)!)
      if (low.get(top.node) !== order.get(top.node)) continue
      const component = open.splice(open.lastIndexOf(top.node))
      for (const node of component) isOpen.delete(node)
      if (component.length > 1 || top.leadsToItself) for (const node of component) members.add(node)
    }
  }
  return members
}
