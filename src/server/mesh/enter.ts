/**
 * @module How a node that is no member becomes one: it joins a mesh that is there, or founds one. What was begun is
 * gone on with by the next start, wherever the process died.
 */
import { lookup } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'
import type { MeshConfig } from '../../config/config.ts'
import { Authority } from '../../mesh/identity/authority.ts'
import type { IdentityFolder, KeptFounding, KeptIdentity } from '../../mesh/identity/kept.ts'
import { keyNameOf } from '../../mesh/membership/admission.ts'
import { type FindParts, type FoundMesh, findMesh, foundersOf } from '../../mesh/membership/find.ts'
import {
  findOwnAddress,
  joinAddress,
  type OwnAddress,
  splitAddress,
} from '../../mesh/membership/own-address.ts'
import { Vote } from '../../mesh/membership/vote.ts'
import type { Peer } from '../../mesh/peers/client.ts'
import { joinRoute } from '../../mesh/peers/join/answer.ts'
import { askToJoin, type Joined } from '../../mesh/peers/join/ask.ts'
import { knownLevel } from '../../metadata/apply/level.ts'
import { encodeBody, encodeEntry } from '../../metadata/log/codec.ts'
import { EtcdLog, type EtcdLogOptions } from '../../metadata/log/etcd/log.ts'
import { systemTime } from '../../metadata/log/etcd/time.ts'
import type { MemberFacts } from '../../metadata/rows/mesh.ts'
import type { Logger } from '../../observability/logger.ts'
import { systemClock } from '../../runtime/clock.ts'
import { randomHexId, systemRandom } from '../../runtime/random.ts'
import { hasContent } from '../../storage/has-content.ts'
import { etcdEndpoint, hostOf } from './etcd.ts'
import { authorityName, nodeNameOf, type OwnKeys, sealsOf, weightOf } from './identity.ts'
import type { Listening } from './listening.ts'

const parts = { clock: systemClock, random: systemRandom, time: systemTime }

/** Number of the member that founds a mesh. */
const founderNumber = 1

/** Between two attempts to create the log, ms. */
const createAgainMs = 500

export interface EnterOptions extends OwnKeys {
  readonly config: MeshConfig
  readonly storagePath: string
  readonly folder: IdentityFolder
  readonly listening: Listening
  readonly logger: Logger
  /** Founds the etcd of the mesh on this node, reached there, under a token that no other one has. */
  readonly foundEtcd: (advertise: string, token: string) => Promise<void>
  /** For the log, when the files of the identity are there. */
  readonly logOptions: () => Promise<Pick<EtcdLogOptions, 'tls'>>
  /** Rejects when the start is given up. */
  readonly pause: (ms: number) => Promise<void>
}

/** What is said of this node, as it finds itself. */
interface EnterParts extends EnterOptions {
  readonly own: OwnAddress
  readonly name: string
  /** TiB. */
  readonly weight: number
  /** Whether this node has content of its own. */
  readonly hasData: boolean
}

export interface Entered {
  readonly identity: KeptIdentity
  /** Who has taken it in, and has the view that it lacks; undefined: it has founded the mesh. */
  readonly from?: Peer
}

/**
 * Resolves when it is on the disk that this node is a member. A second time with the same key it is the same member.
 * Rejects with what the operator can do.
 */
export async function enterMesh(options: EnterOptions): Promise<Entered> {
  const all = await lookAtSelf(options)
  const { folder, listening, secrets, own, hasData, logger } = all
  const begun = await folder.founding()
  const founders = [...foundersOf(own)]
  const kept = await Vote.of(folder, founders)
  const vote = (address: string) => kept.give(address)
  const of = { founders, hasData, vote }
  const { authority } = listening.credentials
  listening.setJoin(joinRoute({ secrets, authority, ...parts, of }))
  const met = await find(all, vote)
  const identity = met === 'found' ? await found(all, begun) : identityOf(met.joined, own)
  await folder.setIdentity(identity)
  const { cluster, member } = identity
  logger.info(
    { event: 'mesh', cluster, member },
    met === 'found' ? 'founded a mesh' : 'joined a mesh',
  )
  if (met === 'found') return { identity }
  return { identity, from: { member: met.joined.by, address: met.address } }
}

async function lookAtSelf(options: EnterOptions): Promise<EnterParts> {
  const { config, storagePath } = options
  const own = await findOwnAddress(config, {
    lookup: (host) => lookup(host, { all: true }),
    interfaces: networkInterfaces,
  })
  const weight = await weightOf(config, storagePath)
  const hasData = await hasContent(storagePath)
  return { ...options, own, name: nodeNameOf(config), weight, hasData }
}

function find(all: EnterParts, vote: FindParts['vote']): Promise<FoundMesh | 'found'> {
  const { config, key, secrets, own, name, weight, hasData, logger, pause } = all
  const { advertise } = own
  const { zone } = config
  const { publicKey } = key
  const wish = { name, advertise, zone, weight, publicKey, level: knownLevel, hasData }
  return findMesh({
    own,
    hasData,
    ask: (address, claims) => askToJoin({ address, secrets, claims, ...wish, ...parts }),
    vote,
    resolve: addressesOf,
    pause,
    warn: (message) => logger.warn({ event: 'mesh' }, message),
  })
}

/** All addresses of `name:port`; none when it cannot be resolved now. */
export async function addressesOf(name: string): Promise<readonly string[]> {
  const { host, port } = splitAddress(name)
  const found = await lookup(host, { all: true }).catch(() => [])
  return found.map(({ address }) => joinAddress(address, port))
}

function identityOf(joined: Joined, { advertise }: OwnAddress): KeptIdentity {
  const { cluster, member, log, endpoints, authority, certificate } = joined
  return { cluster, member, advertise, log, endpoints, authority, certificate, hasView: false }
}

async function found(all: EnterParts, begun: KeptFounding | undefined): Promise<KeptIdentity> {
  const { config, folder, key, secrets, own, foundEtcd, logOptions } = all
  const { advertise } = own
  const founding = begun ?? (await beginFounding(all))
  const { cluster, sealedKey } = founding
  const sealed = Buffer.from(sealedKey, 'base64')
  const privateKey = sealsOf(secrets, cluster).open(authorityName, sealed).bytes
  const authority = Authority.open(founding.authority, privateKey, parts)
  const certificate = await authority.issue(founderNumber, key.publicKey, [hostOf(advertise)])
  await folder.setCertificates(authority.certificate, certificate)
  const isOwnEtcd = config.log.endpoints.length === 0
  const endpoints = isOwnEtcd ? [etcdEndpoint(advertise)] : [...config.log.endpoints]
  if (isOwnEtcd) await foundEtcd(advertise, cluster)
  const log = new EtcdLog({ endpoints, cluster, ...(await logOptions()) })
  try {
    const identity = await createLog(log, firstEntry(all, sealed), all)
    return {
      cluster,
      member: founderNumber,
      advertise,
      log: identity,
      endpoints,
      authority: authority.certificate,
      certificate,
      hasView: true,
    }
  } finally {
    await log.close()
  }
}

async function beginFounding({ folder, secrets }: EnterParts): Promise<KeptFounding> {
  const cluster = `m${randomHexId(systemRandom).slice(0, 16)}`
  const authority = await Authority.found(cluster, parts)
  const sealedKey = sealsOf(secrets, cluster).seal(authorityName, authority.privateKey)
  const founding = {
    cluster,
    authority: authority.certificate,
    sealedKey: sealedKey.toString('base64'),
  }
  await folder.setFounding(founding)
  return founding
}

/** The founder, the key by which all others get their certificates, and what is one number for all of them. */
function firstEntry({ name, own, config, weight, key }: EnterParts, sealed: Buffer): Uint8Array {
  const { zone, replicationFactor } = config
  const facts: MemberFacts = {
    name,
    address: own.advertise,
    zone,
    weight,
    key: keyNameOf(key.publicKey),
  }
  const [body] = encodeBody({
    controls: [
      { control: 'member', member: founderNumber, facts },
      { control: 'present', signal: 0, reads: 'barrier', level: knownLevel },
    ],
    transactions: [
      {
        checks: [],
        changes: [
          { change: 'put', in: 'secrets', key: authorityName, row: { sealed } },
          {
            change: 'put',
            in: 'cluster',
            key: 'settings',
            row: { replicationFactor, level: knownLevel },
          },
        ],
      },
    ],
  })
  const head = { member: founderNumber, boot: 0, seq: 1, piecesLeft: 0 }
  return encodeEntry({ ...head, body: body! })
}

/** Its identity. An earlier attempt may have created it: no other mesh has the name of the cluster. */
async function createLog(
  log: EtcdLog,
  first: Uint8Array,
  { logger, pause }: EnterParts,
): Promise<string> {
  for (;;) {
    try {
      await log.create(first)
      const identity = await log.identity()
      if (identity !== undefined) return identity
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      logger.warn({ event: 'mesh', reason }, 'the log of the mesh cannot be created yet')
    }
    await pause(createAgainMs)
  }
}
