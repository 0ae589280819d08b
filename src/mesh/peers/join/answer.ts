/**
 * @module The side of a join that is asked: `POST …/join`, the one path for nodes without a certificate. A member
 * knows who may join, and `onJoin` writes it down; a node that is none itself says so, with the same proof.
 */
import type { TLSSocket } from 'node:tls'
import type * as v from 'valibot'
import type { Time } from '../../../metadata/log/etcd/time.ts'
import type { Clock } from '../../../runtime/clock.ts'
import type { Random } from '../../../runtime/random.ts'
import { fingerprintOf, readCertificate } from '../../identity/authority.ts'
import {
  Challenges,
  type JoinFacts,
  makeProof,
  provenSecret,
  requireSameTime,
} from '../../identity/handshake.ts'
import { MeshError } from '../../identity/problem.ts'
import type { MeshSecrets } from '../../identity/secret.ts'
import { channelOf } from '../credentials.ts'
import type { PeerCall, PeerRoute } from '../listener.ts'
import { parseJson, readBody, respondJson } from '../messages.ts'
import {
  type Ask,
  type JoinGrant,
  type JoinWish,
  joinBytesMax,
  joinMs,
  type NotFounded,
  Question,
  Wish,
} from './messages.ts'

/** A node that may become a member. */
export interface JoiningNode
  extends Omit<JoinWish, 'publicKey' | 'time' | 'hasData' | 'claims' | 'cluster'> {
  readonly name: string
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer
}

/** The mesh of a member that is asked. */
export interface MeshToJoin {
  readonly cluster: string
  /** The rules of the log that are in force. */
  readonly level: () => number
  /**
   * Makes the node a member. May be called twice for one node, whose first answer was lost. What it throws
   * is the answer.
   */
  readonly onJoin: (node: JoiningNode) => Promise<Omit<JoinGrant, 'is' | 'cluster'>>
}

/** What a node says that is no member itself. */
export interface BeforeFounding extends Omit<NotFounded, 'is' | 'vote'> {
  /** Gives the one vote that a node has to the node that is reached there; false: another one has it. */
  readonly vote: (advertise: string) => Promise<boolean>
}

export interface JoinRouteOptions {
  readonly secrets: MeshSecrets
  /** Of the authority by which the connection is secured, PEM. */
  readonly authority: string
  readonly clock: Clock
  readonly random: Random
  readonly time: Time
  /** Or, on a node that is no member, who is to found the mesh. */
  readonly of: MeshToJoin | BeforeFounding
}

export function joinRoute(options: JoinRouteOptions): PeerRoute {
  const challenges = new Challenges(options)
  const fingerprint = fingerprintOf(readCertificate(options.authority))
  return {
    method: 'POST',
    isOpen: true,
    async answer({ request, response }: PeerCall) {
      const limits = { bytesMax: joinBytesMax, ms: joinMs, time: options.time }
      const question = parseJson(await readBody(request, limits), Question)
      if (question.step === 'hello') {
        const given = challenges.give(question.name, Buffer.from(question.nonce, 'hex'))
        respondJson(response, 200, {
          challenge: given.id,
          nonce: Buffer.from(given.peerNonce).toString('hex'),
          authority: options.authority,
        })
        return
      }
      const { name, nodeNonce, peerNonce } = challenges.take(question.challenge)
      const channel = channelOf(request.socket as TLSSocket)
      const facts = { name, nodeNonce, peerNonce, fingerprint, channel }
      respondJson(response, 200, await answerAsk(question, facts, options))
    },
  }
}

async function answerAsk(
  { wish: text, proof }: v.InferOutput<typeof Ask>,
  facts: JoinFacts,
  options: JoinRouteOptions,
): Promise<{ readonly grant: string; readonly proof: string }> {
  const bytes = Buffer.from(text, 'utf8')
  const proven = Buffer.from(proof, 'hex')
  const secret = provenSecret(options.secrets, 'join-node', facts, bytes, proven)
  if (secret === undefined) {
    throw new MeshError(
      'secret',
      'the secret of the joining node is not the one of the cluster; use the same on all nodes',
    )
  }
  const wish = parseJson(bytes, Wish)
  const grant = JSON.stringify(await grantFor(wish, facts.name, options))
  const own = makeProof(secret, 'join-peer', facts, Buffer.from(grant, 'utf8'))
  return { grant, proof: own.toString('hex') }
}

async function grantFor(
  wish: JoinWish,
  name: string,
  { of, clock }: JoinRouteOptions,
): Promise<JoinGrant | NotFounded> {
  if ('founders' in of) {
    const { founders, hasData, vote } = of
    const isGiven = wish.claims && (await vote(wish.advertise))
    return { is: 'none', founders, hasData, vote: isGiven }
  }
  requireMatch(wish, of, clock)
  const { publicKey, time: _time, hasData: _data, claims: _claims, cluster: _of, ...rest } = wish
  const key = Buffer.from(publicKey, 'base64')
  const given = await of.onJoin({ ...rest, name, publicKey: key })
  return { is: 'member', cluster: of.cluster, ...given }
}

/** Throws a MeshError for a node that cannot be a member of this cluster. */
function requireMatch(wish: JoinWish, { cluster, level }: MeshToJoin, clock: Clock): void {
  if (wish.cluster !== null && wish.cluster !== cluster) {
    throw new MeshError('cluster', `this is cluster "${cluster}", not "${wish.cluster}"`)
  }
  requireSameTime(wish.time, clock.now())
  if (wish.level < level()) {
    throw new MeshError(
      'level',
      `the cluster has level ${level()}, the program of the joining node knows ${wish.level}; update it`,
    )
  }
  if (wish.hasData) {
    throw new MeshError(
      'data',
      'the joining node has data of its own; join with an empty storage, then copy the data by a sync',
    )
  }
}
