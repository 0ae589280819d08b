/** @module What failures of an upstream are called in the results of a sync. */
import { expect, test } from 'vitest'
import { SYNC_REASONS, SyncError } from '../../../../src/sync/port.ts'
import { retryAtOf, toSyncError } from '../../../../src/sync/sources/failures.ts'
import { FAILURES, type Failure, UpstreamError } from '../../../../src/upstream/error.ts'

test.each([
  ['auth', 'credentials', false],
  ['hidden', 'denied', false],
  ['denied', 'denied', false],
  ['dns', 'unreachable', true],
  ['timeout', 'timeout', true],
  ['stall', 'timeout', true],
  ['busy', 'timeout', true],
  ['tls', 'tls', true],
  ['limited', 'rate-limited', true],
  ['server', 'upstream-error', true],
  ['garbage', 'upstream-error', true],
  ['redirect', 'upstream-error', false],
  ['rejected', 'upstream-error', false],
] as const)('%s is %s, worth another try: %s', (kind, reason, isPassing) => {
  expect(toSyncError(new UpstreamError(kind, 'x'))).toMatchObject({
    reason,
    isPassing,
    message: 'x',
  })
})

test.each([
  ['limited', 'rate-limited'],
  ['tls', 'tls'],
  [undefined, 'unreachable'],
] as const)('an open breaker is what opened it: %s', (kind, reason) => {
  const cause = kind === undefined ? undefined : new UpstreamError(kind, 'x')
  expect(toSyncError(new UpstreamError('circuit', 'x', { cause })).reason).toBe(reason)
})

test('every kind has a word', () => {
  for (const kind of FAILURES) {
    expect(SYNC_REASONS).toContain(toSyncError(new UpstreamError(kind as Failure, 'x')).reason)
  }
})

test('what is one already stays, and other errors are ours', () => {
  const own = new SyncError('collision', 'x')
  expect(toSyncError(own)).toBe(own)
  expect(toSyncError(new TypeError('x'))).toMatchObject({ reason: 'internal', isPassing: false })
})

test('the time to ask again is kept', () => {
  const limited = new UpstreamError('limited', 'x', { retryAt: 5 })
  expect([retryAtOf(limited), retryAtOf(toSyncError(limited)), retryAtOf(new Error('x'))]).toEqual([
    5,
    5,
    undefined,
  ])
})
