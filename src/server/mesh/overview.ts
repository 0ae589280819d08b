/**
 * @module What a node reports of its mesh: to the admin API, and to the metrics.
 */
import type { Endpoint } from '../../admin/endpoint.ts'
import { type MeshOverview, type MeshSources, meshEndpoints } from '../../admin/mesh-endpoints.ts'
import type { EtcdRole } from '../../mesh/etcd/role.ts'
import type { KeptIdentity } from '../../mesh/identity/kept.ts'
import { levelOfRows } from '../../mesh/level-watch.ts'
import { etcdPeerUrl } from '../../mesh/membership/own-address.ts'
import { allMembers, leadOf, sessionOf } from '../../mesh/membership/roster.ts'
import type { Peers } from '../../mesh/peers/peers.ts'
import type { ServingSet } from '../../mesh/serving.ts'
import { levelOfRun } from '../../metadata/level.ts'
import type { LogFault } from '../../metadata/lmdb/worker/messages.ts'
import type { MetadataReader } from '../../metadata/port.ts'
import type { MeshReading } from '../../observability/metrics/mesh.ts'
import { RegistryError } from '../../registry/errors.ts'

export interface OverviewParts {
  readonly metadata: Pick<MetadataReader, 'entries' | 'get'>
  readonly identity: () => KeptIdentity
  readonly peers: Peers
  /** Undefined: the writer is not up yet. */
  readonly set: () => ServingSet | undefined
  /** Of this node's etcd; undefined: it runs none. */
  readonly etcd: () => Pick<EtcdRole, 'isFull' | 'state' | 'voters'> | undefined
  /** How often each fault of the log was met since the start. */
  readonly faults: ReadonlyMap<LogFault['is'], number>
  /** Answers that were marked as stale. */
  readonly staleReads: () => number
}

/** `parts` undefined: one node alone. */
export function endpointsOfMesh(
  parts: OverviewParts | undefined,
  setState: MeshSources['setState'] | undefined,
): Endpoint[] {
  if (parts === undefined || setState === undefined) return meshEndpoints(undefined)
  return meshEndpoints({
    overview: () => overviewOf(parts),
    setState: (...of) =>
      setState(...of).catch(() => {
        throw new RegistryError('LOG_SILENT')
      }),
  })
}

export function overviewOf({ metadata, identity, peers, set, etcd }: OverviewParts): MeshOverview {
  const { cluster, member, log, endpoints } = identity()
  const own = set()
  const role = etcd()
  const lead = leadOf(metadata)
  const members = allMembers(metadata).map(({ key: _key, ...facts }) => {
    const { number, address } = facts
    const session = sessionOf(metadata, number)
    const isSelf = number === member
    const shown = isSelf ? (own?.visible ?? 0) : (session?.visible ?? 0)
    const isPresent = (session?.presentAt ?? 0) > 0
    return {
      ...facts,
      boot: session?.boot ?? 0,
      visible: shown,
      // What is applied is shown: a node that is slow with it does not take part for long.
      applied: shown,
      durable: session?.durable ?? 0,
      level: levelOfRun(session),
      present: isPresent,
      serving: own?.servingMembers.includes(number) ?? false,
      voter: role?.voters.has(etcdPeerUrl(address)) ?? false,
      reached: isSelf || peers.links.open.includes(number),
    }
  })
  return {
    cluster,
    member,
    ...(lead !== undefined && { lead }),
    serving: own?.isServing ?? false,
    visible: own?.visible ?? 0,
    stable: own?.stable ?? 0,
    log: { identity: log, endpoints: [...endpoints], ...(role && { etcd: role.state }) },
    level: levelOfRows(metadata),
    members,
  }
}

export function meshReadingOf(parts: OverviewParts): MeshReading {
  const { serving, visible, stable, members, member, lead } = overviewOf(parts)
  const states = new Map<string, number>()
  for (const { state } of members) states.set(state, (states.get(state) ?? 0) + 1)
  return {
    isServing: serving,
    isLead: lead === member,
    visible,
    stable,
    servingMembers: members.filter((it) => it.serving).length,
    reachedPeers: members.filter((it) => it.reached && it.number !== member).length,
    isEtcdUp: parts.etcd()?.state === 'serving',
    isEtcdFull: parts.etcd()?.isFull === true,
    states,
    faults: parts.faults,
    staleReads: parts.staleReads(),
  }
}
