/**
 * @module The metrics of a node of a mesh. Labels are bounded by fixed lists.
 */
import type { Metrics } from './metrics.ts'

export interface MeshReading {
  readonly isServing: boolean
  readonly isLead: boolean
  readonly visible: number
  readonly stable: number
  readonly servingMembers: number
  readonly reachedPeers: number
  readonly isEtcdUp: boolean
  readonly isEtcdFull: boolean
  readonly states: ReadonlyMap<string, number>
  /** How often each was met since the start. */
  readonly faults: ReadonlyMap<string, number>
  readonly staleReads: number
}

const STATES = ['joining', 'active', 'draining', 'out', 'left', 'witness'] as const
const FAULTS = [
  'cut',
  'refused',
  'went-back',
  'tail',
  'gap',
  'conflict',
  'fenced',
  'outdated',
  'stuck',
  'poison',
]

const PLACEMENTS = ['there', 'streamed', 'sent', 'degraded', 'refused'] as const

/** What has become of pushed blobs. `read` is called at each scrape. */
export function declarePlacementMetrics(
  metrics: Metrics,
  read: () => ReadonlyMap<string, number>,
): void {
  const name = 'fastregistry_mesh_placements_total'
  const help =
    'Pushed blobs: there before, at other nodes while they arrived, sent when they were whole, with too few copies, refused.'
  metrics.table('counter', name, help, ['outcome'], () => {
    const placements = read()
    return PLACEMENTS.map((outcome) => ({
      labels: { outcome },
      value: placements.get(outcome) ?? 0,
    }))
  })
  const degraded = 'fastregistry_mesh_degraded_writes_total'
  const why = 'Blobs that were acknowledged with fewer copies than mesh.write_copies.'
  metrics.table('counter', degraded, why, [], () => [
    { labels: {}, value: read().get('degraded') ?? 0 },
  ])
}

/** `read` is called at each scrape. */
export function declareMeshMetrics(metrics: Metrics, read: () => MeshReading): void {
  const one = (name: string, help: string, value: (reading: MeshReading) => number | boolean) =>
    metrics.table('gauge', `fastregistry_mesh_${name}`, help, [], () => [
      { labels: {}, value: Number(value(read())) },
    ])
  one('serving', 'Whether this node answers tags and lists by itself.', (it) => it.isServing)
  one('lead', 'Whether this node acts for all.', (it) => it.isLead)
  one('visible_index', 'The last entry that reads here show.', (it) => it.visible)
  one('stable_index', 'The last entry that reads of all nodes show.', (it) => it.stable)
  one('serving_members', 'Nodes that pushes wait for.', (it) => it.servingMembers)
  one('reached_peers', 'Nodes to which the stream is open.', (it) => it.reachedPeers)
  one('etcd_up', "Whether this node's own etcd serves.", (it) => it.isEtcdUp)
  const staleHelp = 'Answers that may be old, and say so.'
  metrics.table('counter', 'fastregistry_mesh_stale_reads_total', staleHelp, [], () => [
    { labels: {}, value: Number(read().staleReads) || 0 },
  ])
  one('etcd_full', 'Whether etcd takes no entries for want of room.', (it) => it.isEtcdFull)
  metrics.table('gauge', 'fastregistry_mesh_members', 'Members by state.', ['state'], () => {
    const { states } = read()
    return STATES.map((state) => ({ labels: { state }, value: states.get(state) ?? 0 }))
  })
  const help = 'Faults of the log since the start.'
  metrics.table('counter', 'fastregistry_mesh_faults_total', help, ['fault'], () => {
    const { faults } = read()
    return FAULTS.map((fault) => ({ labels: { fault }, value: faults.get(fault) ?? 0 }))
  })
}

export interface CopiesReading {
  /** Blobs and bytes by `owned`, `lacking`, `kept`, `cached`; undefined: not known yet. */
  readonly figures:
    | {
        readonly [kind in (typeof ROLES)[number]]: {
          readonly blobs: number
          readonly bytes: number
        }
      }
    | undefined
  readonly pins: number
  readonly repairBytes: number
  readonly sentBytes: number
  readonly receivedBytes: number
}

const ROLES = ['owned', 'lacking', 'kept', 'cached'] as const

/** `read` is called at each scrape. */
export function declareCopyMetrics(metrics: Metrics, read: () => CopiesReading): void {
  const byRole = (unit: 'blobs' | 'bytes') => () => {
    const { figures } = read()
    if (figures === undefined) return []
    return ROLES.map((role) => ({ labels: { role }, value: figures[role][unit] }))
  }
  const one = (kind: 'gauge' | 'counter', name: string, help: string, value: () => number) =>
    metrics.table(kind, `fastregistry_mesh_${name}`, help, [], () => [
      { labels: {}, value: value() },
    ])
  const gauge = (name: string, help: string, rows: Parameters<Metrics['table']>[4]) =>
    metrics.table('gauge', `fastregistry_mesh_${name}`, help, ['role'], rows)
  const known =
    'as the last pass has counted them; absent until there was one after members changed.'
  gauge('copies', `Copies of blobs that are files, ${known}`, byRole('blobs'))
  gauge('copy_bytes', `Their bytes, ${known}`, byRole('bytes'))
  metrics.table(
    'gauge',
    'fastregistry_mesh_under_replicated_blobs',
    `Blobs that this node owns and has no copy of, ${known}`,
    [],
    () => {
      const { figures } = read()
      return figures === undefined ? [] : [{ labels: {}, value: figures.lacking.blobs }]
    },
  )
  one('gauge', 'pins', 'Uploads that rest on copies of this node.', () => read().pins)
  const repaired = 'Bytes that this node has fetched to have what it owns.'
  one('counter', 'repair_bytes_total', repaired, () => read().repairBytes)
  const sent = 'Bytes of blobs that went between this node and others.'
  metrics.table('counter', 'fastregistry_mesh_peer_bytes_total', sent, ['direction'], () => {
    const { sentBytes, receivedBytes } = read()
    return [
      { labels: { direction: 'sent' }, value: sentBytes },
      { labels: { direction: 'received' }, value: receivedBytes },
    ]
  })
}
