/**
 * @module Whole registries as the nodes of a mesh, in one process: each with its own folder, threads, port and
 * listener for its peers, on one log.
 */

import type { StaleReads } from '../../../src/http/stale-reads.ts'
import { conditionCheck } from '../../../src/mesh/condition.ts'
import type { Authority } from '../../../src/mesh/identity/authority.ts'
import { PeerListener } from '../../../src/mesh/peers/listener.ts'
import { paths } from '../../../src/mesh/peers/messages.ts'
import { type MeshMember, Peers } from '../../../src/mesh/peers/peers.ts'
import { logRoute } from '../../../src/mesh/peers/transfers.ts'
import type { ServingSet } from '../../../src/mesh/serving.ts'
import { startServing } from '../../../src/mesh/start-serving.ts'
import type { LogFault, LogSettings } from '../../../src/metadata/lmdb/worker/messages.ts'
import { EtcdLog } from '../../../src/metadata/log/etcd/log.ts'
import { systemTime } from '../../../src/metadata/log/etcd/time.ts'
import { openTailReader } from '../../../src/metadata/log/tail/reader.ts'
import type { Transaction } from '../../../src/metadata/transaction.ts'
import { createLogger } from '../../../src/observability/logger.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import type { MeshNode } from '../../../src/server/mesh/node.ts'
import { tailOf } from '../../../src/server/mesh/view.ts'
import { tailFolder } from '../../../src/storage/open.ts'
import {
  dispose,
  type EngineName,
  type InProcessRegistry,
  startInProcess,
  until,
} from '../in-process.ts'
import { factsOf } from './member-facts.ts'
import { foundLog } from './mesh-store.ts'
import { authorityOf, credentialsOf } from './peer-nodes.ts'

const quiet = createLogger('fatal')

interface Node {
  readonly peers: Peers
  readonly listener: PeerListener
}

export interface MeshRegistriesOptions {
  /** `storage.inline_limit`: blobs above it are files. Default 64 KiB. */
  readonly inlineLimit?: number
  /** Of the nodes in turn. Default node. */
  readonly engines?: readonly EngineName[]
  readonly mirrors?: readonly Readonly<Record<string, unknown>>[]
  /** Sections and keys as in the configuration file, of all nodes. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Further settings of `storage`. */
  readonly storage?: Readonly<Record<string, unknown>>
  /** The same of one node. */
  readonly storageOf?: (member: number) => Readonly<Record<string, unknown>>
  readonly pushes?: MeshNode['pushes']
  readonly cacheBytesMax?: number
  /** Bytes that a node fetches in a second for itself; 0: no bound. */
  readonly rebalanceRate?: number
  /** With which the mesh is founded. Default: none. */
  readonly replicationFactor?: number
  /** Marks what may be old. Default: that is refused. */
  readonly stale?: StaleReads
  /** What is in the log from the beginning, and the folders of the nodes with the files of it. */
  readonly seed?: {
    readonly transactions: readonly Transaction[]
    readonly folders: readonly string[]
  }
}

export class MeshRegistries {
  readonly faults: LogFault[] = []
  /** What failed in a listener, not at the other end. */
  readonly peerFaults: unknown[] = []
  readonly registries: InProcessRegistry[] = []
  readonly #nodes: Node[] = []
  readonly #sets = new Map<number, ServingSet>()
  readonly #options: MeshRegistriesOptions

  private constructor(options: MeshRegistriesOptions) {
    this.#options = options
  }

  /** Founds a mesh of so many nodes, and starts them all. */
  static async start(
    log: LogSettings,
    count: number,
    options: MeshRegistriesOptions = {},
  ): Promise<MeshRegistries> {
    const mesh = new MeshRegistries(options)
    const authority = await authorityOf(log.cluster)
    const numbers = Array.from({ length: count }, (_, at) => at + 1)
    for (const member of numbers) mesh.#nodes.push(await mesh.#listen(authority, member))
    const addresses = mesh.#nodes.map(({ listener }) => `127.0.0.1:${listener.port}`)
    const { replicationFactor, seed } = options
    await foundLog(log, count, addresses, replicationFactor, seed?.transactions)
    const members = addresses.map((address, at): MeshMember => {
      return { number: at + 1, ...factsOf(`n${at + 1}`, address), state: 'active' }
    })
    for (const { peers } of mesh.#nodes) peers.setMembers(members)
    mesh.registries.push(...(await Promise.all(numbers.map((member) => mesh.#node(log, member)))))
    await until(() => [...mesh.#sets.values()].every((set) => set.isServing))
    return mesh
  }

  set(member: number): ServingSet {
    return this.#sets.get(member)!
  }

  peers(member: number): Peers {
    return this.#nodes[member - 1]!.peers
  }

  /** As its peers see it, the node is dead from now on; clients still reach it. */
  async cutOff(member: number): Promise<void> {
    await this.#nodes[member - 1]!.listener.close()
  }

  /** Ends a node for good: its peers cannot reach it any more. Its folder stays until the end. */
  async end(member: number): Promise<void> {
    const { peers, listener } = this.#nodes[member - 1]!
    await this.registries[member - 1]!.stop()
    peers.close()
    await listener.close()
  }

  /** Stops a node in order, and starts it again on its folder and its listener; resolves when it serves. */
  async restart(member: number, meanwhile: () => Promise<void>): Promise<void> {
    const registry = this.registries[member - 1]!
    await registry.stop()
    this.#sets.delete(member)
    await meanwhile()
    await registry.start()
    await until(() => this.#sets.get(member)?.isServing === true)
  }

  /** From now on the nodes hand the tail of the log to each other, as nodes that were started by themselves do. */
  async handTailsOn(log: LogSettings): Promise<void> {
    const asked = new EtcdLog(log)
    const identity = (await asked.identity())!
    await asked.close()
    const { cluster } = log
    for (const [at, { peers }] of this.#nodes.entries()) {
      const folder = tailFolder(this.registries[at]!.folder)
      const openTail = () => openTailReader({ folder, identity, cluster })
      const snapshots = { take: () => Promise.reject(new Error('there is none')) }
      peers.addRoute(paths.log, logRoute({ openTail, snapshots }))
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.registries.map((registry) => dispose(registry)))
    for (const { peers, listener } of this.#nodes) {
      peers.close()
      await listener.close()
    }
  }

  async #listen(authority: Authority, member: number): Promise<Node> {
    const credentials = await credentialsOf(authority, member)
    const log = () => undefined
    const parts = { log, time: systemTime, random: systemRandom }
    const peers = new Peers({ ...parts, credentials: () => credentials })
    const listener = await PeerListener.listen(
      {
        ...parts,
        credentials,
        routes: peers.routes,
        admits: (other) => peers.admits(other),
        onFault: (error) => this.peerFaults.push(error),
      },
      { host: '127.0.0.1', port: 0 },
    )
    return { peers, listener }
  }

  #node(log: LogSettings, member: number): Promise<InProcessRegistry> {
    const peers = this.peers(member)
    const { engines = ['node'], config = {}, mirrors = [], inlineLimit = 65_536 } = this.#options
    const { storage, storageOf, cacheBytesMax, rebalanceRate, pushes } = this.#options
    const folder = this.#options.seed?.folders[member - 1]
    return startInProcess({
      ...(folder !== undefined && { folder }),
      engine: engines[(member - 1) % engines.length]!,
      config: {
        ...config,
        storage: {
          inline_limit: inlineLimit,
          ...(config['storage'] as object | undefined),
          ...storage,
          ...storageOf?.(member),
        },
      },
      mirrors,
      mesh: {
        ...(cacheBytesMax !== undefined && { cacheBytesMax }),
        ...(pushes !== undefined && { pushes }),
        ...(rebalanceRate !== undefined && { rebalanceRate }),
        member,
        log,
        peers,
        readTail: tailOf(peers, quiet),
        gate: {
          checks: [conditionCheck(() => this.#sets.get(member))],
          stale: this.#options.stale,
        },
        startGate: (run) => {
          const report = (boot: number, visible: number) => peers.links.report(boot, visible)
          const serving = { member, reads: 'strict', leaseMs: 3_000, clock: systemClock } as const
          const set = startServing(run, { ...serving, report })
          this.#sets.set(member, set)
          peers.links.onReport((...said) => set.onReport(...said))
          return set
        },
        onFault: (fault) => this.faults.push(fault),
      },
    })
  }
}
