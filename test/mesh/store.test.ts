/**
 * @module Three nodes on one log, with real disks, threads and etcd: what one acknowledges, all show.
 */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { LogSettings } from '../../src/metadata/lmdb/worker/messages.ts'
import { pathOf } from '../../src/metadata/paths.ts'
import type { Transaction } from '../../src/metadata/transaction.ts'
import { EtcdCluster, etcdVersion, needEtcd } from '../support/mesh/etcd.ts'
import { checkLinearizable } from '../support/mesh/linearizable.ts'
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
