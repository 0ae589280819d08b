/**
 * @module The log on three real etcd members that are all well.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EtcdLog } from '../../../src/metadata/log/etcd/log.ts'
import type { EtcdReport } from '../../../src/metadata/log/etcd/report.ts'
import { EtcdCluster, etcdVersion, needEtcd } from '../../support/mesh/etcd.ts'
import { type Following, followFrom, START } from '../../support/mesh/follow.ts'

needEtcd()

let etcd: EtcdCluster
const open = new Set<EtcdLog>()
let logs = 0

beforeAll(async () => {
  if (etcdVersion !== undefined) etcd = await EtcdCluster.start()
})

afterAll(async () => {
  await Promise.all([...open].map((log) => log.close()))
  await etcd?.stop()
})

/** A log of a cluster of its own, with one entry. */
async function created(cluster = `own-${++logs}`): Promise<{ log: EtcdLog; cluster: string }> {
  const log = opened(cluster)
  expect(await log.create(text('first'))).toBe(true)
  return { log, cluster }
}

function opened(cluster: string, options: Partial<Parameters<EtcdCluster['log']>[0]> = {}) {
  const log = etcd.log({ ...options, cluster })
  open.add(log)
  return log
}

function text(value: string): Uint8Array {
  return Buffer.from(value)
}

function textsOf({ entries }: Following): readonly string[] {
  return entries.map(({ bytes }) => Buffer.from(bytes).toString())
}

describe('a log in etcd', () => {
  test('is created once, however many nodes try', async () => {
    const nodes = Array.from({ length: 5 }, () => opened('race'))
    const outcomes = await Promise.all(nodes.map((log, at) => log.create(text(`of ${at}`))))
    expect(outcomes.filter(Boolean)).toHaveLength(1)
    const identities = await Promise.all(nodes.map((log) => log.identity()))
    expect(new Set(identities).size).toBe(1)
    expect(identities[0]).toMatch(/^etcd:[0-9a-f]{16}:\d+:[0-9a-f]{32}$/)
    const following = followFrom(nodes[0]!)
    await following.until(1)
    expect(textsOf(following)).toEqual([`of ${outcomes.indexOf(true)}`])
    following.stop()
  })

  test('is not there before it was created, and nothing is appended then', async () => {
    const log = opened('nothing')
    expect(await log.identity()).toBeUndefined()
    expect(await log.head()).toBe(0)
    await expect(log.append(text('lost'))).rejects.toMatchObject({ code: 'missing' })
    expect(await log.create(text('first'))).toBe(true)
    expect(await log.head()).toBe(1)
  })

  test('gives every follower all entries in one order, without holes', async () => {
    const { cluster } = await created()
    const nodes = etcd.endpoints.map((endpoint) => opened(cluster, { endpoints: [endpoint] }))
    const followers = [followFrom(nodes[0]!), followFrom(nodes[1]!)]
    const each = 200
    await Promise.all(
      nodes.map(async (log, node) => {
        for (let at = 0; at < each; at += 1) await log.append(text(`${node}.${at}`))
      }),
    )
    const late = followFrom(nodes[2]!)
    for (const one of [...followers, late]) await one.until(3 * each + 1)
    const [first, ...others] = [...followers, late].map(textsOf)
    for (const other of others) expect(other).toEqual(first)
    for (const node of [0, 1, 2]) {
      const own = first!.filter((entry) => entry.startsWith(`${node}.`))
      expect(own).toEqual(Array.from({ length: each }, (_, at) => `${node}.${at}`))
    }
    for (const one of [...followers, late]) one.stop()
  })

  test('has a head that no append before it is behind', async () => {
    const { log, cluster } = await created()
    const other = opened(cluster, { endpoints: [etcd.endpoints[1]!] })
    for (let appended = 1; appended <= 50; appended += 1) {
      await log.append(text(`${appended}`))
      expect(await other.head()).toBeGreaterThanOrEqual(appended + 1)
    }
    expect(await other.head()).toBe(51)
  })

  test('goes on from a place, in the middle and at the end', async () => {
    const { log } = await created()
    for (let at = 2; at <= 10; at += 1) await log.append(text(`${at}`))
    const all = followFrom(log)
    await all.until(10)
    const { index, token } = all.entries[4]!
    const middle = followFrom(log, { index, token })
    const end = followFrom(log, all.place)
    await log.append(text('11'))
    await Promise.all([middle.until(11), end.until(11)])
    expect(textsOf(middle)).toEqual(['6', '7', '8', '9', '10', '11'])
    expect(textsOf(end)).toEqual(['11'])
    for (const one of [all, middle, end]) one.stop()
  })

  test('takes entries of 512 KiB, and refuses one that etcd would not take', async () => {
    const { log } = await created()
    const following = followFrom(log)
    const large = Array.from({ length: 8 }, (_, at) => Buffer.alloc(512 * 1024, at + 1))
    await Promise.all(large.map((entry) => log.append(entry)))
    // A second follower is given them from history, in fragments.
    const late = followFrom(log)
    for (const one of [following, late]) {
      await one.until(9)
      const found = one.entries.slice(1).map(({ bytes }) => Buffer.from(bytes))
      expect(found.sort(Buffer.compare).every((entry, at) => entry.equals(large[at]!))).toBe(true)
      one.stop()
    }
    const tooLarge = log.append(new Uint8Array(1024 * 1024 + 1))
    await expect(tooLarge).rejects.toMatchObject({ code: 'too-large' })
  })

  test('says of an etcd before 3.5 that it is old', async () => {
    const reports: EtcdReport[] = []
    const log = opened('version', { report: (report) => reports.push(report) })
    await log.identity()
    await log.status()
    const isOld = etcdVersion!.startsWith('3.4.')
    expect(reports.map(({ kind }) => kind)).toEqual(isOld ? ['version'] : [])
  })
})

describe('truncation', () => {
  test('cuts a follower that is behind it, and no other', async () => {
    const { log } = await created()
    const running = followFrom(log)
    for (let at = 2; at <= 20; at += 1) await log.append(text(`${at}`))
    await running.until(20)
    const [before, at] = [running.entries[8]!, running.entries[9]!]
    await log.truncate({ index: at.index, token: at.token })
    await log.append(text('21'))
    await running.until(21)
    expect(running.isCut).toBe(false)

    const behind = followFrom(log, running.entries[7])
    await behind.untilCut()
    expect(behind.entries).toEqual([])
    const fromStart = followFrom(log, START)
    await fromStart.untilCut()
    // The entry at the place itself is still there, and so is all behind it.
    for (const [place, count] of [
      [before, 12],
      [at, 11],
    ] as const) {
      const following = followFrom(log, place)
      await following.until(21)
      expect(following.entries).toHaveLength(count)
      following.stop()
    }
    // Again, and further back: done already.
    await log.truncate(at)
    await log.truncate(before)
    running.stop()
  })

  test('does not disturb a follower that runs, at any moment', async () => {
    const { log } = await created()
    const following = followFrom(log)
    const appends = (async () => {
      for (let at = 2; at <= 400; at += 1) await log.append(text(`${at}`))
    })()
    while (following.place.index < 400) {
      const { place } = following
      if (place.index > 0) await log.truncate(place)
      await following.until(Math.min(400, place.index + 20))
    }
    await appends
    expect(following.isCut).toBe(false)
    expect(textsOf(following).slice(1)).toEqual(Array.from({ length: 399 }, (_, at) => `${at + 2}`))
    following.stop()
  })

  test('of other keys of a shared etcd cuts off no follower that misses nothing', async () => {
    const { log, cluster } = await created()
    const { log: busy } = await created()
    const all = followFrom(log)
    await log.append(text('2'))
    await all.until(2)
    const others = followFrom(busy)
    for (let at = 0; at < 20; at += 1) await busy.append(text('other'))
    await others.until(21)
    await busy.truncate(others.place)
    // It has everything, and its next revision is one that etcd has forgotten.
    const resumed = followFrom(opened(cluster), all.place)
    // It lacks the last entry alone, which is older than the compaction and still there.
    const nearly = followFrom(opened(cluster), all.entries[0])
    await nearly.until(2)
    await log.append(text('3'))
    await Promise.all([resumed.until(3), nearly.until(3)])
    expect([textsOf(resumed), textsOf(nearly)]).toEqual([['3'], ['2', '3']])
    for (const one of [all, others, resumed, nearly]) one.stop()
  })

  test('is left to etcd where it is told so', async () => {
    const { log, cluster } = await created()
    const shared = opened(cluster, { compact: false })
    for (let at = 2; at <= 5; at += 1) await log.append(text(`${at}`))
    const following = followFrom(shared)
    await following.until(5)
    await shared.truncate(following.place)
    const again = followFrom(shared)
    await again.until(5)
    for (const one of [following, again]) one.stop()
  })
})

describe('closing', () => {
  test('ends everything that is under way, at every moment', async () => {
    const { cluster } = await created()
    for (let turn = 0; turn < 20; turn += 1) {
      const log = opened(cluster)
      const following = followFrom(log)
      const calls = [
        log.append(text('maybe')),
        log.head(),
        log.identity(),
        log.truncate({ index: 1, token: '2' }),
        log.append(text('maybe')),
      ].map((call) => call.then(() => 'done').catch(({ code }) => code))
      for (let at = 0; at < turn * 3; at += 1) await new Promise(setImmediate)
      await log.close()
      for (const outcome of await Promise.all(calls)) expect(['done', 'closed']).toContain(outcome)
      const count = following.entries.length
      await expect(log.append(text('late'))).rejects.toMatchObject({ code: 'closed' })
      await expect(log.head()).rejects.toMatchObject({ code: 'closed' })
      expect(following.entries).toHaveLength(count)
      following.stop()
    }
  })
})
