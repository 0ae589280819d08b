/** Who was away for too long. */
import { expect, test } from 'vitest'
import { Away } from '../../../../src/mesh/membership/away.ts'
import type { MeshMember } from '../../../../src/mesh/peers/peers.ts'
import type { MemberState } from '../../../../src/metadata/rows/mesh.ts'
import { factsOf } from '../../../support/mesh/member-facts.ts'

const members = (...states: MemberState[]): MeshMember[] =>
  states.map((state, at) => ({ number: at + 1, ...factsOf(`n${at + 1}`), state }))

test('a member is out when it was away for the whole time, without a break', () => {
  const away = new Away(1_000)
  const all = members('active', 'active')
  const look = (now: number, ...present: number[]) =>
    away.look(all, (member) => present.includes(member), now)
  expect(look(0, 1)).toEqual([])
  expect(look(999, 1)).toEqual([])
  expect(look(1_000, 1)).toEqual([2])
  expect(look(1_100, 1, 2)).toEqual([])
  expect(look(1_200, 1)).toEqual([])
  expect(look(2_199, 1)).toEqual([])
  expect(look(2_200, 1)).toEqual([2])
})

test('who takes over begins again, and only active members can be out', () => {
  const away = new Away(1_000)
  const none = () => false
  expect(away.look(members('active', 'draining', 'joining', 'out', 'left'), none, 0)).toEqual([])
  away.forget()
  expect(away.look(members('active'), none, 5_000)).toEqual([])
  expect(away.look(members('active', 'draining', 'joining', 'out', 'left'), none, 6_000)).toEqual([
    1,
  ])
})
