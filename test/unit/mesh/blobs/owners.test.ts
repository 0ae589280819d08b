/** @module The members that are to keep a file: chosen for an upload, and asked for a blob. */
import { describe, expect, test } from 'vitest'
import { Owners } from '../../../../src/mesh/blobs/owners.ts'
import type { Burden } from '../../../../src/mesh/blobs/push/rooms.ts'
import type { MeshMember } from '../../../../src/mesh/peers/peers.ts'
import type { MemberState } from '../../../../src/metadata/rows/mesh.ts'
import { digestOf } from '../../../../src/registry/hasher.ts'
import { systemRandom } from '../../../../src/runtime/random.ts'
import { factsOf } from '../../../support/mesh/member-facts.ts'

function membersOf(states: readonly MemberState[]): MeshMember[] {
  return states.map((state, at) => ({ number: at + 1, ...factsOf(`n${at + 1}`), state }))
}

function ownersOf(
  states: readonly MemberState[],
  {
    self = 1,
    present = [2, 3, 4, 5],
    replicationFactor = 2,
    writeCopies = 0,
    full = [] as number[],
    burdens = {} as Readonly<Record<number, Partial<Burden>>>,
  } = {},
) {
  const state = { members: membersOf(states), present, chosen: [] as number[][] }
  const owners = new Owners({
    self,
    members: () => state.members,
    present: () => state.present,
    replicationFactor: () => replicationFactor,
    writeCopies,
    hasRoom: (member) => !full.includes(member),
    burdenOf: (member) => ({ used: undefined, files: 0, ...burdens[member] }),
    onChosen: (others) => state.chosen.push([...others]),
  })
  return { owners, state }
}

const active = (count: number): MemberState[] => Array.from({ length: count }, () => 'active')
const digest = digestOf('sha256', Buffer.from('some blob'))

describe('the group of a new file', () => {
  test('is owned by this node and by others that run', () => {
    const { owners } = ownersOf(active(5), { present: [2, 4] })
    for (let turn = 0; turn < 50; turn += 1) {
      const choice = owners.choose(systemRandom, new Set())!
      expect(choice.owners).toHaveLength(2)
      expect(choice.owners).toContain(1)
      expect([2, 4]).toContain(choice.owners.find((it) => it !== 1))
      expect(owners.of(choice.group)).toEqual(choice.owners)
    }
  })

  test('leaves out members that have not taken the file', () => {
    const { owners } = ownersOf(active(3))
    for (let turn = 0; turn < 50; turn += 1) {
      expect(owners.choose(systemRandom, new Set([2]))!.owners).not.toContain(2)
    }
    expect(owners.choose(systemRandom, new Set([2, 3]))).toBeUndefined()
  })

  test('leaves out members that have no room, as long as enough have some', () => {
    const { owners } = ownersOf(active(4), { full: [2, 4] })
    for (let turn = 0; turn < 50; turn += 1) {
      expect([...owners.choose(systemRandom, new Set())!.owners].sort()).toEqual([1, 3])
    }
    const all = ownersOf(active(3), { full: [2], replicationFactor: 3 }).owners
    expect(all.choose(systemRandom, new Set())!.owners).toHaveLength(3)
    const none = ownersOf(active(3), { full: [2, 3] }).owners
    expect(none.choose(systemRandom, new Set())).toBeUndefined()
    expect(none.choose(systemRandom, new Set(), 1)!.owners).toContain(1)
  })

  test('goes to the others that get the fewest files now, and is counted for them', () => {
    const burdens = { 1: { files: 99 }, 2: { files: 5 }, 3: { files: 1 }, 4: { files: 2 } }
    const { owners, state } = ownersOf(active(4), { burdens })
    for (let turn = 0; turn < 20; turn += 1) {
      expect([...owners.choose(systemRandom, new Set())!.owners].sort()).toEqual([1, 3])
    }
    expect(state.chosen).toEqual(Array(20).fill([3]))
    // One that does not run takes nothing, however few it gets.
    const away = ownersOf(active(4), { burdens, present: [2, 4] }).owners
    expect(away.choose(systemRandom, new Set())!.owners).toContain(4)
  })

  test('is not owned by a node whose disk is much fuller than those of others, where others can', () => {
    const at = (...used: (number | undefined)[]) =>
      Object.fromEntries(used.map((it, place) => [place + 1, { used: it }]))
    const chosen = (burdens: Readonly<Record<number, Partial<Burden>>>, count = 4) => {
      const { owners } = ownersOf(active(count), { burdens })
      const all = Array.from({ length: 60 }, () => owners.choose(systemRandom, new Set())!.owners)
      return [...new Set(all.flat())].sort()
    }
    expect(chosen(at(500, 500, 900, 500))).toEqual([1, 2, 4])
    expect(chosen(at(900, 500, 500, 500))).toEqual([2, 3, 4])
    // Some thousandths are no matter.
    expect(chosen(at(530, 500, 500, 500))).toEqual([1, 2, 3, 4])
    expect(chosen(at(undefined, undefined, undefined, undefined))).toEqual([1, 2, 3, 4])
    expect(chosen(at(500, 900), 2)).toEqual([1, 2])
  })

  test('is owned by others where this node has no room', () => {
    const { owners } = ownersOf(active(4), { full: [1] })
    expect(owners.choose(systemRandom, new Set())!.owners).not.toContain(1)
  })

  test('is owned by others where this node may own nothing new', () => {
    const { owners } = ownersOf(['draining', 'active', 'active', 'active'])
    const choice = owners.choose(systemRandom, new Set())!
    expect(choice.owners).toHaveLength(2)
    expect(choice.owners).not.toContain(1)
  })

  test('needs as many copies as were set, and no more than there are', () => {
    const copies = (writeCopies: number, replicationFactor: number, count: number) =>
      ownersOf(active(count), { writeCopies, replicationFactor }).owners.writeCopies
    expect(copies(3, 3, 4)).toBe(3)
    expect(copies(1, 3, 4)).toBe(1)
    expect(copies(3, 2, 4)).toBe(2)
    expect(copies(3, 3, 2)).toBe(2)
  })

  test('needs as many copies as there are members, two at most', () => {
    expect(ownersOf(active(1)).owners.writeCopies).toBe(1)
    expect(ownersOf(active(2)).owners.writeCopies).toBe(2)
    expect(ownersOf(active(5), { replicationFactor: 3 }).owners.writeCopies).toBe(2)
    expect(ownersOf(['active', 'draining', 'out', 'joining']).owners.writeCopies).toBe(1)
    expect(ownersOf(active(1)).owners.choose(systemRandom, new Set())!.owners).toEqual([1])
  })
})

describe('the members that are asked for a blob', () => {
  test('are its owners that run, then its owners, then all others but this one', () => {
    const { owners, state } = ownersOf(['active', 'active', 'active', 'active', 'draining'], {
      self: 5,
    })
    const group = 17
    const [first, second] = owners.of(group)
    state.present = [1, 2, 3, 4].filter((it) => it !== first)
    const asked = owners.sources(digest, { group })!
    expect(asked.slice(0, 2)).toEqual([second, first])
    expect([...asked].sort()).toEqual([1, 2, 3, 4])
  })

  test('are not known to a node that does not know its own mesh', () => {
    const { owners, state } = ownersOf(active(3))
    state.members = []
    expect(owners.sources(digest, {})).toBeUndefined()
    state.members = membersOf(active(1))
    expect(owners.sources(digest, {})).toEqual([])
  })

  test('are the same when the same members are told again', () => {
    const { owners, state } = ownersOf(active(3))
    const before = owners.members
    state.members = membersOf(active(3))
    expect(owners.members).toBe(before)
    state.members = membersOf(['active', 'active', 'draining'])
    expect(owners.members).not.toBe(before)
  })

  test('are others when members have changed', () => {
    const { owners, state } = ownersOf(active(2))
    expect([...owners.of(5)].sort()).toEqual([1, 2])
    state.members = membersOf(['active', 'left', 'active'])
    expect([...owners.of(5)].sort()).toEqual([1, 3])
  })
})

test('the number of files of a blob may become known later: owners are others then', () => {
  let factor = 1
  const all = membersOf(active(3))
  const owners = new Owners({
    self: 1,
    members: () => all,
    present: () => [2, 3],
    replicationFactor: () => factor,
  })
  const before = owners.members
  expect([owners.of(7).length, owners.writeCopies]).toEqual([1, 1])
  expect(owners.members).toBe(before)
  factor = 3
  expect([owners.of(7).length, owners.writeCopies]).toEqual([3, 2])
  expect(owners.members).not.toBe(before)
})
