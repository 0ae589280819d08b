/**
 * @module The joining node's side of a join. It has no certificate to know the peer by: it believes nothing
 * before the peer has proved that it knows the secret of the mesh, on the same connection.
 */
import { request } from 'node:https'
import { connect, type TLSSocket } from 'node:tls'
import type * as v from 'valibot'
import type { Time } from '../../../metadata/log/etcd/time.ts'
import type { Clock } from '../../../runtime/clock.ts'
import type { Random } from '../../../runtime/random.ts'
import { fingerprintOf, readCertificate, requireOwnCertificate } from '../../identity/authority.ts'
import { joinNonceBytes, makeProof, provenSecret } from '../../identity/handshake.ts'
import { MeshError } from '../../identity/problem.ts'
import type { MeshSecret, MeshSecrets } from '../../identity/secret.ts'
import { answerTo, asMeshError, parseAddress } from '../client.ts'
import { channelOf, tlsRules } from '../credentials.ts'
import { parseJson, paths, problemIn, readBody } from '../messages.ts'
import {
  Answer,
  Challenge,
  Grant,
  type JoinGrant,
  joinBytesMax,
  joinMs,
  type NotFounded,
} from './messages.ts'

export interface JoinOptions {
  /** Of any member: `host:port`. */
  readonly address: string
  readonly secrets: MeshSecrets
  readonly name: string
  /** Where peers will reach this node. */
  readonly advertise: string
  /** What fails together with this node, at most 64 characters; empty: it is not known. */
  readonly zone: string
  /** TiB that it has for files. */
  readonly weight: number
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer
  /** The newest rules of the log that this program knows. */
  readonly level: number
  readonly hasData: boolean
  /** Whether this node is only to vote in etcd. Default: no. */
  readonly witness?: boolean
  /** Whether this node is about to found a mesh, and asks for a vote. */
  readonly claims: boolean
  /** Undefined: whichever cluster the peer is of. */
  readonly cluster?: string | undefined
  readonly clock: Pick<Clock, 'now'>
  readonly random: Random
  readonly time: Time
}

export interface Joined extends JoinGrant {
  /** Certificate of the authority, PEM: proved by the peer. */
  readonly authority: string
}

/**
 * Asks a node to make this one a member, with each of the secrets until one is right; 'none': it is no member
 * itself, and says which nodes are to found the mesh. Rejects with the MeshError
 * of the member, with 'secret' when one of the two does not know the secret of the other, and 'silent' when it
 * cannot be reached. It may have made this node a member all the same: asking again with the same key is right.
 */
export async function askToJoin(options: JoinOptions): Promise<Joined | NotFounded> {
  const [last, ...before] = [...options.secrets].reverse() as [MeshSecret, ...MeshSecret[]]
  for (const secret of before.reverse()) {
    try {
      return await joinWith(secret, options)
    } catch (error) {
      if (!(error instanceof MeshError) || error.problem !== 'secret') throw error
    }
  }
  return await joinWith(last, options)
}

async function joinWith(secret: MeshSecret, options: JoinOptions): Promise<Joined | NotFounded> {
  const { name, random, publicKey } = options
  const nodeNonce = random.bytes(joinNonceBytes)
  const hello = { step: 'hello', name, nonce: Buffer.from(nodeNonce).toString('hex') }
  const given = await exchange(options, Challenge, () => hello)
  const fingerprint = fingerprintOf(readCertificate(given.authority))
  const peerNonce = Buffer.from(given.nonce, 'hex')
  const wish = JSON.stringify(wishOf(options))
  let channel: Buffer = Buffer.alloc(0)
  const factsNow = () => ({ name, nodeNonce, peerNonce, fingerprint, channel })
  const answer = await exchange(options, Answer, (socket) => {
    channel = channelOf(socket)
    const proof = makeProof(secret, 'join-node', factsNow(), Buffer.from(wish, 'utf8'))
    return { step: 'ask', challenge: given.challenge, wish, proof: proof.toString('hex') }
  })
  const grantBytes = Buffer.from(answer.grant, 'utf8')
  const proof = Buffer.from(answer.proof, 'hex')
  if (provenSecret([secret], 'join-peer', factsNow(), grantBytes, proof) === undefined) {
    throw new MeshError(
      'secret',
      `the node at ${options.address} does not know the secret of the mesh; is the address right?`,
    )
  }
  const grant = parseJson(grantBytes, Grant)
  if (grant.is === 'none') return grant
  if (options.cluster !== undefined && grant.cluster !== options.cluster) {
    throw new MeshError('cluster', `the peer is of cluster "${grant.cluster}"`)
  }
  requireOwnCertificate(grant.certificate, given.authority, { ...grant, publicKey })
  return { ...grant, authority: given.authority }
}

function wishOf({ advertise, zone, weight, publicKey, level, hasData, ...rest }: JoinOptions) {
  return {
    advertise,
    zone,
    weight,
    publicKey: publicKey.toString('base64'),
    level,
    time: rest.clock.now(),
    hasData,
    witness: rest.witness ?? false,
    claims: rest.claims,
    cluster: rest.cluster ?? null,
  }
}

/** One message and its answer on a connection of their own. */
async function exchange<T>(
  { address, time }: JoinOptions,
  schema: v.GenericSchema<unknown, T>,
  messageFor: (socket: TLSSocket) => object,
): Promise<T> {
  const socket = connect({
    ...parseAddress(address),
    ...tlsRules,
    // The proofs say who the peer is.
    rejectUnauthorized: false,
  })
  const late = () => socket.destroy(new MeshError('silent', `${address} does not answer`))
  const cancel = time.after(joinMs, late)
  try {
    await secured(socket)
    const body = Buffer.from(JSON.stringify(messageFor(socket)), 'utf8')
    const asked = request({
      createConnection: () => socket,
      method: 'POST',
      path: paths.join,
      headers: { 'Content-Type': 'application/json', 'Content-Length': body.byteLength },
    })
    const answer = await answerTo(asked.end(body))
    if (answer.statusCode !== 200) throw await problemIn(answer, { ms: joinMs, time })
    const limits = { bytesMax: joinBytesMax, ms: joinMs, time }
    return parseJson(await readBody(answer, limits), schema)
  } catch (error) {
    throw asMeshError(error)
  } finally {
    cancel()
    socket.destroy()
  }
}

function secured(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve)
    socket.on('error', reject)
    socket.once('close', () => reject(new MeshError('silent', 'the connection to the peer ended')))
  })
}
