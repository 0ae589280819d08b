/**
 * @module Progress of a sync as a stream: what is told, how often, to whom, and when it ends.
 */
import { describe, expect, test } from 'vitest'
import { ProgressStreams, progressListenersMax } from '../../../../src/admin/sync/progress.ts'
import { type Asker, nobodyAsker, openAsker } from '../../../../src/auth/asker.ts'
import { FakeSyncs, idleStatus, runId, someProgress } from '../../../support/fake-syncs.ts'

const everyMs = 1

function makeSyncs(): FakeSyncs {
  return new FakeSyncs(idleStatus('one', { runningJob: runId, progress: someProgress }))
}

function open(streams: ProgressStreams, syncs: FakeSyncs, asker: Asker = openAsker) {
  const leaving = new AbortController()
  const { signal } = leaving
  const pieces = streams.open({ status: () => syncs.status('one'), asker, signal })
  return { leaving, pieces: pieces[Symbol.asyncIterator]() }
}

async function allOf(pieces: AsyncIterator<string>): Promise<string[]> {
  const all: string[] = []
  for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) {
    all.push(next.value)
  }
  return all
}

describe('a stream', () => {
  test('of a source that does not run is its status and an end', async () => {
    const syncs = new FakeSyncs(idleStatus('one', { lastResult: 'ok' }))
    const streams = new ProgressStreams(everyMs)
    const all = await allOf(open(streams, syncs).pieces)
    expect(all[0]).toMatch(/^event: progress\ndata: \{"Name":"one"/)
    expect(all[1]).toBe('event: end\ndata: {"result":"ok"}\n\n')
    expect(all).toHaveLength(2)
    expect(streams.openCount).toBe(0)
  })

  test('says nothing again that it has said, and that it is there', async () => {
    const syncs = makeSyncs()
    const { pieces } = open(new ProgressStreams(everyMs, 3), syncs)
    expect((await pieces.next()).value).toMatch(/"SyncedTags":30/)
    expect((await pieces.next()).value).toBe(': still here\n\n')
    syncs.set('one', { progress: { ...someProgress, syncedTags: 31 } })
    expect((await pieces.next()).value).toMatch(/"SyncedTags":31/)
    syncs.statuses.clear()
    expect((await pieces.next()).done).toBe(true)
  })

  test('ends with the rights of who listens', async () => {
    const syncs = makeSyncs()
    for (const renew of [async () => nobodyAsker, () => Promise.reject(new Error('gone'))]) {
      const streams = new ProgressStreams(everyMs, 2)
      const all = await allOf(open(streams, syncs, { ...openAsker, renew }).pieces)
      expect(all).toHaveLength(2)
      expect(all[1]).toMatch(/^event: end\ndata: \{"reason":"the credentials/)
      expect(streams.openCount).toBe(0)
    }
  })

  test('ends when the client leaves, also before it was read', async () => {
    const streams = new ProgressStreams(60_000)
    const { pieces, leaving } = open(streams, makeSyncs())
    await pieces.next()
    const waiting = pieces.next()
    leaving.abort()
    expect((await waiting).done).toBe(true)
    const unread = open(streams, makeSyncs())
    expect(streams.openCount).toBe(1)
    unread.leaving.abort()
    expect(streams.openCount).toBe(0)
  })

  test('is one of a bounded number', async () => {
    const streams = new ProgressStreams(60_000)
    const all = Array.from({ length: progressListenersMax }, () => open(streams, makeSyncs()))
    expect(() => open(streams, makeSyncs())).toThrow(/follow runs already/)
    await all[0]!.pieces.return!()
    expect(() => open(streams, makeSyncs())).not.toThrow()
    for (const { leaving } of all) leaving.abort()
    expect(streams.openCount).toBe(1)
  })
})
