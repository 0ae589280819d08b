/**
 * @module Three nodes on one log, with real disks, threads and etcd: what one acknowledges, all show.
 */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { ReadTail } from '../../src/metadata/lmdb/log-tail.ts'
import type { LogSettings } from '../../src/metadata/lmdb/worker/messages.ts'
import { EtcdLog } from '../../src/metadata/log/etcd/log.ts'
import type { LogEntry } from '../../src/metadata/log/port.ts'
import { openTailReader } from '../../src/metadata/log/tail/reader.ts'
import { pathOf } from '../../src/metadata/paths.ts'
import type { Transaction } from '../../src/metadata/transaction.ts'
import { until } from '../support/in-process.ts'
import { EtcdCluster, etcdVersion, needEtcd } from '../support/mesh/etcd.ts'
import { checkLinearizable } from '../support/mesh/linearizable.ts'
import { factsOf } from '../support/mesh/member-facts.ts'
import { foundLog, MeshStore } from '../support/mesh/mesh-store.ts'
import { HistoryRecorder } from '../support/mesh/register-history.ts'
import { SeededRandom } from '../support/mesh/seeded-random.ts'
import { asName } from '../support/registry-client.ts'

needEtcd()

let etcd: EtcdCluster
let logs = 0
const nodes: MeshStore[] = []
const repository = asName('mesh/app')

beforeAll(async () => {
  if (etcdVersion !== undefined) etcd = await EtcdCluster.start()
})
afterEach(async () => {
  for (const node of [...nodes]) {
    await node.close()
    node.remove()
  }
})
afterAll(async () => {
  await etcd?.stop()
})

async function start(count = 3): Promise<LogSettings> {
  logs += 1
  const settings = { endpoints: etcd.endpoints, cluster: `store-${logs}` }
  await foundLog(settings, count)
  for (let member = 1; member <= count; member += 1) new MeshStore(member, settings, nodes)
  await Promise.all(nodes.map((node) => node.serves()))
  return settings
}

function moveTag(tag: string, digest: string, expected?: string): Transaction {
  const condition =
    expected === undefined ? {} : { condition: { ifMatch: expected, ifNoneMatch: undefined } }
  const change = {
    change: 'move-tag',
    in: 'tags',
    key: [repository, tag],
    digest,
    at: 1,
    by: 'c',
    isImmutable: false,
    ...condition,
  }
  return { checks: [], changes: [change] } as unknown as Transaction
}

async function readTag(node: MeshStore, tag: string): Promise<string | undefined> {
  const fresh = node.store.fresh()
  if (fresh !== undefined) await fresh
  const row = node.store.get('tags', [repository, tag as never])
  const settled = node.store.settled(pathOf(repository, tag))
  if (settled !== undefined) await settled
  return row?.digest
}

test('what one node acknowledges, all show at once', async () => {
  await start()
  for (let turn = 0; turn < 60; turn += 1) {
    const writer = nodes[turn % 3]!
    const outcome = await writer.store.commit(moveTag('latest', `v${turn}`))
    expect(outcome.applied).toBe(true)
    for (const node of nodes) {
      expect(node.store.fresh()).toBeUndefined()
      expect(node.store.get('tags', [repository, 'latest' as never])?.digest).toBe(`v${turn}`)
    }
  }
  expect(nodes.flatMap(({ faults }) => faults)).toEqual([])
})

test('is linearizable while members of etcd die, and all come to the same rows', async () => {
  await start()
  const history = new HistoryRecorder()
  const random = new SeededRandom(7)
  let values = 0
  let isOver = false
  const client = async (): Promise<void> => {
    while (!isOver) {
      const node = random.pick(nodes)
      const tag = random.pick(['a', 'b'])
      if (random.chance(0.7)) {
        const open = history.read(tag)
        await readTag(node, tag).then(
          (value) => open.saw(value),
          () => undefined,
        )
        await new Promise((resolve) => setTimeout(resolve, 2))
        continue
      }
      values += 1
      const value = `v${values}`
      const isCompare = random.chance(0.5)
      const expected = isCompare ? `v${Math.max(1, values - 2)}` : undefined
      const open = history.change(
        tag,
        isCompare ? { kind: 'compareAndSet', expected, value } : { kind: 'write', value },
      )
      await node.store.commit(moveTag(tag, value, expected)).then(
        (outcome) => open.done(outcome.applied),
        (error: { kind?: string }) => {
          if (error.kind === 'NOT_DONE') open.refused()
        },
      )
    }
  }
  const clients = Array.from({ length: 8 }, () => client())
  for (const member of etcd.members) {
    await new Promise((resolve) => setTimeout(resolve, 700))
    await member.kill()
    await new Promise((resolve) => setTimeout(resolve, 900))
    member.start()
    await etcd.ready()
  }
  isOver = true
  await Promise.all(clients)
  const verdict = checkLinearizable(history.operations)
  expect(verdict.outcome, JSON.stringify(verdict)).toBe('linearizable')
  expect(history.operations.length).toBeGreaterThan(500)
  await nodes[0]!.store.commit(moveTag('end', 'done'))
  const rows = nodes.map((node) => [...node.rows()])
  expect(rows[1]).toEqual(rows[0])
  expect(rows[2]).toEqual(rows[0])
  console.log(`MEASURED mesh store: ${history.operations.length} operations, ${values} changes`)
})

test('a node that was away follows on, as a run of its own', async () => {
  const settings = await start()
  const away = nodes[2]!
  await away.close()
  for (let turn = 0; turn < 20; turn += 1) {
    await nodes[0]!.store.commit(moveTag(`t${turn}`, `v${turn}`))
  }
  const back = new MeshStore(3, settings, nodes, away.folder)
  await back.serves()
  expect(back.boot).toBe(2)
  expect(await readTag(back, 't19')).toBe('v19')
  await back.store.commit(moveTag('back', 'v'))
  expect(await readTag(nodes[1]!, 'back')).toBe('v')
})

test('measures commits', async () => {
  await start()
  const rates: Record<string, string> = {}
  for (const together of [1, 16, 64]) {
    const times: number[] = []
    const startedAt = performance.now()
    let count = 0
    const one = async (): Promise<void> => {
      while (performance.now() - startedAt < 1_500) {
        const at = performance.now()
        count += 1
        await nodes[0]!.store.commit(moveTag(`t${count % 50}`, `v${count}`))
        times.push(performance.now() - at)
      }
    }
    await Promise.all(Array.from({ length: together }, one))
    times.sort((a, b) => a - b)
    const p = (share: number) => times[Math.floor(times.length * share)]!.toFixed(1)
    rates[together] = `${Math.round(times.length / 1.5)}/s p50 ${p(0.5)} p99 ${p(0.99)} ms`
  }
  console.log(`MEASURED tag moves of three nodes: ${JSON.stringify(rates)}`)
})

test('what was applied is kept for peers that the log leaves behind', async () => {
  const settings = await start()
  for (let turn = 0; turn < 30; turn += 1) {
    await nodes[turn % 3]!.store.commit(moveTag('t', `v${turn}`))
  }
  const log = new EtcdLog(settings)
  const identity = (await log.identity())!
  const head = await log.head()
  await log.close()
  const folder = join(nodes[1]!.folder, 'tail')
  const reader = openTailReader({ folder, identity, cluster: settings.cluster })
  const entries: LogEntry[] = []
  while (entries.length < head - 1) {
    const next = reader.read(entries.at(-1)?.index ?? 0, 1024 * 1024)
    expect(next).not.toBe('cut')
    entries.push(...(next as LogEntry[]))
  }
  reader.close()
  expect(entries.map(({ index }) => index)).toEqual(entries.map((_, at) => at + 1))
  expect(entries.at(-1)!.index).toBeGreaterThanOrEqual(head - 1)
})

describe('a node that the log has left behind', () => {
  const readTail = (
    { folder }: MeshStore,
    settings: LogSettings,
    identity: string,
    change = same,
  ): ReadTail =>
    async function* (place, upTo) {
      const owner = { identity, cluster: settings.cluster }
      const reader = openTailReader({ folder: join(folder, 'tail'), ...owner })
      for (let last = place.index; last < upTo; ) {
        const found = reader.read(last, 256 * 1024)
        if (found === 'cut' || found.length === 0) break
        const entries = found.filter(({ index }) => index <= upTo)
        last = entries.at(-1)!.index
        yield entries.map(change)
      }
      reader.close()
    }
  const same = (it: LogEntry): LogEntry => it

  /** The last of `count` nodes is away while the log moves on and forgets. */
  async function leaveBehind(count: number, changes: number) {
    const settings = await start(count)
    const away = nodes[count - 1]!
    await away.close()
    // So many share an entry of the log.
    const together = changes > 1_000 ? 500 : 5
    for (let turn = 0; turn < changes; turn += together) {
      const some = Array.from({ length: together }, (_, at) => at + turn)
      await Promise.all(some.map((at) => nodes[0]!.store.commit(moveTag(`t${at % 50}`, `v${at}`))))
    }
    const log = new EtcdLog(settings)
    const identity = (await log.identity())!
    const head = await log.head()
    return { settings, away, log, identity, head }
  }

  async function forget({
    settings,
    log,
    identity,
    head,
  }: Awaited<ReturnType<typeof leaveBehind>>) {
    const owner = { identity, cluster: settings.cluster }
    const reader = openTailReader({ folder: join(nodes[0]!.folder, 'tail'), ...owner })
    await until(() => reader.read(head - 2, 1).length === 1)
    const [entry] = reader.read(head - 2, 1) as LogEntry[]
    await log.truncate(entry!)
    reader.close()
    await log.close()
  }

  test('takes the tail of a peer and serves again, with the same rows', async () => {
    const left = await leaveBehind(3, 300)
    await forget(left)
    const back = new MeshStore(3, left.settings, nodes, left.away.folder)
    back.readTail = readTail(nodes[0]!, left.settings, left.identity)
    await back.serves()
    expect(back.faults).toEqual([])
    expect(await readTag(back, 't49')).toBe('v299')
    await back.store.commit(moveTag('back', 'v'))
    expect(await readTag(nodes[0]!, 'back')).toBe('v')
    await until(() => back.serving!.visible === nodes[0]!.serving!.visible)
    expect([...back.rows()]).toEqual([...nodes[0]!.rows()])
  })

  test('whose peer has changed the tail serves nothing of it', async () => {
    const left = await leaveBehind(3, 100)
    await forget(left)
    const back = new MeshStore(3, left.settings, nodes, left.away.folder)
    back.readTail = readTail(nodes[0]!, left.settings, left.identity, (it) => {
      if (it.index !== left.head - 5) return it
      const bytes = Uint8Array.from(it.bytes)
      bytes[bytes.length - 1]! ^= 1
      return { ...it, bytes }
    })
    await until(() => back.faults.some(({ is }) => is === 'fenced'))
    expect(back.serving!.isServing).toBe(false)
    await expect(back.store.fresh()).rejects.toMatchObject({ kind: 'LOG_SILENT' })
  })

  test('needs a view where no peer has the tail', async () => {
    const left = await leaveBehind(2, 50)
    await forget(left)
    const back = new MeshStore(2, left.settings, nodes, left.away.folder)
    await until(() => back.faults.length > 0)
    expect(back.faults).toEqual([{ is: 'cut' }])
  })

  test.runIf(process.env['FASTREGISTRY_LONG'] === '1')(
    'measures how it catches up',
    async () => {
      const left = await leaveBehind(2, Number(process.env['FASTREGISTRY_BEHIND'] ?? 100_000))
      const times: Record<string, string> = {}
      const before = `${left.away.folder}-before`
      cpSync(left.away.folder, before, { recursive: true })
      for (const from of ['log', 'tail']) {
        if (from === 'tail') {
          await forget(left)
          // As it was, but for the number of its run.
          for (const name of ['meta', 'tail']) {
            rmSync(join(left.away.folder, name), { recursive: true })
            cpSync(join(before, name), join(left.away.folder, name), { recursive: true })
          }
        }
        const startedAt = performance.now()
        const back = new MeshStore(2, left.settings, nodes, left.away.folder)
        back.readTail = readTail(nodes[0]!, left.settings, left.identity)
        await until(() => back.faults.length > 0 || back.serving?.isServing === true)
        times[from] = `${((performance.now() - startedAt) / 1_000).toFixed(1)} s`
        expect(back.faults).toEqual([])
        await back.close()
      }
      rmSync(before, { recursive: true })
      left.away.remove()
      console.log(`MEASURED transactions behind: ${JSON.stringify(times)}`)
    },
    300_000,
  )
})

test('no write waits for a node whose disk is full; it takes none, and is back with the room', async () => {
  await start(3)
  const [one, other, full] = nodes as [MeshStore, MeshStore, MeshStore]
  const slowest = async (count: number): Promise<number> => {
    const times: number[] = []
    for (let turn = 0; turn < count; turn += 1) {
      const at = performance.now()
      await one.store.commit(moveTag(`t${turn % 10}`, `v${turn}`))
      times.push(performance.now() - at)
    }
    return Math.max(...times)
  }
  full.room = 'short'
  const serving = () => [...one.serving!.servingMembers].sort().join()
  await until(() => serving() === '1,2')
  // Its reads go on, by the log.
  await one.store.commit(moveTag('last', 'v'))
  expect(await readTag(full, 'last')).toBe('v')
  full.room = 'full'
  await until(async () => {
    const error = await full.store.commit(moveTag('own', 'v')).catch((refused: unknown) => refused)
    return (error as { status?: number }).status === 507
  })
  const { visible } = full.serving!
  expect(await slowest(40)).toBeLessThan(1_000)
  expect(full.serving!.visible).toBe(visible)
  await expect(full.store.fresh()).rejects.toMatchObject({ kind: 'LOG_SILENT' })
  full.room = 'enough'
  await full.serves()
  await until(() => serving() === '1,2,3')
  expect(await readTag(full, 't9')).toBe('v39')
  expect(full.faults).toEqual([])
  expect([...full.rows()].length).toBe([...other.rows()].length)
})

test('an older and a newer program are one mesh until all are newer; then the older one is refused', async () => {
  const settings = await start(1)
  const [older] = nodes as [MeshStore]
  const newer = { ...settings, level: 2 }
  await older.store.commit(moveTag('t', 'v1'))
  await older.close()
  const one = new MeshStore(1, newer, nodes, older.folder)
  await one.serves()
  const join = { control: 'member', member: 2, facts: factsOf('n2') } as const
  one.run!.submit([join])
  const two = new MeshStore(2, settings, nodes)
  await two.serves()
  const level = () => one.store.get('cluster', 'settings')?.level ?? 1

  // Both write, and both come to the same.
  await two.store.commit(moveTag('t', 'v2'))
  one.run!.submit([{ control: 'raise', level: 2 }])
  await one.store.commit(moveTag('t', 'v3'))
  expect([await readTag(two, 't'), level()]).toEqual(['v3', 1])
  await until(() => one.serving!.visible === two.serving!.visible)
  expect([...one.rows()]).toEqual([...two.rows()])

  await two.close()
  const next = new MeshStore(2, newer, nodes, two.folder)
  await next.serves()
  one.run!.submit([{ control: 'raise', level: 2 }])
  await next.store.commit(moveTag('t', 'v4'))
  expect(await readTag(one, 't')).toBe('v4')
  // Said by another node than the tag: either may be first in the log.
  await until(() => level() === 2)
  await until(() => (next.store.get('cluster', 'settings')?.level ?? 1) === 2)

  await next.close()
  const back = new MeshStore(2, settings, nodes, two.folder)
  await until(() => back.faults.length > 0)
  expect(back.faults).toEqual([{ is: 'outdated', level: 2 }])
  await expect(back.store.fresh()).rejects.toMatchObject({ kind: 'LOG_SILENT' })
})

describe('a log that is not the one that was followed', () => {
  test('is followed no further: it was set back, or made again', async () => {
    const own = await EtcdCluster.start({ members: 1 })
    const member = own.members[0]!
    try {
      const settings = { endpoints: own.endpoints, cluster: 'back' }
      await foundLog(settings, 1)
      const node = new MeshStore(1, settings, nodes)
      await node.serves()
      await node.store.commit(moveTag('t', 'v1'))
      await member.kill()
      const copy = `${member.data}.copy`
      cpSync(member.data, copy, { recursive: true })
      member.start()
      await own.ready()
      await until(() => node.serving!.isServing)
      await node.store.commit(moveTag('t', 'v2'))
      await node.close()
      await member.kill()
      rmSync(member.data, { recursive: true })
      cpSync(copy, member.data, { recursive: true })
      member.start()
      await own.ready()
      const back = new MeshStore(1, settings, nodes, node.folder)
      await until(() => back.faults.length > 0)
      expect(back.faults).toEqual([expect.objectContaining({ is: 'went-back' })])
      expect(back.serving!.isServing).toBe(false)
      expect(back.store.get('tags', [repository, 't' as never])?.digest).toBe('v2')
      await back.close()

      // Another log under the same name: nothing of it is taken, nothing is written into it.
      await member.kill()
      rmSync(member.data, { recursive: true })
      member.start()
      await own.ready()
      await foundLog(settings, 1)
      const other = new MeshStore(1, settings, nodes, node.folder)
      const error = await other.store.commit(moveTag('t', 'v3')).then(
        () => undefined,
        (refused: { kind: string }) => refused.kind,
      )
      expect(error).toMatch(/NOT_DONE|OUTCOME_UNKNOWN/)
      expect(other.serving!.isServing).toBe(false)
      expect(other.store.get('tags', [repository, 't' as never])?.digest).toBe('v2')
      const log = own.log({ cluster: 'back' })
      expect(await log.head()).toBe(1)
      await log.close()
      await other.close()
      node.remove()
    } finally {
      await own.stop()
    }
  })
})

test('a node counts the transactions of others, and no beats', async () => {
  await start(2)
  const [one, other] = nodes as [MeshStore, MeshStore]
  const before = other.store.commitCount
  const own = one.store.commitCount
  await Promise.all(['a', 'b', 'c'].map((tag) => one.store.commit(moveTag(tag, 'sha256:x'))))
  await until(() => other.store.get('tags', [repository, 'c' as never]) !== undefined)
  expect(other.store.commitCount - before).toBe(3)
  expect(one.store.commitCount - own).toBe(3)
  // Two beats later.
  const { visible } = other.serving!
  await until(() => other.serving!.visible >= visible + 2)
  expect(other.store.commitCount - before).toBe(3)
})
