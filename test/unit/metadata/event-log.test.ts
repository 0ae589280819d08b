/**
 * @module Numbers of events: given in the order in which they become visible, on LMDB and in memory,
 * by clocks of every kind.
 */

import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { EventTail } from '../../../src/admin/events/tail.ts'
import { secretFolder } from '../../../src/auth/secret-file.ts'
import { pruneHistory } from '../../../src/gc/prune-history.ts'
import {
  eventKey,
  lastEventNumber,
  numberBefore,
  oldestEventNumber,
} from '../../../src/metadata/event-log.ts'
import type { MetadataStore } from '../../../src/metadata/port.ts'
import { RowIds } from '../../../src/metadata/row-ids.ts'
import type { Change } from '../../../src/metadata/transaction.ts'
import { backup, restore } from '../../../src/storage/backup.ts'
import { expectDerived } from '../../support/derived.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { openStore, temporaryFolder } from '../../support/store.ts'

const event = (at: number, repository = 'team/app'): Change => ({
  change: 'event',
  in: 'events',
  row: { at, action: 'push', repository, by: 'test' },
})
const write = (store: MetadataStore, ...times: number[]) =>
  store.commit({ checks: [], changes: times.map((at) => event(at)) })

const everything = { repository: undefined, since: undefined, until: undefined, fits: () => true }

describe.each(['memory', 'lmdb'])('events in %s', (kind) => {
  const open = async () =>
    kind === 'memory'
      ? new MemoryMetadataStore()
      : (await openStore(await temporaryFolder())).storage.metadata

  test('are numbered in the order of the commits, whatever their times say', async () => {
    const store = await open()
    await Promise.all([write(store, 50, 40), write(store, 10), write(store, 60)])
    const rows = store.entries('events', [], undefined, 10)
    expect(rows.map(({ key }) => Number(key))).toEqual([1, 2, 3, 4])
    expect(rows.map(({ row }) => row.at)).toEqual([50, 40, 10, 60])
    expect(lastEventNumber(store)).toBe(4)
    expectDerived(store)
  })

  test('a transaction that is refused takes no number', async () => {
    const store = await open()
    await write(store, 1)
    const check = { check: 'present', in: 'system', key: 'no such row' } as const
    await store.commit({ checks: [check], changes: [event(2)] })
    await write(store, 3)
    expect(store.keys('events', [], undefined, 10)).toEqual([eventKey(1), eventKey(2)])
  })

  test('numbers go on behind those that were pruned', async () => {
    const store = await open()
    const clock = new FakeClock()
    await write(store, clock.now() - 91 * 86_400_000, clock.now() - 91 * 86_400_000)
    await pruneHistory(store, clock)
    expect(oldestEventNumber(store)).toBe(3)
    await write(store, clock.now())
    expect(store.keys('events', [], undefined, 10)).toEqual([eventKey(3)])
    expectDerived(store)
  })

  test('a time is looked for by halves, also where clocks were set back', async () => {
    const store = await open()
    // Forward, back, forward again.
    const times = [100, 200, 300, 150, 160, 310, 400, 90, 500]
    for (const at of times) await write(store, at)
    for (let at = 80; at <= 510; at += 5) {
      const number = numberBefore(store, at)
      // Everything up to it is older, and nothing is left out that need not be looked at.
      expect(times.slice(0, number).every((it) => it < at)).toBe(true)
      if (number < times.length)
        expect(times.slice(0, number + 1).some((it) => it >= at)).toBe(true)
    }
    const tail = new EventTail(store)
    for (const [since, until] of [
      [150, 311],
      [0, 1_000],
      [301, 400],
      [501, 600],
    ] as const) {
      const expected = times.flatMap((at, index) => (at >= since && at < until ? [index + 1] : []))
      const filter = { ...everything, since, until }
      const forward = await tail.forward(filter, undefined, 100)
      const backward = await tail.backward(filter, undefined, 100)
      expect(forward.events.map(({ number }) => number)).toEqual(expected)
      expect(backward.events.map(({ number }) => number)).toEqual(expected.toReversed())
    }
  })

  test('pages forward and backward have each event once', async () => {
    const store = await open()
    for (let batch = 0; batch < 7; batch += 1) {
      const changes = Array.from({ length: 50 }, (_, at) => event(at, at % 3 === 0 ? 'a' : 'b'))
      await store.commit({ checks: [], changes })
    }
    const tail = new EventTail(store)
    for (const repository of [undefined, 'a', 'b', 'none']) {
      const filter = { ...everything, repository }
      const wanted = store
        .entries('events', [], undefined, 1_000)
        .filter(({ row }) => repository === undefined || row.repository === repository)
        .map(({ key }) => Number(key))
      for (const limit of [1, 7, 100, 1_000]) {
        const forward: number[] = []
        let page = await tail.forward(filter, undefined, limit)
        forward.push(...page.events.map(({ number }) => number))
        while (page.hasMore) {
          page = await tail.forward(filter, page.last, limit)
          forward.push(...page.events.map(({ number }) => number))
        }
        expect(forward).toEqual(wanted)
        const backward: number[] = []
        page = await tail.backward(filter, undefined, limit)
        backward.push(...page.events.map(({ number }) => number))
        while (page.hasMore) {
          page = await tail.backward(filter, page.last, limit)
          backward.push(...page.events.map(({ number }) => number))
        }
        expect(backward).toEqual(wanted.toReversed())
      }
    }
  })

  test('ids of jobs sort in the order in which they were made, whatever the clock does', async () => {
    const store = await open()
    const clock = new FakeClock()
    const put = async (ids: RowIds) => {
      const key = ids.next()
      const row = { kind: 'x', state: 'done', by: 'x', createdAt: 1, counts: {} } as const
      await store.commit({ checks: [], changes: [{ change: 'put', in: 'jobs', key, row }] })
      return key
    }
    const made: string[] = []
    for (let run = 0; run < 4; run += 1) {
      // A new run of the server, with a clock that was set back.
      const ids = new RowIds(store, 'jobs', clock)
      for (let index = 0; index < 5; index += 1) {
        made.push(await put(ids))
        clock.advance(index % 2 === 0 ? -5_000 : 1_000)
      }
    }
    expect(new Set(made).size).toBe(made.length)
    expect(store.keys('jobs', [], undefined, 100)).toEqual(made)
  })
})

test('a copy begins at numbers that its model has not given, each time', async () => {
  const folder = await temporaryFolder()
  const clock = new FakeClock()
  const { storage } = await openStore(join(folder, 'live'))
  await write(storage.metadata, 9_000, 1)
  await backup(join(folder, 'live'), join(folder, 'backup'), secretFolder, clock)
  await write(storage.metadata, 3, 4, 5)
  const seen = lastEventNumber(storage.metadata)
  let last = seen
  for (const name of ['one', 'two']) {
    clock.advance(1_000)
    await restore(join(folder, 'backup'), join(folder, name), secretFolder, clock)
    const { metadata } = (await openStore(join(folder, name))).storage
    await write(metadata, 2)
    const numbers = metadata.keys('events', [], undefined, 10).map(Number)
    expect(numbers.slice(0, 2)).toEqual([1, 2])
    // A reader of the model goes on here: what is new is behind where it stands.
    expect(numbers.slice(2)).toHaveLength(1)
    expect(numbers[2]).toBeGreaterThan(last)
    expect(Number.isSafeInteger(numbers[2]! * 2)).toBe(true)
    last = numbers[2]!
    // The clock was behind the events of the backup: a time is still found.
    expect(numberBefore(metadata, 5_000)).toBe(0)
    await metadata.close()
  }
})
