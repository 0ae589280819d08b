/** @module Rings in a graph, against a plain search from every node. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ringMembers } from '../../../src/gc/mark/rings.ts'

function reaches(edges: readonly (readonly number[])[], from: number, to: number): boolean {
  const seen = new Set<number>()
  const queue = [from]
  for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
    for (const next of edges[node]!) {
      if (next === to) return true
      if (!seen.has(next)) queue.push(next)
      seen.add(next)
    }
  }
  return false
}

test('the members of rings are the nodes that lead back to themselves', () => {
  const graph = fc.integer({ min: 1, max: 9 }).chain((size) =>
    fc.array(fc.array(fc.nat({ max: size - 1 }), { maxLength: 3 }), {
      minLength: size,
      maxLength: size,
    }),
  )
  fc.assert(
    fc.property(graph, (edges) => {
      const nodes = edges.map((_, node) => node)
      const found = ringMembers(nodes, (node) => edges[node]!)
      expect([...found].sort()).toEqual(nodes.filter((node) => reaches(edges, node, node)))
    }),
    { numRuns: 2_000 },
  )
})

test('a chain of a hundred thousand is walked without recursion', () => {
  const length = 100_000
  const next = (node: number) => (node < length ? [node + 1] : [])
  expect(ringMembers([0], next).size).toBe(0)
  expect(ringMembers([0], (node) => (node < length ? [node + 1] : [0])).size).toBe(length + 1)
})
