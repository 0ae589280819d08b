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

test('bytes of a tag in work count as soon as they are known, and once it has ended as they were', () => {
  const tally = tallyOf()
  const watch = () => tally.watch('app', 'v1')
  tally.begin('app', 'v1')
  watch().planned(70)
  // A copy that is begun again plans again.
  const second = watch()
  second.planned(40)
  second.planned(60)
  expect(tally.progress).toMatchObject({ bytesTotal: 100, bytesSynced: 0 })
  const counts = { ...noCounts(), downloadedBytes: 60, linkedBytes: 40 }
  tally.ended('app', 'v1', { outcome: 'copied', counts })
  expect(tally.progress).toMatchObject({ bytesTotal: 100, bytesSynced: 100 })
})

test('the phase is the one of referrers once nothing but these is on its way', () => {
  const tally = tallyOf()
  tally.phase = 'copying'
  tally.begin('app', 'v1')
  tally.begin('app', 'v2')
  tally.watch('app', 'v1').attaching()
  expect(tally.phase).toBe('copying')
  tally.watch('app', 'v2').attaching()
  expect(tally.phase).toBe('referrers')
  tally.ended('app', 'v2', copied)
  tally.stopped('app', 'v1')
  expect(tally.phase).toBe('copying')
})
