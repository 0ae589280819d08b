/** When the mesh goes by newer rules. */
import { expect, test } from 'vitest'
import { LevelWatch, levelOfAll, levelOfRows } from '../../../src/mesh/level-watch.ts'
import type { MemberState } from '../../../src/metadata/rows/mesh.ts'
import { factsOf } from '../../support/mesh/member-facts.ts'

type Member = readonly [state: MemberState, level: number | undefined]

function rowsOf(inForce: number | undefined, ...members: readonly Member[]) {
  return {
    entries: () =>
      members.map(([state], at) => {
        return { key: String(at + 1), row: { ...factsOf(`n${at + 1}`), state, since: 1 } }
      }),
    get: (table: string, key: string) => {
      if (table === 'cluster') return inForce === undefined ? undefined : { level: inForce }
      const level = members[Number(key) - 1]![1]
      return level === 0 ? undefined : { ...(level !== undefined && { level }) }
    },
  } as unknown as Parameters<typeof levelOfAll>[0]
}

test('the programs of all members that have not left decide', () => {
  expect(levelOfRows(rowsOf(undefined))).toBe(1)
  expect(levelOfAll(rowsOf(undefined, ['active', 3], ['draining', 2]))).toBe(2)
  expect(levelOfAll(rowsOf(1, ['active', 3], ['out', undefined]))).toBe(1)
  expect(levelOfAll(rowsOf(1, ['active', 3], ['left', 1]))).toBe(3)
  expect(levelOfAll(rowsOf(1, ['active', 3], ['witness', 0]))).toBe(3)
  // It has never come in: its program is not known.
  expect(levelOfAll(rowsOf(1, ['active', 3], ['joining', 0]))).toBe(1)
})

test('they are in force when all have known them for a while', () => {
  const watch = new LevelWatch(1_000)
  const all = rowsOf(1, ['active', 2], ['active', 2])
  expect(watch.look(all, 0)).toBeUndefined()
  expect(watch.look(all, 999)).toBeUndefined()
  expect(watch.look(all, 1_000)).toBe(2)
  expect(watch.look(rowsOf(2, ['active', 2]), 5_000)).toBeUndefined()
})

test('a node that goes back to the program of before, or another lead, begins the while again', () => {
  const watch = new LevelWatch(1_000)
  const all = rowsOf(1, ['active', 2], ['active', 2])
  watch.look(all, 0)
  watch.look(rowsOf(1, ['active', 2], ['active', 1]), 500)
  expect(watch.look(all, 1_000)).toBeUndefined()
  watch.forget()
  expect(watch.look(all, 2_100)).toBeUndefined()
  expect(watch.look(all, 3_100)).toBe(2)
})
