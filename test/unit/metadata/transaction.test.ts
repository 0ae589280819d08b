/**
 * @module Transactions as data, where their changes meet each other.
 */
import { expect, test } from 'vitest'
import { applyTogether } from '../../../src/metadata/apply/transaction.ts'
import type { RowAccess } from '../../../src/metadata/row-access.ts'
import type { Transaction } from '../../../src/metadata/transaction.ts'
import { digestOfText } from '../../support/store.ts'

test('a raise after a delete in the same transaction does nothing', () => {
  const key = digestOfText('x')
  const blobs = new Map<unknown, unknown>([
    [key, { sizeBytes: 1, place: 'inline', createdAt: 1, linkedAt: 1 }],
  ])
  const rows: RowAccess = {
    get: (database, at) => (database === 'blobs' ? blobs.get(at) : undefined),
    put: (database, at, row) => database === 'blobs' && blobs.set(at, row),
    delete: (database, at) => database === 'blobs' && blobs.delete(at),
    firstKeys: () => [],
    keysFrom: () => [],
  }
  const transaction: Transaction = {
    checks: [],
    changes: [
      { change: 'delete', in: 'blobs', key },
      { change: 'raise', in: 'blobs', key, at: 2 },
    ],
  }
  expect(applyTogether(rows, [[transaction]])).toEqual([[{ applied: true }]])
  expect(blobs.size).toBe(0)
})
