/**
 * @module Whole registries as the nodes of a mesh, in one process: each with its own folder, threads and port, on one
 * log. Blobs are small, so all of them are rows.
 */

import type { ServingSet } from '../../../src/mesh/serving.ts'
import { startServing } from '../../../src/mesh/start-serving.ts'
import type { LogFault, LogSettings } from '../../../src/metadata/lmdb/worker/messages.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { dispose, type InProcessRegistry, startInProcess, until } from '../in-process.ts'
import { foundLog } from './mesh-store.ts'

export class MeshRegistries {
  readonly faults: LogFault[] = []
  readonly registries: InProcessRegistry[] = []
  readonly #sets = new Map<number, ServingSet>()

  /** Founds a mesh of so many nodes, and starts them all. */
  static async start(log: LogSettings, count: number): Promise<MeshRegistries> {
    const mesh = new MeshRegistries()
    await foundLog(log, count)
    const numbers = Array.from({ length: count }, (_, at) => at + 1)
    mesh.registries.push(...(await Promise.all(numbers.map((member) => mesh.#node(log, member)))))
    await until(() => [...mesh.#sets.values()].every((set) => set.isServing))
    return mesh
  }

  set(member: number): ServingSet {
    return this.#sets.get(member)!
  }

  async stop(): Promise<void> {
    await Promise.all(this.registries.map((registry) => dispose(registry)))
  }

  #node(log: LogSettings, member: number): Promise<InProcessRegistry> {
    return startInProcess({
      engine: 'node',
      config: { storage: { inline_limit: 65_536 } },
      mesh: {
        member,
        log,
        startGate: (run) => {
          const report = (boot: number, visible: number): void => {
            setImmediate(() => {
              for (const [other, set] of this.#sets) {
                if (other !== member) set.onReport(member, boot, visible)
              }
            })
          }
          const serving = { member, reads: 'strict', leaseMs: 3_000, clock: systemClock } as const
          const set = startServing(run, { ...serving, report })
          this.#sets.set(member, set)
          return set
        },
        onFault: (fault) => this.faults.push(fault),
      },
    })
  }
}
