/**
 * @module How a node of a mesh answers reads, over all its runs: its part in the serving set, what it says of that to
 * who looks after it, and what it answers while it is cut off.
 */
import type { MeshConfig } from '../../config/config.ts'
import { StaleReads } from '../../http/stale-reads.ts'
import { conditionCheck, etcdCheck } from '../../mesh/condition.ts'
import type { PeerLinks } from '../../mesh/peers/links.ts'
import { type RoomState, RoomWatch } from '../../mesh/room.ts'
import type { ServingSet } from '../../mesh/serving.ts'
import { startServing } from '../../mesh/start-serving.ts'
import type { RunOfLog } from '../../metadata/lmdb/log-commits.ts'
import type { HealthCheck } from '../../observability/health.ts'
import { systemClock } from '../../runtime/clock.ts'

/** A node is not waited for longer because of its etcd, ms: it may never serve again. */
const etcdStartMs = 120_000

export class Gate {
  readonly checks: readonly HealthCheck[]
  /** Undefined: tags and lists are refused while it is cut off. */
  readonly stale: StaleReads | undefined
  readonly #mesh: Pick<MeshConfig, 'reads' | 'readLeaseMs'>
  readonly #room: RoomWatch
  #freeBytes = () => Number.POSITIVE_INFINITY
  #etcd: () => string | undefined = () => undefined
  #set: ServingSet | undefined
  #forgetReports: (() => void) | undefined

  /** `reserveBytes`: what is to stay free on the disk. */
  constructor(
    mesh: Pick<MeshConfig, 'reads' | 'readLeaseMs' | 'staleReads'>,
    reserveBytes: number,
  ) {
    this.#mesh = mesh
    this.#room = new RoomWatch(reserveBytes)
    this.stale = mesh.staleReads === 'serve' ? new StaleReads() : undefined
    this.checks = [
      conditionCheck(
        () => this.#set,
        () => this.#roomNow(),
      ),
      etcdCheck(() => this.#etcd()),
    ]
  }

  /** The node runs an etcd. `had`: it had a part of it in an earlier run, and so others count on it. */
  setEtcd(state: () => string | undefined, had: boolean): void {
    const startedAt = systemClock.monotonic()
    let hasServed = !had
    this.#etcd = () => {
      const now = state() ?? 'stopped'
      if (now === 'serving') hasServed = true
      const isLate = systemClock.monotonic() - startedAt > etcdStartMs
      return hasServed || isLate ? now : 'coming'
    }
  }

  /** Of the run of now; undefined: the writer is not up yet. */
  get set(): ServingSet | undefined {
    return this.#set
  }

  /** The store is open: from now on its disk is looked at. */
  setRoom(room: { readonly freeBytes: number }): void {
    this.#freeBytes = () => room.freeBytes
  }

  #roomNow(): RoomState {
    return this.#room.judge(this.#freeBytes())
  }

  /** A run has begun. */
  start(run: RunOfLog, member: number, links: PeerLinks): ServingSet {
    const { reads, readLeaseMs } = this.#mesh
    const set = startServing(run, {
      member,
      reads,
      leaseMs: readLeaseMs,
      clock: systemClock,
      room: () => this.#roomNow(),
      report: (boot, visible) => links.report(boot, visible),
    })
    this.#forgetReports?.()
    this.#forgetReports = links.onReport((...said) => set.onReport(...said))
    this.#set = set
    return set
  }
}
