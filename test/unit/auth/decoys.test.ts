/**
 * @module What unknown names cost: like the users, and always the same.
 */
import { expect, test } from 'vitest'
import { costWarning, Decoys } from '../../../src/auth/decoys.ts'
import { costOf } from '../../../src/auth/htpasswd.ts'

/** As many users of each cost as are asked for. */
function usersOf(costs: Readonly<Record<number, number>>): Map<string, string> {
  const users = new Map<string, string>()
  for (const [cost, count] of Object.entries(costs)) {
    for (let number = 0; number < count; number += 1) {
      users.set(`${cost}-${number}`, `$2b$${cost.padStart(2, '0')}$${'a'.repeat(53)}`)
    }
  }
  return users
}

const names = Array.from({ length: 2_000 }, (_, number) => `name-${number}`)
const sharesOf = (decoys: Decoys) => {
  const shares = new Map<number, number>()
  for (const name of names) {
    const cost = costOf(decoys.hashFor(name))
    shares.set(cost, (shares.get(cost) ?? 0) + 1 / names.length)
  }
  return shares
}

test('with one cost every name has it; without users the usual one', () => {
  expect([...sharesOf(new Decoys(usersOf({ 12: 3 }), 's')).keys()]).toEqual([12])
  expect([...sharesOf(new Decoys(new Map(), 's')).keys()]).toEqual([10])
})

test('with several costs names are spread like the users', () => {
  const shares = sharesOf(new Decoys(usersOf({ 4: 60, 10: 30, 12: 10 }), 'secret'))
  expect(shares.get(4)).toBeCloseTo(0.6, 1)
  expect(shares.get(10)).toBeCloseTo(0.3, 1)
  expect(shares.get(12)).toBeCloseTo(0.1, 1)
})

test('a name keeps its cost; one more user moves few; the secret decides which', () => {
  const hashes = (costs: Record<number, number>, secret: string) => {
    const decoys = new Decoys(usersOf(costs), secret)
    return names.map((name) => decoys.hashFor(name))
  }
  const moved = (a: string[], b: string[]) => a.filter((hash, at) => hash !== b[at]).length
  const first = hashes({ 4: 50, 10: 50 }, 'one')
  expect(hashes({ 4: 50, 10: 50 }, 'one')).toEqual(first)
  expect(moved(first, hashes({ 4: 51, 10: 50 }, 'one'))).toBeLessThan(names.length / 50)
  expect(moved(first, hashes({ 4: 50, 10: 50 }, 'two'))).toBeGreaterThan(names.length / 3)
})

test('different costs are worth a warning, one cost is not', () => {
  expect(costWarning(usersOf({ 4: 1, 12: 1 }))).toContain('4, 12')
  expect(costWarning(usersOf({ 10: 5 }))).toBeUndefined()
  expect(costWarning(new Map())).toBeUndefined()
})
