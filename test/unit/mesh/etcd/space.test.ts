/**
 * @module An etcd that is full gets room: truncation, one member after the other, then the alarm.
 */
import { describe, expect, test } from 'vitest'
import type { ListedMember } from '../../../../src/mesh/etcd/messages.ts'
import { freeSpace, type SpaceOptions } from '../../../../src/mesh/etcd/space.ts'
import { SpaceWatch } from '../../../../src/mesh/etcd/space-watch.ts'
import { EtcdError } from '../../../../src/metadata/log/etcd/errors.ts'
import { FakeTime } from '../../../support/mesh/fake-time.ts'

/** Three members, of which the first leads. */
class FullEtcd {
  readonly calls: string[] = []
  readonly alarmed = new Set([1n, 2n])
  inUse = 100
  size = 80
  fault: string | undefined
  isLead = true

  readonly members: SpaceOptions['members'] = {
    list: () => Promise.resolve([1n, 2n, 3n].map((id) => this.#listed(id))),
    alarms: () =>
      Promise.resolve(
        [...this.alarmed].map((memberId) => ({ memberId, kind: 'no-space' as const })),
      ),
    status: () =>
      Promise.resolve({
        header: { clusterId: 1n, revision: 1 },
        ...{ version: '3.6.1', dbBytes: this.size, dbBytesInUse: this.inUse, errors: [] },
        ...{ leader: 1n, memberId: 1n },
      }),
    defragment: (endpoint) => this.#do(`defragment ${endpoint}`),
    disarm: (id) => this.#do(`disarm ${id}`),
  }

  truncate = () => this.#do('truncate')

  #do(call: string): Promise<void> {
    if (call === this.fault) return Promise.reject(new EtcdError('no-quorum', 'gone'))
    this.calls.push(call)
    return Promise.resolve()
  }

  #listed(id: bigint): ListedMember {
    const url = `http://127.0.0.1:${id}`
    return { id, name: `m${id}`, peerUrls: [url], clientUrls: [url], isLearner: false }
  }
}

const free = (etcd: FullEtcd, time = new FakeTime()) =>
  freeSpace({
    members: etcd.members,
    isLead: () => etcd.isLead,
    truncate: etcd.truncate,
    quotaBytes: 100,
    time,
  })

const ALL = [
  'truncate',
  'defragment 127.0.0.1:2',
  'defragment 127.0.0.1:3',
  'defragment 127.0.0.1:1',
]

describe('an etcd that is full', () => {
  test('is truncated, then defragmented with the leader last, then disarmed', async () => {
    const etcd = new FullEtcd()
    const time = new FakeTime()
    const freed = free(etcd, time)
    await time.advance(1000)
    // Compaction goes on after its answer.
    expect(etcd.calls).toEqual(['truncate'])
    etcd.inUse = 80
    await time.advance(1000)
    expect(await freed).toBe('freed')
    expect(etcd.calls).toEqual([...ALL, 'disarm 1', 'disarm 2'])
  })

  test('keeps its alarm when its file does not shrink', async () => {
    const etcd = new FullEtcd()
    etcd.size = 81
    const time = new FakeTime()
    const freed = free(etcd, time)
    await time.advance(10_000)
    expect(await freed).toBe('full')
    const tries = Array.from({ length: 3 }, () => 'defragment 127.0.0.1:2')
    expect(etcd.calls).toEqual(['truncate', ...tries])
  })

  test('is defragmented though it does not say that it was compacted', async () => {
    const etcd = new FullEtcd()
    const time = new FakeTime()
    const freed = free(etcd, time)
    await time.advance(10_000)
    expect(await freed).toBe('freed')
    expect(etcd.calls).toEqual([...ALL, 'disarm 1', 'disarm 2'])
  })

  test('keeps its alarm while a member could not be defragmented', async () => {
    const etcd = new FullEtcd()
    etcd.inUse = 10
    etcd.fault = 'defragment 127.0.0.1:3'
    await expect(free(etcd)).rejects.toMatchObject({ code: 'no-quorum' })
    expect(etcd.calls).toEqual(ALL.slice(0, 2))
  })

  test('is left to the lead, and by one that leads no longer', async () => {
    const etcd = new FullEtcd()
    etcd.isLead = false
    expect(await free(etcd)).toBe('not-lead')
    expect(etcd.calls).toEqual([])
    etcd.isLead = true
    etcd.inUse = 10
    etcd.truncate = () => {
      etcd.isLead = false
      return Promise.resolve()
    }
    expect(await free(etcd)).toBe('not-lead')
    expect(etcd.calls).toEqual([])
  })
})

test('an etcd that is not full is left alone', async () => {
  const etcd = new FullEtcd()
  etcd.alarmed.clear()
  expect(await free(etcd)).toBe('well')
  expect(etcd.calls).toEqual([])
})

describe('the watch over it', () => {
  function watched(etcd: FullEtcd) {
    const time = new FakeTime()
    const lines: string[] = []
    const say = (level: string) => (_: object, message: string) => lines.push(`${level} ${message}`)
    const watch = new SpaceWatch({
      members: etcd.members,
      isLead: () => etcd.isLead,
      truncate: etcd.truncate,
      quotaBytes: 100,
      time,
      log: { debug: say('debug'), warn: say('warn'), error: say('error') },
    })
    watch.start()
    return { time, lines, watch }
  }

  test('makes room when there is an alarm, and says that etcd was full', async () => {
    const etcd = new FullEtcd()
    etcd.inUse = 50
    const { time, lines, watch } = watched(etcd)
    await time.advance(4_999)
    expect([etcd.calls, watch.isFull]).toEqual([[], false])
    await time.advance(1)
    expect(etcd.calls).toEqual([...ALL, 'disarm 1', 'disarm 2'])
    expect(lines).toEqual([
      'warn etcd has no room for entries; the log is made shorter',
      'warn etcd takes entries again',
    ])
    expect(watch.isFull).toBe(false)
    watch.stop()
  })

  test('says that it stays full, and looks again', async () => {
    const etcd = new FullEtcd()
    etcd.inUse = 50
    etcd.size = 90
    const { time, lines, watch } = watched(etcd)
    await time.advance(5_000)
    expect([watch.isFull, lines.at(-1)]).toEqual([true, expect.stringContaining('stays full')])
    etcd.size = 80
    await time.advance(5_000)
    expect([watch.isFull, lines.at(-1)]).toEqual([false, 'warn etcd takes entries again'])
    await watch.stop().ended
    etcd.calls.length = 0
    await time.advance(60_000)
    expect(etcd.calls).toEqual([])
  })

  test('goes on after a member that does not answer, and leaves all to the lead', async () => {
    const etcd = new FullEtcd()
    etcd.inUse = 50
    etcd.fault = 'defragment 127.0.0.1:3'
    const { time, watch } = watched(etcd)
    await time.advance(5_000)
    expect(watch.isFull).toBe(true)
    etcd.fault = undefined
    etcd.isLead = false
    etcd.calls.length = 0
    await time.advance(5_000)
    expect([etcd.calls, watch.isFull]).toEqual([[], false])
    watch.stop()
  })
})
