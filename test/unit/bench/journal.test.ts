/**
 * @module The rows of a bench that was ended and goes on.
 */
import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { RowJournal, type RowOutcome } from '../../../bench/macro/journal.ts'
import { temporaryFolder } from '../../support/store.ts'

const measured = (id: string): RowOutcome => ({
  kind: 'measured',
  row: { id, title: id, unit: 'req/s', client: 'wrk', servers: { ours: { rate: 1 } }, notes: [] },
})

test('the same run goes on behind the rows that it has; what failed is tried again', async () => {
  const file = join(await temporaryFolder(), 'runs/journal')
  const first = new RowJournal(file, 'run 1')
  first.add(measured('a'))
  first.add({ kind: 'failed', id: 'b', reason: 'no room' })
  first.add({ kind: 'skipped', id: 'c', reason: 'no peer' })
  const second = new RowJournal(file, 'run 1')
  expect(second.get('a')).toEqual(measured('a'))
  expect(second.get('b')).toBeUndefined()
  expect(second.get('c')).toMatchObject({ kind: 'skipped' })
})

test('a row that was being written when the run was ended is measured again', async () => {
  const file = join(await temporaryFolder(), 'journal')
  new RowJournal(file, 'run 1').add(measured('a'))
  appendFileSync(file, '{"kind":"measured","row":{"id":"b"')
  const second = new RowJournal(file, 'run 1')
  expect(second.get('b')).toBeUndefined()
  second.add(measured('b'))
  expect(new RowJournal(file, 'run 1').get('b')).toEqual(measured('b'))
})

test('another run begins anew', async () => {
  const file = join(await temporaryFolder(), 'journal')
  new RowJournal(file, 'run 1').add(measured('a'))
  expect(new RowJournal(file, 'run 2').get('a')).toBeUndefined()
  expect(readFileSync(file, 'utf8')).toBe('run 2\n')
})

test('without a file nothing is kept', async () => {
  const journal = new RowJournal(undefined, 'run 1')
  journal.add(measured('a'))
  expect(journal.get('a')).toBeUndefined()
})
