/** @module Owners of groups: the same everywhere, by weight, over zones, and few moves when a member comes or goes. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  groupCount,
  groupOf,
  naturalLog,
  ownersOf,
  type PlacementMember,
} from '../../../src/mesh/placement.ts'
import { parseDigest } from '../../../src/registry/digest.ts'
import { unwrap } from '../../../src/registry/result.ts'

const groups = Array.from({ length: groupCount }, (_, at) => at)

function member(number: number, weight = 1, zone = ''): PlacementMember {
  return { number, weight, zone }
}

/** Copies that have to be made: owners that were none before, for each member. */
function moved(
  before: readonly PlacementMember[],
  after: readonly PlacementMember[],
  count: number,
): Map<number, number> {
  const moves = new Map<number, number>()
  for (const group of groups) {
    const old = new Set(ownersOf(group, before, count))
    for (const owner of ownersOf(group, after, count)) {
      if (!old.has(owner)) moves.set(owner, (moves.get(owner) ?? 0) + 1)
    }
  }
  return moves
}

function sharesOf(members: readonly PlacementMember[], count: number): Map<number, number> {
  const shares = new Map<number, number>()
  for (const group of groups) {
    for (const owner of ownersOf(group, members, count)) {
      shares.set(owner, (shares.get(owner) ?? 0) + 1)
    }
  }
  return shares
}

/** How often a member is among two that are drawn by weight, one after the other. */
function drawnOfTwo(members: readonly PlacementMember[], number: number): number {
  const sum = members.reduce((all, { weight }) => all + weight, 0)
  const own = members.find((it) => it.number === number)!.weight
  return members.reduce((chance, { weight, number: other }) => {
    return other === number ? chance : chance + (weight / sum) * (own / (sum - weight))
  }, own / sum)
}

const sumOf = (counts: ReadonlyMap<number, number>) =>
  [...counts.values()].reduce((sum, count) => sum + count, 0)

/** Distinct members of some weights and zones. */
const someMembers = fc.uniqueArray(
  fc.record({
    number: fc.integer({ min: 1, max: 500 }),
    weight: fc.constantFrom(0.25, 1, 1.82, 4, 16),
    zone: fc.constantFrom('', 'a', 'b', 'c'),
  }),
  { minLength: 1, maxLength: 8, selector: ({ number }) => number },
)
const someGroup = fc.integer({ min: 0, max: groupCount - 1 })

describe('owners', () => {
  test('are the same on every machine and in every version', () => {
    const members = [member(1), member(2, 2, 'b'), member(3, 1.82, 'b'), member(7, 0.5, 'c')]
    const found = [0, 1, 2, 1000, 4095].map((group) => ownersOf(group, members, 3).join(' '))
    expect(found).toEqual(KNOWN)
  })

  test('depend on no order of the members', () => {
    fc.assert(
      fc.property(someMembers, someGroup, fc.nat(5), fc.nat(), (members, group, count, turn) => {
        const cut = turn % members.length
        const other = [...members.slice(cut), ...members.slice(0, cut)].reverse()
        expect(ownersOf(group, other, count)).toEqual(ownersOf(group, members, count))
      }),
    )
  })

  test('are distinct members, in as many zones as there are', () => {
    fc.assert(
      fc.property(someMembers, someGroup, fc.nat(5), (members, group, count) => {
        const owners = ownersOf(group, members, count)
        expect(new Set(owners).size).toBe(Math.min(count, members.length))
        const zoneOf = new Map(members.map(({ number, zone }) => [number, zone]))
        const zones = new Set(owners.map((owner) => zoneOf.get(owner)))
        const all = new Set(zoneOf.values())
        expect(zones.size).toBe(Math.min(count, all.size))
      }),
    )
  })

  test('of fewer are the first of more', () => {
    fc.assert(
      fc.property(someMembers, someGroup, (members, group) => {
        const all = ownersOf(group, members, 8)
        expect(ownersOf(group, members, 2)).toEqual(all.slice(0, 2))
      }),
    )
  })

  test('have room for files', () => {
    expect(ownersOf(5, [member(1, 0), member(2)], 2)).toEqual([2])
    expect(ownersOf(5, [], 2)).toEqual([])
  })
})

describe('balance', () => {
  test.each([1, 2, 4])('%i owners of equal members come to the same', (count) => {
    const members = Array.from({ length: 6 }, (_, at) => member(at + 1))
    const fair = (groupCount * count) / members.length
    for (const [number, share] of sharesOf(members, count)) {
      expect(share / fair, `member ${number}`).toBeGreaterThan(0.92)
      expect(share / fair, `member ${number}`).toBeLessThan(1.08)
    }
  })

  test('two owners are drawn one after the other, by weight', () => {
    const members = [member(1, 1), member(2, 2), member(3, 4), member(4, 1.5)]
    const shares = sharesOf(members, 2)
    for (const { number } of members) {
      const share = (shares.get(number) ?? 0) / groupCount
      expect(Math.abs(share - drawnOfTwo(members, number)), `member ${number}`).toBeLessThan(0.025)
    }
  })

  test('the first owner follows the weights', () => {
    const members = [member(1, 1), member(2, 2), member(3, 4), member(4, 1.5), member(5, 8)]
    const weights = members.reduce((sum, { weight }) => sum + weight, 0)
    const shares = sharesOf(members, 1)
    for (const { number, weight } of members) {
      const share = (shares.get(number) ?? 0) / groupCount
      expect(Math.abs(share - weight / weights), `member ${number}`).toBeLessThan(0.025)
    }
  })
})

describe('moves', () => {
  const sets: readonly (readonly [string, readonly PlacementMember[]])[] = [
    ['equal', [1, 2, 3, 4].map((number) => member(number))],
    ['of some weights', [member(1, 1), member(2, 2), member(3, 4), member(4, 1)]],
    ['in two zones', [member(1, 1, 'a'), member(2, 1, 'a'), member(3, 1, 'b'), member(4, 1, 'b')]],
    ['in four zones', ['a', 'b', 'c', 'd'].map((zone, at) => member(at + 1, 1, zone))],
  ]

  test.each(sets)('members %s: a new one gets its share, and nothing else moves', (_, members) => {
    const zone = members.at(-1)!.zone
    const joined = [...members, member(9, 1, zone)]
    const moves = moved(members, joined, 2)
    expect([...moves.keys()]).toEqual([9])
    const share = sharesOf(joined, 2).get(9) ?? 0
    expect(sumOf(moves)).toBe(share)
    if (zone === '') expect(share / groupCount / drawnOfTwo(joined, 9)).toBeLessThan(1.05)
  })

  test.each(sets)(
    'members %s: what one had moves when it leaves, and nothing else',
    (_, members) => {
      const left = members.slice(1)
      const moves = moved(members, left, 2)
      expect(sumOf(moves)).toBe(sharesOf(members, 2).get(members[0]!.number))
    },
  )

  test('no less moves than equal members must get, by a twentieth', () => {
    const members = Array.from({ length: 5 }, (_, at) => member(at + 1))
    const moves = sumOf(moved(members, [...members, member(6)], 2))
    const optimum = (2 * groupCount) / 6
    expect(Math.abs(moves / optimum - 1)).toBeLessThan(0.05)
  })

  test('a member that grows gets more, and gives nothing to another', () => {
    const before = [member(1), member(2), member(3), member(4)]
    const after = [member(1, 2), ...before.slice(1)]
    expect([...moved(before, after, 2).keys()]).toEqual([1])
  })
})

describe('numbers', () => {
  test('the logarithm is that of the language, to the last bits', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-15, max: 1 - 1e-15, noNaN: true }), (value) => {
        const wanted = Math.log(value)
        expect(Math.abs(naturalLog(value) - wanted)).toBeLessThanOrEqual(4e-15 * Math.abs(wanted))
      }),
    )
  })

  test('the group of a digest is its first 12 bits', () => {
    const digest = (start: string) => unwrap(parseDigest(`sha256:${start.padEnd(64, '0')}`))
    expect(groupOf(digest('fff0'))).toBe(4095)
    expect(groupOf(digest('00a'))).toBe(10)
    expect(groupOf(unwrap(parseDigest(`sha512:${'123'.padEnd(128, 'f')}`)))).toBe(0x123)
  })
})

/** Groups 0, 1, 2, 1000 and 4095. A change of these moves every file of every mesh. */
const KNOWN = ['3 1 7', '7 1 2', '1 3 7', '2 1 7', '3 1 7']
