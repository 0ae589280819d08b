/** @module What a run counts: whether it is whole, and since when something is missing. */
import { expect, test } from 'vitest'
import { SyncCounters } from '../../../../src/observability/metrics/sync.ts'
import { type CopyResult, noCounts } from '../../../../src/sync/copy/outcome.ts'
import { Tally } from '../../../../src/sync/runs/tally.ts'
import { FakeClock } from '../../../support/fake-clock.ts'

const failed: CopyResult = { outcome: 'failed', reason: 'timeout', counts: noCounts() }
const copied: CopyResult = { outcome: 'copied', counts: noCounts() }
const tallyOf = () => new Tally(new FakeClock(), new SyncCounters(), 'one')

test('the oldest tag that is not copied is the one that counts, until it is', () => {
  const tally = tallyOf()
  expect(tally.oldestLate).toBeUndefined()
  tally.late('app', 'v1', 5)
  tally.late('app', 'v2', 9)
  expect(tally.oldestLate).toBe(5)
  tally.ended('app', 'v1', copied)
  expect(tally.oldestLate).toBe(9)
})

test('a run is whole when all that failed was copied in the end', () => {
  const tally = tallyOf()
  tally.ended('app', 'v1', failed)
  expect(tally.isWhole).toBe(false)
  tally.again()
  tally.ended('app', 'v1', copied)
  expect(tally.isWhole).toBe(true)
  expect(tally.counts).toMatchObject({ copied: 1, failed: 0 })
})

test('a run without a signature that it wanted is not whole', () => {
  const tally = tallyOf()
  tally.ended('app', 'v1', copied)
  tally.leftOut()
  expect(tally.isWhole).toBe(false)
})
