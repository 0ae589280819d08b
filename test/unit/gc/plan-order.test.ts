/** @module The order of a plan's items: what must hold, what gives way, what stays as it came. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Edge, inOrder } from '../../../src/gc/plan/order.ts'

test('without edges the order stays', () => {
  expect(inOrder(['c', 'a', 'b'], [], [])).toEqual(['c', 'a', 'b'])
})

test('an index goes before what it lists, a subject before what refers to it', () => {
  const items = ['signature', 'child', 'index']
  expect(inOrder(items, [['index', 'child']], [['child', 'signature']])).toEqual([
    'index',
    'child',
    'signature',
  ])
})

test('an index that lists its own subject goes before it', () => {
  expect(inOrder(['child', 'index'], [['index', 'child']], [['child', 'index']])).toEqual([
    'index',
    'child',
  ])
})

test('a cycle gives way at an index, not at what only refers to something in it', () => {
  const must: Edge<string>[] = [['index', 'child']]
  const should: Edge<string>[] = [
    ['child', 'index'],
    ['child', 'signature'],
  ]
  expect(inOrder(['signature', 'index', 'child'], must, should)).toEqual([
    'index',
    'child',
    'signature',
  ])
})

const size = 8
const pair = fc.tuple(fc.nat({ max: size - 1 }), fc.nat({ max: size - 1 }))
const items = Array.from({ length: size }, (_, number) => number)

test('every item comes once, and what must be before others is', () => {
  fc.assert(
    fc.property(fc.array(pair), fc.array(pair), (hard, soft) => {
      const must = hard.filter(([before, after]) => before < after) as Edge<number>[]
      const order = inOrder([...items].reverse(), must, soft as Edge<number>[])
      expect([...order].sort()).toEqual(items)
      for (const [before, after] of must) {
        expect(order.indexOf(before)).toBeLessThan(order.indexOf(after))
      }
    }),
  )
})

test('wishes without a cycle are all fulfilled', () => {
  fc.assert(
    fc.property(fc.array(pair), fc.array(pair), (hard, soft) => {
      const forwards = (edges: typeof hard) => edges.filter(([before, after]) => before < after)
      const wishes = forwards(soft) as Edge<number>[]
      const order = inOrder([...items].reverse(), forwards(hard) as Edge<number>[], wishes)
      for (const [before, after] of wishes) {
        expect(order.indexOf(before)).toBeLessThan(order.indexOf(after))
      }
    }),
  )
})
