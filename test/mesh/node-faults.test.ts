/**
 * @module Faults of nodes as an operator starts them, while clients go on: paused, killed one after the other and all
 * at once, added, drained and removed, and away for long. No client reads an old tag, and nothing that was
 * acknowledged is lost. `MESH_SEED` repeats what the clients of a run do, as far as their answers come in the same order.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { needEtcd } from '../support/mesh/etcd.ts'
import { checkLinearizable } from '../support/mesh/linearizable.ts'
import { NodeLoad } from '../support/mesh/node-load.ts'
import {
  haveRoles,
  MeshProcess,
  meshPorts,
  type NodeOptions,
  overview,
  poll,
} from '../support/mesh/nodes.ts'

needEtcd()

/** Longer than the lease of a node and what the others wait beyond it, ms. */
const pausedMs = 6_500

const nodes: MeshProcess[] = []
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.dispose()))
})

async function start(port: number, options?: NodeOptions): Promise<MeshProcess> {
  const node = await MeshProcess.start(port, options)
  nodes.push(node)
  return node
}

/** Three nodes that vote, serve and reach each other. */
async function startThree(mesh: Record<string, unknown> = {}): Promise<readonly MeshProcess[]> {
  const ports = await meshPorts(3)
  const peers = ports.map((port) => `127.0.0.1:${port}`)
  const all = await Promise.all(ports.map((port) => start(port, { mesh: { ...mesh, peers } })))
  await haveRoles(all)
  return all
}

/** Nothing was heard that no client may hear, and the tags are registers. */
function expectRight({ history, wrong, seed }: NodeLoad): void {
  expect(wrong, `seed ${seed}`).toEqual([])
  expect(checkLinearizable(history.operations), `seed ${seed}`).toMatchObject({
    outcome: 'linearizable',
  })
}

/** Everything that was acknowledged is there through each node, and all show the same tags. */
async function expectWhole(load: NodeLoad, all: readonly MeshProcess[]): Promise<void> {
  await load.pullAll(all)
  expectRight(load)
  const [first, ...others] = await Promise.all(all.map((node) => load.view(node)))
  expect(Object.keys(first!).length).toBeGreaterThan(0)
  for (const other of others) expect(other).toEqual(first)
}

function hasFile(node: MeshProcess, digest: string): Promise<boolean> {
  const hex = digest.slice('sha256:'.length)
  return stat(join(node.storage, 'blobs', 'sha256', hex.slice(0, 2), hex)).then(
    () => true,
    () => false,
  )
}

/** Resolves when each of these nodes has a file of each of the blobs. */
async function haveFiles(all: readonly MeshProcess[], digests: readonly string[]): Promise<void> {
  for (const node of all) {
    for (const digest of digests) await poll(() => hasFile(node, digest))
  }
}

async function stateOf(node: MeshProcess, member: number): Promise<string | undefined> {
  return (await overview(node)).members.find(({ number }) => number === member)?.state
}

function report(load: NodeLoad, since: number): void {
  const { blobs, manifests, laters, history } = load
  const seconds = Math.round((performance.now() - since) / 1_000)
  console.log(
    `MEASURED ${manifests.length} moves, ${blobs.length} blobs, ${laters} answers 503, ` +
      `${history.operations.length} operations in ${seconds} s`,
  )
}

/** Moves one tag and deletes another while a node is paused; reads that lie in its sockets when it wakes up. */
async function moveOn(load: NodeLoad, paused: MeshProcess, others: readonly MeshProcess[]) {
  const since = performance.now()
  const early = load.read(paused, 't0')
  await poll(async () => {
    for (const node of others) await load.move(node, 't0')
    return performance.now() - since > pausedMs
  })
  await poll(() => load.untag(others[1]!, 't1'))
  await poll(() => load.move(others[0]!, 't0'))
  const first = Array.from({ length: 16 }, (_, at) => load.read(paused, `t${at % 2}`))
  const newest = await load.read(others[1]!, 't0')
  return { early, first, newest }
}

test('a node that was paused shows no old tag from its first answer on, and serves again by itself', async () => {
  const all = await startThree()
  const load = new NodeLoad(all, 'paused')
  await load.prepare()
  for (const paused of load.shuffled().slice(0, 2)) {
    const others = all.filter((node) => node !== paused)
    for (const tag of ['t0', 't1']) await poll(() => load.move(others[0]!, tag))
    await poll(async () => (await load.read(paused, 't0')) !== 'later')
    const { early, first, newest } = await load.whilePaused(paused, () =>
      moveOn(load, paused, others),
    )
    const woken = performance.now()
    const heard = await Promise.all(first)
    console.log(`MEASURED its first answers: ${heard.map((it) => it.slice(0, 10)).join(' ')}`)
    for (const [at, it] of heard.entries()) {
      expect(['later', at % 2 === 0 ? newest : 'none'], `seed ${load.seed}`).toContain(it)
    }
    await early
    await poll(async () => (await load.read(paused, 't0')) === newest)
    load.isBack(paused)
    await poll(() => load.move(paused, 't0'))
    const ms = Math.round(performance.now() - woken)
    console.log(`MEASURED a node that was paused takes a push again after ${ms} ms`)
    expect(ms).toBeLessThan(10_000)
    await haveRoles(all)
  }
  expectRight(load)
})

test('each node is killed in turn while clients go on: tags are linearizable, and nothing is lost', async () => {
  const all = await startThree()
  const load = new NodeLoad(all, 'killed in turn')
  await load.prepare()
  const since = performance.now()
  load.start()
  for (const node of load.shuffled()) {
    await load.more(20)
    await load.kill(node)
    await load.more(20)
    await load.restart(node)
    await haveRoles(all)
  }
  await load.more(20)
  await load.stop()
  report(load, since)
  await expectWhole(load, all)
})

test('a third node joins, and one is drained and removed: no pull misses', async () => {
  const ports = await meshPorts(3)
  const mesh = { peers: ports.map((port) => `127.0.0.1:${port}`) }
  // The first of the list founds; all have five digits.
  const [one, two, three] = [...ports].sort((a, b) => a - b) as [number, number, number]
  const founders = await Promise.all([one, two].map((port) => start(port, { mesh })))
  const load = new NodeLoad(founders, 'joins, drained, removed')
  await load.prepare()
  const since = performance.now()
  load.start()
  await load.more(30)
  const joined = await start(three, { mesh })
  load.add(joined)
  await load.more(10, joined)
  const all = [...founders, joined]
  await haveRoles(all)
  const [gone, ...left] = load.shuffled() as [MeshProcess, MeshProcess, MeshProcess]
  const { member } = await overview(gone)
  const drained = await left[0]!.client.request('POST', `/admin/mesh/members/${member}/drain`)
  expect(drained.status).toBe(200)
  await load.more(30)
  await haveFiles(left, load.blobs)
  await load.leave(gone)
  const ended = gone.ended()
  const removed = await left[1]!.client.request('POST', `/admin/mesh/members/${member}/remove`)
  expect(removed.status).toBe(200)
  expect(await ended).toBe(1)
  await load.more(30)
  await load.stop()
  report(load, since)
  expect(await stateOf(left[0]!, member)).toBe('left')
  await expectWhole(load, left)
})

test('all are killed at once, and started: what was acknowledged is there', async () => {
  const all = await startThree()
  const load = new NodeLoad(all, 'all at once')
  await load.prepare()
  const since = performance.now()
  load.start()
  await load.more(100)
  await Promise.all(all.map((node) => load.kill(node)))
  await Promise.all(all.map((node) => load.restart(node)))
  await load.more(20)
  await load.stop()
  report(load, since)
  await expectWhole(load, all)
})

test('a node that is away for long is out: others get its blobs, until it is back', async () => {
  const all = await startThree({ rebalance_after: '10s' })
  const load = new NodeLoad(all, 'away for long')
  await load.prepare()
  while (load.blobs.length < 24) await load.push(load.shuffled()[0]!)
  const [gone, ...left] = load.shuffled() as [MeshProcess, MeshProcess, MeshProcess]
  const { member } = await overview(gone)
  // Two of three nodes have each blob.
  const had = await Promise.all(load.blobs.map((digest) => hasFile(left[0]!, digest)))
  expect(had).toContain(false)
  await load.kill(gone)
  const since = performance.now()
  for (const node of left) await poll(async () => (await stateOf(node, member)) === 'out')
  const outMs = Math.round(performance.now() - since)
  await haveFiles(left, load.blobs)
  const wholeMs = Math.round(performance.now() - since)
  console.log(
    `MEASURED a killed node is out after ${outMs} ms, all copies are two after ${wholeMs}`,
  )
  expect(outMs).toBeGreaterThan(10_000)
  await load.restart(gone)
  for (const node of all) await poll(async () => (await stateOf(node, member)) === 'active')
  await haveRoles(all)
  for (const node of all) await poll(() => load.move(node, 't0'))
  await load.push(gone)
  await expectWhole(load, all)
})
