import { expect, test } from 'vitest'
import { HeldSessions } from '../../../../src/metadata/log/held-sessions.ts'
import type { RowAccess } from '../../../../src/metadata/row-access.ts'

/** Pieces by member, and how often they were looked for. */
function piecesOf(member: string) {
  let asked = 0
  const keys = new Set<string>()
  const store: RowAccess = {
    get: () => undefined,
    put: (_database, key) => void keys.add(String(key)),
    delete: (_database, key) => void keys.delete(String(key)),
    firstKeys: () => {
      asked += 1
      return [...keys].map((key) => key.split(','))
    },
    keysFrom: () => [],
  }
  const rows = new HeldSessions(store)
  return { keys, rows, count: () => rows.firstKeys('parts', [member]).length, asked: () => asked }
}

test('pieces are looked for once while there are none', () => {
  const { rows, count, asked } = piecesOf('1')
  expect([count(), count(), count()]).toEqual([0, 0, 0])
  expect(asked()).toBe(1)
  rows.put('parts', ['1', 'a'], new Uint8Array(1))
  expect(count()).toBe(1)
})

test('pieces that are back because nothing was applied are found', () => {
  const { rows, keys, count } = piecesOf('1')
  rows.put('parts', ['1', 'a'], new Uint8Array(1))
  rows.delete('parts', ['1', 'a'])
  expect(count()).toBe(0)
  // The transaction was given up: the store has what it had.
  keys.add('1,a')
  rows.abandon()
  expect(count()).toBe(1)
})
