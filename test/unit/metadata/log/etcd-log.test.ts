/**
 * @module The log in etcd against an etcd that follows a script: what no real one does on demand. Time
 * stands still until a test moves it.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EtcdLog } from '../../../../src/metadata/log/etcd/log.ts'
import { METHODS } from '../../../../src/metadata/log/etcd/messages.ts'
import type { EtcdReport } from '../../../../src/metadata/log/etcd/report.ts'
import { FakeEtcd, type FakeKv, REFUSED } from '../../../support/mesh/fake-etcd.ts'
import { FakeTime, settled } from '../../../support/mesh/fake-time.ts'
import { type Following, followFrom } from '../../../support/mesh/follow.ts'

const KEY = 'fastregistry/test/log/0'

let etcd: FakeEtcd
let time: FakeTime
let reports: EtcdReport[]
let logs: EtcdLog[]

beforeEach(() => {
  etcd = new FakeEtcd()
  time = new FakeTime()
  reports = []
  logs = []
})

afterEach(async () => {
  await Promise.all(logs.map((log) => log.close()))
  expect(etcd.open, 'a watch that was left open').toEqual([])
  expect(time.waiting, 'timers that were left').toBe(0)
})

function logOn(options: Partial<ConstructorParameters<typeof EtcdLog>[0]> = {}): EtcdLog {
  const { connect, names } = etcd
  const report = (one: EtcdReport) => reports.push(one)
  const log = new EtcdLog({ endpoints: names, cluster: 'test', connect, time, report, ...options })
  logs.push(log)
  return log
}

/** A log with entries 1 to `count`, whose bytes are their indexes. */
async function created(count = 1): Promise<EtcdLog> {
  const log = logOn()
  expect(await log.create(Buffer.from('1'))).toBe(true)
  for (let at = 2; at <= count; at += 1) etcd.put(KEY, `${at}`)
  return log
}

function textsOf({ entries }: Following): readonly string[] {
  return entries.map(({ bytes }) => Buffer.from(bytes).toString())
}

function kinds(): readonly string[] {
  return reports.map(({ kind }) => kind)
}

/** Settles the promise by moving the time on; the time that it took, and how it ended. */
async function timed(work: Promise<unknown>): Promise<{ ms: number; outcome: unknown }> {
  let outcome: unknown
  let isOver = false
  work
    .then(
      (value) => {
        outcome = value
      },
      ({ code }) => {
        outcome = code
      },
    )
    .finally(() => {
      isOver = true
    })
  const start = time.monotonic()
  await settled()
  while (!isOver) await time.advance(10)
  return { ms: time.monotonic() - start, outcome }
}

describe('an append', () => {
  test('goes to one endpoint once, and to the next one when it has failed', async () => {
    const log = await created()
    await log.identity()
    etcd.calls.length = 0
    etcd.manners[0] = REFUSED
    await expect(log.append(Buffer.from('2'))).rejects.toMatchObject({ code: 'no-quorum' })
    expect(etcd.calls.map(({ at }) => at)).toEqual([0])
    await log.append(Buffer.from('2'))
    expect(etcd.calls.map(({ at }) => at)).toEqual([0, 1])
  })

  test('is given up after 1.5 s, and may be in the log', async () => {
    const log = await created()
    etcd.isAnswerLost = true
    const lost = await timed(log.append(Buffer.from('2')))
    expect(lost).toEqual({ ms: 1500, outcome: 'no-quorum' })
    expect(await log.head()).toBe(2)
    etcd.manners[1] = 'silent'
    expect(await timed(log.append(Buffer.from('3')))).toEqual({ ms: 1500, outcome: 'no-quorum' })
  })

  test('that several wait for leaves the endpoint once', async () => {
    const log = await created()
    etcd.manners[0] = REFUSED
    const all = await Promise.allSettled([1, 2, 3].map(() => log.append(Buffer.from('x'))))
    expect(all.every(({ status }) => status === 'rejected')).toBe(true)
    etcd.calls.length = 0
    await log.append(Buffer.from('x'))
    expect(etcd.calls.map(({ at }) => at)).toEqual([1])
  })

  test.each([
    ['RESOURCE_EXHAUSTED', 'etcdserver: mvcc: database space exceeded', 'no-space'],
    ['RESOURCE_EXHAUSTED', 'etcdserver: too many requests', 'no-quorum'],
    ['INVALID_ARGUMENT', 'etcdserver: request is too large', 'too-large'],
    ['PERMISSION_DENIED', 'etcdserver: permission denied', 'denied'],
    ['INVALID_ARGUMENT', 'etcdserver: user name is empty', 'denied'],
    ['UNAUTHENTICATED', 'etcdserver: invalid auth token', 'denied'],
    ['UNAVAILABLE', 'No connection established. Last error: self-signed certificate', 'denied'],
    ['UNAVAILABLE', 'etcdserver: no leader', 'no-quorum'],
    ['UNAVAILABLE', 'etcdserver: request timed out', 'no-quorum'],
    ['DATA_LOSS', 'etcdserver: corrupt cluster', 'broken'],
    ['UNIMPLEMENTED', 'unknown service etcdserverpb.KV', 'malformed'],
    ['CANCELLED', '', 'no-quorum'],
  ])('that ends with %s, "%s" is %s', async (status, details, code) => {
    const log = await created()
    etcd.manners.fill({ status, details })
    await expect(log.append(Buffer.from('2'))).rejects.toMatchObject({ name: 'EtcdError', code })
  })

  test('to another etcd is refused when it answers', async () => {
    const log = await created()
    etcd.clusterId += 1n
    await expect(log.append(Buffer.from('2'))).rejects.toMatchObject({ code: 'changed' })
  })
})

describe('a question', () => {
  test('is put to every endpoint, in 1.5 s each and 4.5 s together', async () => {
    const log = await created()
    etcd.manners[0] = 'silent'
    etcd.manners[1] = REFUSED
    expect(await timed(log.head())).toEqual({ ms: 1500, outcome: 1 })
    etcd.manners.fill('silent')
    expect(await timed(log.head())).toMatchObject({ outcome: 'no-quorum' })
    const { ms } = await timed(log.identity())
    expect(ms).toBeGreaterThanOrEqual(4500)
    expect(ms).toBeLessThan(4700)
  })

  test('waits for an election, without a flood of tries', async () => {
    const log = await created()
    etcd.manners.fill({ status: 'UNAVAILABLE', details: 'etcdserver: no leader' })
    const head = log.head()
    await time.advance(1000)
    expect(etcd.calls.length).toBeLessThan(50)
    etcd.manners.fill('well')
    expect(await timed(head)).toEqual({ ms: 100, outcome: 1 })
  })

  test('that is denied everywhere is refused after a round', async () => {
    const log = await created()
    etcd.manners.fill({ status: 'PERMISSION_DENIED', details: '' })
    expect(await timed(log.head())).toEqual({ ms: 0, outcome: 'denied' })
    etcd.manners[1] = 'well'
    expect(await timed(log.head())).toEqual({ ms: 0, outcome: 1 })
  })

  test('of a truncation counts a compaction that was done before as done', async () => {
    const log = await created(5)
    const { mod } = etcd.at(KEY)!
    await log.truncate({ index: 5, token: String(mod) })
    expect(etcd.compacted).toBe(mod)
    await log.truncate({ index: 4, token: String(mod - 1) })
    expect(etcd.compacted).toBe(mod)
    await log.truncate({ index: 0, token: '' })
    await expect(log.truncate({ index: 1, token: 'x' })).rejects.toThrow(RangeError)
  })

  test('of a truncation never reaches another etcd, nor one that is left alone', async () => {
    const log = await created(5)
    const place = { index: 5, token: String(etcd.revision) }
    await logOn({ compact: false }).truncate(place)
    etcd.clusterId += 1n
    await expect(log.truncate(place)).rejects.toMatchObject({ code: 'changed' })
    expect(etcd.compacted).toBe(0)
  })
})

describe('the version', () => {
  test.each([
    ['3.4.23', true],
    ['3.5.0', false],
    ['3.7.3', false],
    ['3.8.0', true],
    ['4.0.0', true],
  ])('%s is reported once an endpoint: %s', async (version, isReported) => {
    etcd.version = version
    const log = await created()
    for (let at = 0; at < 5; at += 1) await log.head()
    await settled()
    expect(kinds()).toEqual(isReported ? ['version'] : [])
    expect(etcd.callsOf(0).filter((method) => method === 'Status')).toHaveLength(1)
  })
})

describe('a follower', () => {
  test('drops a batch with a hole, and watches again from its place', async () => {
    const log = await created(3)
    const following = followFrom(log)
    await settled()
    // Entry 4 is lost on its way; 5 comes.
    const [watch] = etcd.open
    etcd.isWatchSilent[0] = true
    etcd.put(KEY, '4')
    const five = etcd.put(KEY, '5')
    etcd.send(watch!, five)
    expect(watch!.isOpen).toBe(false)
    await time.advance(0)
    expect(textsOf(following)).toEqual(['1', '2', '3', '4', '5'])
    expect(kinds()).toEqual(['gap'])
    expect(etcd.open.map(({ at, start }) => [at, start])).toEqual([[1, five.mod - 1]])
  })

  test('drops all of a batch whose second entry is not the next', async () => {
    const log = await created(2)
    const following = followFrom(log)
    await settled()
    etcd.isWatchSilent.fill(true)
    const [three, , five] = ['3', '4', '5'].map((text) => etcd.put(KEY, text))
    etcd.send(etcd.open[0]!, three!, five!)
    expect(textsOf(following)).toEqual(['1', '2'])
    etcd.isWatchSilent.fill(false)
    await time.advance(0)
    expect(textsOf(following)).toEqual(['1', '2', '3', '4', '5'])
  })

  test('takes no entry twice, and none of an older time', async () => {
    const log = await created(3)
    const following = followFrom(log)
    await settled()
    const [watch] = etcd.open
    etcd.send(watch!, etcd.at(KEY)!)
    expect(watch!.isOpen).toBe(false)
    // What a watch says that was left is void.
    etcd.send(watch!, { ...etcd.at(KEY)!, version: 4, mod: etcd.revision + 1 })
    await time.advance(0)
    // The next version, with a revision that cannot be.
    const [again] = etcd.open
    etcd.send(again!, { ...etcd.at(KEY)!, version: 4 })
    expect(again!.isOpen).toBe(false)
    await time.advance(0)
    expect(textsOf(following)).toEqual(['1', '2', '3'])
    etcd.put(KEY, '4')
    await time.advance(1000)
    expect(textsOf(following)).toEqual(['1', '2', '3', '4'])
  })

  test('pauses longer and longer where a hole remains', async () => {
    const log = await created(2)
    const following = followFrom(log)
    await settled()
    etcd.isWatchSilent.fill(true)
    const three = etcd.put(KEY, '3')
    etcd.history = etcd.history.filter((kv) => kv !== three)
    etcd.isWatchSilent.fill(false)
    etcd.history.push({ ...three, version: 4, mod: three.mod + 1 })
    etcd.endWatches(0)
    const before = etcd.watches.length
    await time.advance(10_000)
    expect(etcd.watches.length - before).toBeGreaterThan(12)
    expect(etcd.watches.length - before).toBeLessThan(25)
    expect(textsOf(following)).toEqual(['1', '2'])
    etcd.history.push(three)
    etcd.history.sort((a, b) => a.mod - b.mod)
    await time.advance(1000)
    expect(textsOf(following)).toEqual(['1', '2', '3', '3'])
  })

  test.each([
    ['own append has resolved', (log: EtcdLog) => log.append(Buffer.from('3'))],
    [
      'head is known',
      async (log: EtcdLog) => {
        etcd.put(KEY, '3')
        await log.head()
      },
    ],
  ])('that is silent though an %s moves after 2.5 s', async (_, act) => {
    const log = await created(2)
    const following = followFrom(log)
    await settled()
    etcd.isWatchSilent[0] = true
    await time.advance(60_000)
    expect(etcd.open.map(({ at }) => at)).toEqual([0])
    await act(log)
    await time.advance(2490)
    expect(etcd.open.map(({ at }) => at)).toEqual([0])
    await time.advance(10)
    expect(etcd.open.map(({ at }) => at)).toEqual([1])
    expect(textsOf(following)).toEqual(['1', '2', '3'])
    expect(kinds()).toEqual(['silent'])
  })

  test('that shows entries stays, however many are still to come', async () => {
    const log = await created(1)
    const following = followFrom(log)
    await settled()
    etcd.isWatchSilent[0] = true
    const more = ['2', '3', '4', '5'].map((text) => etcd.put(KEY, text))
    await log.head()
    for (const kv of more) {
      await time.advance(2000)
      etcd.send(etcd.open[0]!, kv)
    }
    await time.advance(5000)
    expect(textsOf(following)).toEqual(['1', '2', '3', '4', '5'])
    expect([kinds(), etcd.watches.length]).toEqual([[], 1])
  })

  test('does not begin at an endpoint that does not answer', async () => {
    const log = await created(2)
    etcd.manners[0] = 'silent'
    // And not at one that answers questions, but opens no watch.
    etcd.isStreamDead[1] = true
    const following = followFrom(log)
    await time.advance(1500)
    expect(etcd.open.map(({ at }) => at)).toEqual([1])
    await time.advance(1499)
    expect(following.entries).toEqual([])
    await time.advance(1)
    expect(etcd.open.map(({ at }) => at)).toEqual([2])
    expect(textsOf(following)).toEqual(['1', '2'])
  })

  test('moves on when its watch ends, at once for a round, and then with pauses', async () => {
    const log = await created(2)
    const following = followFrom(log)
    await settled()
    etcd.endWatches(0)
    await time.advance(0)
    expect(etcd.open.map(({ at }) => at)).toEqual([1])
    etcd.manners.fill(REFUSED)
    etcd.endWatches(1)
    etcd.calls.length = 0
    await time.advance(60_000)
    expect(etcd.calls.length).toBeGreaterThan(55)
    expect(etcd.calls.length).toBeLessThan(75)
    // One report of an outage, not one a try.
    expect(kinds()).toEqual(['failed'])
    etcd.manners.fill('well')
    etcd.put(KEY, '3')
    await time.advance(1000)
    expect(textsOf(following)).toEqual(['1', '2', '3'])
  })

  test('opens another watch when its own is canceled, or speaks what is not understood', async () => {
    const log = await created(2)
    const following = followFrom(log)
    const messages = [
      etcd.watchAnswer({ canceled: { reason: 'etcdserver: no leader' } }),
      Uint8Array.of(0x0a, 0x05, 1),
      etcd.watchAnswer({
        events: [{ ...etcd.at(KEY)!, key: 'another', version: 3, mod: etcd.revision + 1 }],
      }),
    ]
    for (const message of messages) {
      await time.advance(1000)
      const [watch] = etcd.open
      watch!.end.onMessage(message)
      expect(watch!.isOpen).toBe(false)
    }
    etcd.put(KEY, '3')
    await time.advance(1000)
    expect(textsOf(following)).toEqual(['1', '2', '3'])
  })

  test.each([
    ['of another etcd', (kv: FakeKv) => etcd.watchAnswer({ events: [kv] }, etcd.clusterId + 1n)],
    ['created again', (kv: FakeKv) => etcd.watchAnswer({ events: [{ ...kv, create: 7 }] })],
    ['removed', (kv: FakeKv) => etcd.watchAnswer({ deleted: [kv] })],
  ])('takes nothing of a log that is %s, and says so', async (_, message) => {
    const log = await created(2)
    const following = followFrom(log)
    await settled()
    const [watch] = etcd.open
    watch!.end.onMessage(message({ ...etcd.at(KEY)!, version: 3, mod: etcd.revision + 1 }))
    expect(watch!.isOpen).toBe(false)
    expect([textsOf(following), kinds()]).toEqual([['1', '2'], ['changed']])
    // An append asks first which log it is now.
    etcd.manners.fill(REFUSED)
    etcd.calls.length = 0
    await timed(log.append(Buffer.from('x')))
    expect(new Set(etcd.calls.map(({ method }) => method))).toEqual(new Set([METHODS.range]))
    etcd.manners.fill('well')
    await time.advance(1000)
    etcd.put(KEY, '3')
    expect(textsOf(following)).toEqual(['1', '2', '3'])
    // It is the right one again: an append is a put alone.
    etcd.calls.length = 0
    await log.append(Buffer.from('4'))
    expect(etcd.calls.map(({ method }) => method)).toEqual([METHODS.put])
  })

  test('takes nothing while all endpoints are another etcd, whose log is longer', async () => {
    const log = await created(2)
    const following = followFrom(log)
    await settled()
    etcd.isWatchSilent.fill(true)
    etcd.put(KEY, '3')
    etcd.isWatchSilent.fill(false)
    etcd.clusterId += 1n
    etcd.endWatches(0)
    await time.advance(5000)
    expect([textsOf(following), kinds()]).toEqual([
      ['1', '2'],
      ['failed', 'changed'],
    ])
    etcd.clusterId -= 1n
    await time.advance(1000)
    expect(textsOf(following)).toEqual(['1', '2', '3'])
  })

  test('waits at its place when the log has gone back', async () => {
    const log = await created(2)
    const ahead = followFrom(log, { index: 3, token: String(etcd.revision + 1) })
    await time.advance(5000)
    expect(kinds()).toEqual(['changed'])
    expect(etcd.watches).toEqual([])
    expect(ahead.entries).toEqual([])
  })

  test('refuses the place of another engine', async () => {
    const log = await created(2)
    for (const token of ['', '0', '-1', '1.5', '01', 'x', '99999999999999999999']) {
      expect(() => followFrom(log, { index: 1, token })).toThrow(RangeError)
    }
  })
})

describe('a follower behind a compaction', () => {
  test('is told that it is cut, once, and asks no more', async () => {
    const log = await created(6)
    etcd.compacted = etcd.at(KEY)!.mod - 2
    const following = followFrom(log)
    await settled()
    expect(following.isCut).toBe(true)
    const { length } = etcd.calls
    await time.advance(60_000)
    expect(etcd.calls).toHaveLength(length)
    expect([following.entries, etcd.open]).toEqual([[], []])
  })

  test('is not cut when other keys alone were forgotten', async () => {
    const log = await created(3)
    const place = { index: 3, token: String(etcd.revision) }
    for (let at = 0; at < 5; at += 1) etcd.put('other', `${at}`)
    etcd.compacted = etcd.revision
    const following = followFrom(log, place)
    await settled()
    expect(following.isCut).toBe(false)
    etcd.put(KEY, '4')
    await settled()
    expect(textsOf(following)).toEqual(['4'])
  })

  test('is given the one entry that it lacks, and that is still there', async () => {
    const log = await created(3)
    const place = { index: 2, token: String(etcd.revision - 1) }
    for (let at = 0; at < 5; at += 1) etcd.put('other', `${at}`)
    etcd.compacted = etcd.revision
    const following = followFrom(log, place)
    await settled()
    etcd.put(KEY, '4')
    await settled()
    expect(textsOf(following)).toEqual(['3', '4'])
  })

  test('stops in the middle when it is told so', async () => {
    const log = await created(3)
    const place = { index: 2, token: String(etcd.revision - 1) }
    for (let at = 0; at < 5; at += 1) etcd.put('other', `${at}`)
    etcd.compacted = etcd.revision
    let entries = 0
    const stop = log.follow(place, {
      onEntries: () => {
        entries += 1
        stop()
      },
      onCut: () => expect.unreachable(),
    })
    await settled()
    etcd.put(KEY, '4')
    await time.advance(5000)
    expect(entries).toBe(1)
  })

  test('asks again when the next compaction comes between', async () => {
    const log = await created(3)
    const place = { index: 3, token: String(etcd.revision) }
    const following = followFrom(log, place)
    await settled()
    for (let at = 0; at < 5; at += 1) etcd.put('other', `${at}`)
    const old = etcd.revision - 2
    etcd.compacted = etcd.revision
    etcd.open[0]!.end.onMessage(etcd.watchAnswer({ canceled: { compactRevision: old } }))
    await time.advance(1000)
    etcd.put(KEY, '4')
    await time.advance(1000)
    expect([following.isCut, textsOf(following)]).toEqual([false, ['4']])
  })
})

describe('a log that is not there', () => {
  test('has head 0 and no identity; a follower waits for it', async () => {
    const log = logOn()
    expect([await log.head(), await log.identity()]).toEqual([0, undefined])
    const following = followFrom(log)
    await settled()
    await logOn().create(Buffer.from('1'))
    await time.advance(1000)
    expect(textsOf(following)).toEqual(['1'])
  })

  test('is none yet when something else has made its key', async () => {
    etcd.put(KEY, 'foreign')
    const log = logOn()
    await expect(log.head()).rejects.toMatchObject({ code: 'changed' })
    await expect(log.append(Buffer.from('x'))).rejects.toMatchObject({ code: 'changed' })
    // A name of a log that was removed is not its name.
    etcd.put(`${KEY}/name/${'0'.repeat(32)}`, '')
    await expect(logOn().identity()).rejects.toMatchObject({ code: 'changed' })
    expect(await log.create(Buffer.from('x')).catch(({ code }) => code)).toBe(false)
  })

  test('cannot be given a name with other signs, nor no endpoint', () => {
    const { connect } = etcd
    for (const cluster of ['', 'a/b', 'a b', 'ä', 'x'.repeat(65)]) {
      expect(
        () =>
          new EtcdLog({
            endpoints: ['h:1'],
            cluster,
            connect: () => connect(etcd.names[0]!, undefined),
          }),
      ).toThrow(RangeError)
    }
    expect(() => new EtcdLog({ endpoints: [], cluster: 'a', connect })).toThrow(RangeError)
  })
})

test('closing ends all that waits, and what comes behind it', async () => {
  const log = await created(2)
  const following = followFrom(log)
  await settled()
  etcd.manners.fill('silent')
  const waiting = [log.append(Buffer.from('3')), log.head(), log.identity()].map((call) =>
    call.catch(({ code }) => code),
  )
  await settled()
  await log.close()
  expect(await Promise.all(waiting)).toEqual(['closed', 'closed', 'closed'])
  expect([etcd.isClosed, etcd.open, time.waiting]).toEqual([true, [], 0])
  etcd.manners.fill('well')
  await expect(log.head()).rejects.toMatchObject({ code: 'closed' })
  const late = followFrom(log)
  await settled()
  expect([late.entries.length, following.entries.length]).toEqual([0, 2])
})
