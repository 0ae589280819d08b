/**
 * @module What a node reports of its mesh: to the admin API, and to the metrics.
 */
import { type CopiesOfBlob, copyEndpoints, type GroupsOfMesh } from '../../admin/copy-endpoints.ts'
import type { Endpoint } from '../../admin/endpoint.ts'
import { type MeshOverview, type MeshSources, meshEndpoints } from '../../admin/mesh-endpoints.ts'
import { hasObject } from '../../blobs/driver.ts'
import type { EtcdRole } from '../../mesh/etcd/role.ts'
import type { KeptIdentity } from '../../mesh/identity/kept.ts'
import { levelOfRows } from '../../mesh/level-watch.ts'
import { etcdPeerUrl } from '../../mesh/membership/own-address.ts'
import { allMembers, leadOf, sessionOf } from '../../mesh/membership/roster.ts'
import type { Peers } from '../../mesh/peers/peers.ts'
import { groupCount } from '../../mesh/placement.ts'
import type { ServingSet } from '../../mesh/serving.ts'

import type { CopyCare } from '../../mesh/standing/care.ts'
import type { Amount, CopyKind } from '../../mesh/standing/figures.ts'
import { levelOfRun } from '../../metadata/apply/level.ts'

import type { LogFault } from '../../metadata/lmdb/worker/messages.ts'
import type { MetadataReader } from '../../metadata/port.ts'
import type { CopiesReading, MeshReading } from '../../observability/metrics/mesh.ts'
import type { Digest } from '../../registry/digest.ts'
import { RegistryError } from '../../registry/errors.ts'
import type { AskFacts } from './facts.ts'
import type { LeavingStep } from './leaving.ts'

export type { AskFacts } from './facts.ts'

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
  /** How copies of blobs stand on all nodes. */
  readonly care: CopyCare
  /** How far this node is on its way out; undefined: it stays. */
  readonly leaving: () => LeavingStep | undefined
}

/** What the endpoints stand on: undefined for one node alone; in tests there may be copies without a run. */
export interface MeshShown {
  readonly storage: { readonly metadata: Pick<MetadataReader, 'get'> }
  readonly overview?: OverviewParts | undefined
  readonly care?: CopyCare | undefined
  readonly factsOf?: AskFacts | undefined
}

export function endpointsOfMesh(
  { storage, overview: parts, care, factsOf }: MeshShown,
  run: Pick<MeshSources, 'setState' | 'leave'> | undefined,
): Endpoint[] {
  const copies = copyEndpoints(
    care && {
      copiesOf: (digest) => copiesOf(digest, storage.metadata, care),
      groups: (from, count) => groupsOf(from, count, care),
      repair: () => care.repairAll(),
    },
  )
  if (parts === undefined || run === undefined) return [...meshEndpoints(undefined), ...copies]
  const own = meshEndpoints({
    overview: () => wholeOverview(parts, factsOf),
    onlyAt: (member) => parts.care.onlyAt(member).then(({ blobs }) => blobs),
    leave: () => run.leave(),
    setState: (...of) =>
      run.setState(...of).catch(() => {
        throw new RegistryError('LOG_SILENT')
      }),
  })
  return [...own, ...copies]
}

/** What each member says, by a look at its disk. */
async function copiesOf(
  digest: Digest,
  metadata: Pick<MetadataReader, 'get'>,
  care: CopyCare,
): Promise<CopiesOfBlob | undefined> {
  const row = metadata.get('blobs', digest)
  if (row === undefined) return undefined
  const { sizeBytes } = row
  if (!hasObject(row)) return { digest, sizeBytes, isRow: true, copies: [] }
  const owners = care.ownersOf(digest, row)
  const copies = await Promise.all(
    care.members.map(async ({ number: member, name }) => {
      const head = { member, name, owner: owners.includes(member) }
      try {
        const copy = await care.copyAt(member, digest)
        return { ...head, reached: true, ...copy }
      } catch {
        return { ...head, reached: false }
      }
    }),
  )
  return { digest, sizeBytes, isRow: false, copies }
}

/** Some placement groups, with what all nodes say of them. */
async function groupsOf(from: number, count: number, care: CopyCare): Promise<GroupsOfMesh> {
  const length = Math.max(0, Math.min(count, groupCount - from))
  if (length === 0) return { groups: [], counted: [], unknown: [] }
  const numbers = care.members.map(({ number }) => number)
  const said = await Promise.all(numbers.map((member) => care.groupsOf(member, from, length)))
  const isKnown = (at: number) => said[at] !== undefined
  const own = said[numbers.indexOf(care.member)]
  const groups = Array.from({ length }, (_, at) => {
    const all = said.flatMap((figures) => figures?.[at] ?? [])
    const rows = own?.[at]?.rows
    return {
      group: from + at,
      owners: [...care.ownersOfGroup(from + at)],
      ...(rows !== undefined && { rows }),
      copies: all.reduce((sum, it) => sumOfTwo(sum, sumOfTwo(it.owned, it.kept)), nothing),
      lacking: all.reduce((sum, it) => sumOfTwo(sum, it.lacking), nothing),
    }
  })
  return {
    groups,
    counted: numbers.filter((_, at) => isKnown(at)),
    unknown: numbers.filter((_, at) => !isKnown(at)),
  }
}

const nothing: Amount = { blobs: 0, bytes: 0 }

function sumOfTwo(one: Amount, other: Amount): Amount {
  return { blobs: one.blobs + other.blobs, bytes: one.bytes + other.bytes }
}

/** Numbers of the members that have a vote, by the URLs of etcd's voters. */
export function votersAmong(
  members: readonly { readonly number: number; readonly address: string }[],
  urls: ReadonlySet<string>,
): number[] {
  return members.filter(({ address }) => urls.has(etcdPeerUrl(address))).map(({ number }) => number)
}

/** What is known without asking other nodes. */
type Base = Omit<MeshOverview, 'copies' | 'differences' | 'leaving' | 'members'> & {
  readonly members: readonly Omit<MeshOverview['members'][number], 'counted' | 'copies' | 'pins'>[]
}

/** With what every node says of its copies. */
async function wholeOverview(
  parts: OverviewParts,
  factsOf: AskFacts | undefined,
): Promise<MeshOverview> {
  const base = overviewOf(parts)
  const differing = differencesOf(base, factsOf)
  const members = await Promise.all(
    base.members.map(async (it) => {
      if (it.state === 'left') return { ...it, counted: 'left' as const }
      const said = await parts.care.standingOf(it.number).catch(() => undefined)
      if (said === undefined) return { ...it, counted: 'not reached' as const }
      const { pins, figures } = said
      if (figures === null) return { ...it, pins, counted: 'not known yet' as const }
      const { pass: _pass, ...copies } = figures
      return { ...it, pins, counted: 'known' as const, copies }
    }),
  )
  const leaving = parts.leaving()
  const more = { copies: sumOf(members), differences: await differing }
  return { ...base, members, ...more, ...(leaving !== undefined && { leaving }) }
}

/** What the nodes that say it were not all given alike. */
async function differencesOf(
  { members }: Base,
  factsOf: AskFacts | undefined,
): Promise<MeshOverview['differences']> {
  if (factsOf === undefined) return []
  const found = new Map<string, Map<string, number[]>>()
  const asked = members.filter(({ reached, state }) => reached && nodeStates.has(state))
  const said = await Promise.all(
    asked.map(({ number }) =>
      factsOf(number).then(
        ({ alike }) => alike,
        () => ({}),
      ),
    ),
  )
  for (const [at, { number }] of asked.entries()) {
    for (const [what, hash] of Object.entries(said[at]!)) {
      const hashes = found.get(what) ?? new Map<string, number[]>()
      hashes.set(hash, [...(hashes.get(hash) ?? []), number])
      found.set(what, hashes)
    }
  }
  return [...found]
    .filter(([, hashes]) => hashes.size > 1)
    .map(([what, hashes]) => ({
      what,
      given: [...hashes].map(([hash, numbers]) => ({ hash, members: numbers })),
    }))
}

/** Of members that have users, rules and settings of a registry. */
const nodeStates: ReadonlySet<string> = new Set(['joining', 'active', 'draining', 'out'])

function sumOf(members: MeshOverview['members']): MeshOverview['copies'] {
  const counted = members.flatMap(({ copies }) => (copies === undefined ? [] : [copies]))
  const sum = (kind: CopyKind) => ({
    blobs: counted.reduce((all, it) => all + it[kind].blobs, 0),
    bytes: counted.reduce((all, it) => all + it[kind].bytes, 0),
  })
  return {
    isWhole: members.every((it) => it.counted === 'known' || it.counted === 'left'),
    ...{ owned: sum('owned'), lacking: sum('lacking') },
    ...{ kept: sum('kept'), cached: sum('cached') },
  }
}

function overviewOf({ metadata, identity, peers, set, etcd }: OverviewParts): Base {
  const { cluster, member, log, endpoints } = identity()
  const own = set()
  const role = etcd()
  const lead = leadOf(metadata)
  const members = allMembers(metadata).map(({ key: _key, witness: _witness, ...facts }) => {
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

export function copiesReadingOf({ figures, pins, repairBytes, traffic }: CopyCare): CopiesReading {
  const { sentBytes, receivedBytes } = traffic
  return { figures, pins, repairBytes, sentBytes, receivedBytes }
}
