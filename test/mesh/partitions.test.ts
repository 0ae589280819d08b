/**
 * @module Nodes on machines of their own, between which packets are dropped while clients go on: all of one node,
 * one way only, one pair, the ports of the peers alone, those of etcd alone; and nodes that are paused, killed, or
 * stutter. No client reads an old tag, conditions hold, nothing that was acknowledged is lost, and all serve again by
 * themselves.
 *
 * FASTREGISTRY_MESH_MINUTES=30 FASTREGISTRY_MESH_NODES=5 is a long form, with a disk that is lost; `MESH_SEED` repeats
 * the faults of a run.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { needEtcd } from '../support/mesh/etcd.ts'
import { checkLinearizable } from '../support/mesh/linearizable.ts'
import { type Machine, meshPort, Network, needNetworks } from '../support/mesh/network.ts'
import { NodeLoad } from '../support/mesh/node-load.ts'
import { haveRoles, MeshProcess, overview, poll } from '../support/mesh/nodes.ts'
import { SeededRandom } from '../support/mesh/seeded-random.ts'

needEtcd()
needNetworks()

const minutes = Number(process.env['FASTREGISTRY_MESH_MINUTES'] ?? 0)
const count = Number(process.env['FASTREGISTRY_MESH_NODES'] ?? 3)
/** Longer than the lease of a node and what the others wait beyond it, ms. */
const faultMs = 5_500
/** In which all nodes serve by themselves again, ms: one that was slow asks the log for a minute first. */
const healedMs = 100_000

const nodes: MeshProcess[] = []
let network: Network | undefined
afterEach(async () => {
  network?.heal()
  await Promise.all(nodes.splice(0).map((node) => node.dispose()))
  network?.close()
  network = undefined
})

async function startAll(): Promise<Network> {
  const made = Network.create(count)
  network = made
  const { machines } = made
  const peers = machines.map(({ host }) => `${host}:${meshPort}`)
  const mesh = { peers, secret: 'a secret of the machines of a test' }
  const config = { server: { open: true } }
  const started = machines.map((machine) => MeshProcess.start(meshPort, { mesh, config, machine }))
  nodes.push(...(await Promise.all(started)))
  await haveRoles(nodes)
  return made
}

type Fault = (faults: Faults, random: SeededRandom) => Promise<void>

/** What goes wrong with the nodes; each resolves when it is over, and before the nodes are well again. */
class Faults {
  readonly #network: Network
  readonly #load: NodeLoad

  constructor(made: Network, load: NodeLoad) {
    this.#network = made
    this.#load = load
  }

  /** While packets between machines are dropped. */
  async cut(drop: (network: Network, machines: readonly Machine[]) => void): Promise<void> {
    drop(this.#network, this.#network.machines)
    await pause(faultMs)
    this.#network.heal()
  }

  async kill(node: MeshProcess): Promise<void> {
    await this.#load.kill(node)
    await pause(faultMs)
    await this.#load.restart(node)
  }

  async freeze(node: MeshProcess): Promise<void> {
    await this.#load.whilePaused(node, () => pause(faultMs))
    this.#load.isBack(node)
  }

  /** Slow, but never for long. */
  async stutter(node: MeshProcess): Promise<void> {
    const until = performance.now() + faultMs
    while (performance.now() < until) {
      process.kill(node.pid, 'SIGSTOP')
      await pause(60)
      process.kill(node.pid, 'SIGCONT')
      await pause(20)
    }
  }
}

const peerPorts = [meshPort]
const etcdPorts = [meshPort + 1, meshPort + 2]

const FAULTS: Readonly<Record<string, Fault>> = {
  'cut off': (faults, random) =>
    faults.cut((net, all) => {
      net.isolate(random.pick(all))
    }),
  'hears nothing': (faults, random) =>
    faults.cut((net, all) => {
      const deaf = random.pick(all)
      for (const other of all) if (other !== deaf) net.cut(other, deaf, { isOneWay: true })
    }),
  'is not heard': (faults, random) =>
    faults.cut((net, all) => {
      net.isolate(random.pick(all), { isOneWay: true })
    }),
  'one pair': (faults, random) =>
    faults.cut((net, all) => {
      const at = random.below(all.length)
      net.cut(all[at]!, all[(at + 1) % all.length]!)
    }),
  'peers only': (faults, random) =>
    faults.cut((net, all) => {
      net.isolate(random.pick(all), { ports: peerPorts })
    }),
  'etcd only': (faults, random) =>
    faults.cut((net, all) => {
      net.isolate(random.pick(all), { ports: etcdPorts })
    }),
  killed: (faults, random) => faults.kill(random.pick(nodes)),
  paused: (faults, random) => faults.freeze(random.pick(nodes)),
  stutters: (faults, random) => faults.stutter(random.pick(nodes)),
}

/** Ms until all serve again. */
async function untilHealed(what: string): Promise<number> {
  const since = performance.now()
  const limit = new AbortController()
  const late = pause(healedMs, undefined, { signal: limit.signal }).then(async () => {
    const seen = await Promise.all(nodes.map((node) => overview(node).catch(String)))
    throw new Error(`not well ${healedMs} ms after: ${what}\n${JSON.stringify(seen)}`)
  })
  try {
    await Promise.race([haveRoles(nodes), late])
  } finally {
    limit.abort()
    late.catch(() => undefined)
  }
  return Math.round(performance.now() - since)
}

/** A node comes back with nothing; the others have all, and make it good. */
async function loseADisk(load: NodeLoad, lost: MeshProcess): Promise<void> {
  const { member } = await overview(lost)
  await load.kill(lost)
  for (const name of await readdir(lost.storage)) {
    await rm(join(lost.storage, name), { recursive: true, force: true })
  }
  const other = nodes.find((node) => node !== lost)!
  const removed = await other.client.request('POST', `/admin/mesh/members/${member}/remove`)
  expect(removed.status, removed.text).toBe(200)
  await load.restart(lost)
  await poll(async () => {
    const { members } = await overview(other)
    return members.filter(({ state, serving }) => state === 'active' && serving).length === count
  })
}

/** Some faults of each kind, or for so many minutes, in an order that the seed decides. */
function* faultsOf(random: SeededRandom): Generator<string> {
  if (minutes === 0) {
    const others = Object.keys(FAULTS).slice(1, 6)
    yield* ['cut off', random.pick(others.slice(0, 2)), random.pick(others.slice(2))]
    return
  }
  const until = performance.now() + minutes * 60_000
  while (performance.now() < until) yield random.pick(Object.keys(FAULTS))
}

test(
  `${count} nodes whose network breaks: tags are linearizable, and nothing is lost`,
  async () => {
    const made = await startAll()
    const load = new NodeLoad(nodes, 'partitions', 12)
    await load.prepare()
    const random = new SeededRandom(load.seed)
    const faults = new Faults(made, load)
    const seen: Record<string, number[]> = {}
    load.start()
    for (const what of faultsOf(random)) {
      await load.more(20)
      await FAULTS[what]!(faults, random)
      const ms = await untilHealed(what)
      seen[what] = [...(seen[what] ?? []), ms]
      load.nextEra()
      expect(load.wrong, `${what}, seed ${load.seed}`).toEqual([])
    }
    if (minutes > 0) {
      await loseADisk(load, random.pick(nodes))
      await poll(async () => {
        const { members } = await overview(nodes[0]!)
        return (
          members.filter(({ state, serving }) => state === 'active' && serving).length === count
        )
      })
    }
    await load.more(20)
    await load.stop()
    const { blobs, manifests, laters, history } = load
    const healed = Object.entries(seen).map(([what, all]) => {
      return `${what} ${all.length} times, well after at most ${Math.max(...all)} ms`
    })
    console.log(
      `MEASURED ${count} nodes: ${manifests.length} moves, ${blobs.length} blobs, ${laters} answers ` +
        `503, ${history.operations.length} operations; ${healed.join('; ')}`,
    )
    await load.pullAll(nodes)
    expect(load.wrong, `seed ${load.seed}`).toEqual([])
    const verdict = checkLinearizable(history.operations)
    expect(verdict, `seed ${load.seed}`).toMatchObject({ outcome: 'linearizable' })
    const [first, ...others] = await Promise.all(nodes.map((node) => load.view(node)))
    expect(Object.keys(first!).length).toBeGreaterThan(0)
    for (const other of others) expect(other).toEqual(first)
  },
  minutes * 60_000 + 300_000,
)
