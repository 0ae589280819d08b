/**
 * @module The log on three real etcd members that are killed, stopped and started again.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { EtcdError } from '../../../src/metadata/log/etcd/errors.ts'
import type { EtcdLog } from '../../../src/metadata/log/etcd/log.ts'
import type { EtcdReport } from '../../../src/metadata/log/etcd/report.ts'
import { EtcdCluster, type EtcdMember, etcdVersion, needEtcd } from '../../support/mesh/etcd.ts'
import { type Following, followFrom } from '../../support/mesh/follow.ts'

needEtcd()

let etcd: EtcdCluster
let logs: EtcdLog[] = []
let clusters = 0

beforeAll(async () => {
  if (etcdVersion !== undefined) etcd = await EtcdCluster.start()
})

beforeEach(() => {
  clusters += 1
})

afterEach(async () => {
  await Promise.all(logs.map((log) => log.close()))
  logs = []
  await etcd?.revive()
})

afterAll(async () => {
  await etcd?.stop()
})

/** A log of this test's cluster on these members, in this order. */
function on(members: readonly EtcdMember[], reports: EtcdReport[] = []): EtcdLog {
  const log = etcd.log({
    cluster: `faults-${clusters}`,
    endpoints: members.map(({ endpoint }) => endpoint),
    report: (report) => reports.push(report),
  })
  logs.push(log)
  return log
}

/** What a node does: the same entry again until one of its appends resolves. */
async function appendSurely(log: EtcdLog, entry: string): Promise<void> {
  const end = performance.now() + 15_000
  for (;;) {
    try {
      await log.append(Buffer.from(entry))
      return
    } catch (error) {
      if (!(error instanceof EtcdError) || error.code !== 'no-quorum') throw error
      if (performance.now() > end) throw error
      await new Promise(setImmediate)
    }
  }
}

/** The entries without those that an append which had no answer wrote twice. */
function textsOf({ entries }: Following): readonly string[] {
  return [...new Set(entries.map(({ bytes }) => Buffer.from(bytes).toString()))]
}

function numbers(count: number): readonly string[] {
  return Array.from({ length: count }, (_, at) => `${at + 1}`)
}

/** Appends the numbers from `from` to `to` and waits until the follower has the last one. */
async function run(log: EtcdLog, following: Following, from: number, to: number) {
  for (let at = from; at <= to; at += 1) await appendSurely(log, `${at}`)
  await following.until(await log.head())
}

describe('a follower', () => {
  test.each(['follower', 'leader'] as const)(
    'survives the loss of its member, a %s',
    async (role) => {
      const { leader, others } = await etcd.roles()
      const victim = role === 'leader' ? leader : others[0]!
      const rest = etcd.members.filter((member) => member !== victim)
      const reports: EtcdReport[] = []
      const log = on([victim, ...rest], reports)
      await log.create(Buffer.from('1'))
      const following = followFrom(log)
      const writer = on(rest)
      await run(writer, following, 2, 10)
      await victim.kill()
      await run(writer, following, 11, 20)
      victim.start()
      await etcd.ready()
      await run(writer, following, 21, 30)
      expect(textsOf(following)).toEqual(numbers(30))
      expect(reports.map(({ kind }) => kind)).toContain('failed')
      expect(following.isCut).toBe(false)
      following.stop()
    },
  )

  test('moves on from a member that stands still, as soon as it knows of an entry', async () => {
    const { leader, others } = await etcd.roles()
    const victim = others[0]!
    const reports: EtcdReport[] = []
    const log = on([victim, others[1]!, leader], reports)
    await log.create(Buffer.from('1'))
    const following = followFrom(log)
    await run(log, following, 2, 5)
    victim.stopTime()
    try {
      // Its own append goes elsewhere after a try; then the watch has 2.5 s.
      await appendSurely(log, '6')
      const resolved = performance.now()
      await following.until(6, 6000)
      const took = performance.now() - resolved
      expect(took).toBeGreaterThan(2000)
      expect(took).toBeLessThan(4500)
      expect(reports.map(({ kind }) => kind)).toContain('silent')
      // One that begins at such a member hears of the head from another one.
      const beginner = on([victim, others[1]!, leader])
      const late = followFrom(beginner)
      await late.until(6, 6000)
      late.stop()
    } finally {
      victim.goOn()
    }
    await run(log, following, 7, 10)
    expect(textsOf(following)).toEqual(numbers(10))
    following.stop()
  })
})

describe('all members', () => {
  test('can be killed at once: what was appended is there, and followers go on', async () => {
    const log = on(etcd.members)
    await log.create(Buffer.from('1'))
    const [early, idle] = [followFrom(log), followFrom(on(etcd.members))]
    await run(log, early, 2, 20)
    await Promise.all(etcd.members.map((member) => member.kill()))
    await expect(log.append(Buffer.from('21'))).rejects.toMatchObject({ code: 'no-quorum' })
    for (const member of etcd.members) member.start()
    await run(log, early, 21, 40)
    await idle.until(await log.head())
    const late = followFrom(on(etcd.members))
    await late.until(await log.head())
    for (const one of [early, idle, late]) {
      expect(textsOf(one)).toEqual(numbers(40))
      one.stop()
    }
  })

  test('killed one after the other under load lose nothing that was appended', async () => {
    const log = on(etcd.members)
    await log.create(Buffer.from('first'))
    const followers = etcd.members.map((member, at) =>
      followFrom(on([member, ...etcd.members.filter((_, other) => other !== at)])),
    )
    const appended: string[] = []
    let isOver = false
    const writers = [log, on([...etcd.members].reverse())].map(async (writer, node) => {
      for (let at = 1; !isOver; at += 1) {
        await appendSurely(writer, `${node}.${at}`)
        appended.push(`${node}.${at}`)
      }
    })
    for (const member of etcd.members) {
      await member.kill()
      // There is load while it is gone, and it is back before the next one goes.
      const { length } = appended
      while (appended.length < length + 20) await new Promise(setImmediate)
      member.start()
      await etcd.ready()
    }
    isOver = true
    await Promise.all(writers)
    const head = await log.head()
    for (const one of followers) {
      await one.until(head)
      const found = new Set(textsOf(one))
      expect(appended.filter((entry) => !found.has(entry))).toEqual([])
      expect(textsOf(one)).toEqual(textsOf(followers[0]!))
      one.stop()
    }
  })
})

describe('without a majority', () => {
  test('every question is refused in its time, and answered when there is one again', async () => {
    const log = on(etcd.members)
    await log.create(Buffer.from('1'))
    const following = followFrom(log)
    await following.until(1)
    const [first, second] = etcd.members
    await Promise.all([first!.kill(), second!.kill()])
    const timed = async (work: Promise<unknown>) => {
      const start = performance.now()
      await expect(work).rejects.toMatchObject({ code: 'no-quorum' })
      return performance.now() - start
    }
    const [append, ...asked] = await Promise.all([
      timed(log.append(Buffer.from('2'))),
      timed(log.head()),
      timed(log.identity()),
      timed(log.truncate(following.place)),
    ])
    expect(append).toBeLessThan(2500)
    for (const took of asked) expect(took).toBeLessThan(7000)
    // Closing waits for nothing.
    const closing = on(etcd.members)
    const head = closing.head().catch(({ code }) => code)
    await closing.close()
    expect(await head).toBe('closed')
    first!.start()
    second!.start()
    await run(log, following, 3, 5)
    expect(textsOf(following)).toEqual(expect.arrayContaining(['1', '3', '4', '5']))
    following.stop()
  })
})
