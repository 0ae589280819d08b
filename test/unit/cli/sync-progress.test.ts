/**
 * @module The line of progress of a synchronisation.
 */
import { expect, test } from 'vitest'
import { bar } from '../../../src/cli/bar.ts'
import { progressOf, type SyncState } from '../../../src/cli/commands/sync-progress.ts'

const state: SyncState = {
  state: 'running',
  phase: 'copying',
  listing_complete: true,
  rate: 1_200_000,
  eta_seconds: 25,
  counts: {},
  failures: [],
  Progress: {
    TotalTags: 40,
    SyncedTags: 28,
    FailedTags: 2,
    BytesTotal: 2_000_000,
    BytesSynced: 500_000,
  },
}

test('a bar is as full as the work is done', () => {
  expect(bar(0, 0)).toBe(`[${'-'.repeat(30)}]`)
  expect(bar(15, 30)).toBe(`[${'#'.repeat(15)}${'-'.repeat(15)}]`)
  expect(bar(40, 30)).toBe(`[${'#'.repeat(30)}]`)
})

test('a run that copies has tags, bytes, rate and time left', () => {
  expect(progressOf(state)).toBe(
    `copying ${bar(30, 40)} 30 of 40 tags, 0.5 of 2.0 MB, 1.2 MB/s, 2 failed, 25 s left`,
  )
})

test('sums that still grow are marked', () => {
  const { eta_seconds: _eta, ...listing } = { ...state, listing_complete: false }
  expect(progressOf(listing)).toMatch(/30 of 40\+ tags, .*failed$/)
})

test('a run that waits says what for, and one without numbers its phase', () => {
  const { phase: _phase, ...rest } = state
  const waiting = { ...rest, state: 'waiting', message: 'for space', Progress: null }
  expect(progressOf(waiting)).toBe('waiting: for space')
  expect(progressOf({ ...state, phase: 'probing', Progress: null })).toBe('probing')
})

test.each([
  [119, '119 s left'],
  [121, '3 min left'],
  [8_000, '3 h left'],
])('%d seconds are %s', (eta_seconds, text) => {
  expect(progressOf({ ...state, eta_seconds })).toContain(text)
})
