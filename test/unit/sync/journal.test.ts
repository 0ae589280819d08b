/** @module The journal of the syncs: what is noted is read at once, and written soon, once and in order. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { SyncTagRow } from '../../../src/metadata/rows/upstream.ts'
import { SyncJournal } from '../../../src/sync/journal.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { asDigest, sha256 } from '../../support/registry-client.ts'

const it = { source: 'quay', repository: 'org/app', tag: 'v1' }
const key = [it.source, it.repository, it.tag] as const
const digest = asDigest(sha256('v1'))

function row(outcome: string, at = 1): SyncTagRow {
  return { local: 'mirror/app', outcome, at, attempts: 0, upstream: digest }
}

/** With the turns that a commit takes. */
async function aSecond(): Promise<void> {
  await vi.advanceTimersByTimeAsync(1_000)
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

let metadata: MemoryMetadataStore
let journal: SyncJournal

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  metadata = new MemoryMetadataStore()
  journal = new SyncJournal(metadata)
})

afterEach(() => {
  vi.useRealTimers()
})

describe('notes of tags', () => {
  test('are read immediately, and written together within a second', async () => {
    for (let at = 0; at < 150; at += 1) {
      await journal.noteTag({ ...it, tag: `v${at}` }, row('copied', at))
    }
    expect(journal.tag({ ...it, tag: 'v149' })?.at).toBe(149)
    expect(metadata.commitCount).toBe(0)
    await aSecond()
    expect(metadata.commitCount).toBe(1)
    expect(metadata.get('syncTags', [...key.slice(0, 2), 'v149'] as never)).toMatchObject({
      at: 149,
    })
  })

  test('are written when many wait, whatever the time', async () => {
    for (let at = 0; at < 1_000; at += 1) {
      await journal.noteTag({ ...it, tag: `v${at}` }, row('copied', at))
    }
    expect(metadata.count('syncTags')).toBe(1_000)
  })

  test('are not written over the row of a move that follows', async () => {
    await journal.noteTag(it, row('failed', 1))
    await journal.settle(it)
    const move = journal.withMove(it, row('copied', 2))
    const committed = metadata.commit({ checks: [], changes: [move.change] })
    // The second ends while the move is on its way.
    await aSecond()
    await committed
    move.written()
    await journal.flush()
    expect(metadata.get('syncTags', key as never)).toMatchObject({ outcome: 'copied', at: 2 })
    expect(metadata.commitCount).toBe(2)
  })

  test('can be taken back', async () => {
    await journal.noteTag(it, row('copied'))
    await journal.flush()
    await journal.noteTag(it, undefined)
    expect(journal.tag(it)).toBeUndefined()
    await journal.flush()
    expect(metadata.get('syncTags', key)).toBeUndefined()
  })

  test('that wait do not undo what a move has written since', async () => {
    await journal.noteTag(it, row('failed'))
    const { change, written } = journal.withMove(it, row('copied', 2))
    await metadata.commit({ checks: [], changes: [change] })
    written()
    await journal.flush()
    expect(journal.tag(it)?.outcome).toBe('copied')
    expect(metadata.get('syncTags', key)?.outcome).toBe('copied')
  })

  test('that came after a move stay', async () => {
    const { change, written } = journal.withMove(it, row('copied'))
    await journal.noteTag(it, row('failed', 2))
    await metadata.commit({ checks: [], changes: [change] })
    written()
    await journal.flush()
    expect(metadata.get('syncTags', key)?.outcome).toBe('failed')
  })

  test('survive a disk that refuses, and the next one hears of it', async () => {
    metadata.failure = new Error('full')
    await journal.noteTag(it, row('copied'))
    await aSecond()
    await expect(journal.noteTag({ ...it, tag: 'v2' }, row('copied'))).rejects.toThrow('full')
    metadata.failure = undefined
    await journal.flush()
    expect(metadata.count('syncTags')).toBe(2)
  })

  test('are listed by repository, with what waited', async () => {
    await journal.noteTag(it, row('copied'))
    await journal.noteTag({ ...it, repository: 'org/other' }, row('copied'))
    const found: string[] = []
    for await (const { tag } of journal.tags('quay', 'org/app')) found.push(tag)
    expect(found).toEqual(['v1'])
  })
})

test('the last hundred runs of a source stay, the newest first', async () => {
  for (let at = 1; at <= 120; at += 1) {
    await journal.putRun('quay', {
      startedAt: at,
      by: 'schedule',
      isListingComplete: true,
      counts: {},
    })
  }
  await journal.putRun('other', { startedAt: 1, by: 'x', isListingComplete: true, counts: {} })
  const runs = journal.runs('quay')
  expect(runs.map(({ startedAt }) => startedAt)).toEqual(
    Array.from({ length: 100 }, (_, index) => 120 - index),
  )
  // The end of a run is the same row.
  const ended = {
    startedAt: 120,
    endedAt: 130,
    by: 'schedule',
    isListingComplete: true,
    counts: {},
  }
  await journal.putRun('quay', ended)
  expect(metadata.count('syncRuns')).toBe(101)
  expect(journal.runs('quay', 1)).toEqual([ended])
})

test('a repository and the state of a source are what was noted last', async () => {
  const repository = { local: 'a', fingerprint: 'f', isListingComplete: true, watermark: 7 }
  await journal.noteRepository('quay', 'org/app', repository)
  expect(journal.repository('quay', 'org/app')).toEqual(repository)
  await journal.putState('quay', { isPaused: true, hasTick: false })
  expect(journal.state('quay')).toEqual({ isPaused: true, hasTick: false })
  const found: unknown[] = []
  for await (const one of journal.repositories('quay')) found.push(one)
  expect(found).toEqual([{ repository: 'org/app', row: repository }])
})
