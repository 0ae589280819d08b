/**
 * @module What travels when a node joins a cluster (`identity/handshake.ts` says in which order). What is asked
 * for and what is given travel as text inside the messages: the proofs are of these bytes.
 */
import * as v from 'valibot'
import { memberMax } from '../../identity/authority.ts'
import { joinNonceBytes, proofBytes } from '../../identity/handshake.ts'

/** Of a message, bytes. */
export const joinBytesMax = 32 * 1024
/** For one message of the other side, ms. */
export const joinMs = 10_000

const bytesOf = (count: number) => v.pipe(v.string(), v.regex(/^[0-9a-f]*$/), v.length(2 * count))
const textMax = (characters: number) => v.pipe(v.string(), v.maxLength(characters))
const wholeNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(0))

const cluster = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/))
const member = v.pipe(wholeNumber, v.minValue(1), v.maxValue(memberMax))
const nodeName = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,64}$/))

export const Hello = v.strictObject({
  step: v.literal('hello'),
  name: nodeName,
  nonce: bytesOf(joinNonceBytes),
})

export const Challenge = v.strictObject({
  challenge: bytesOf(16),
  nonce: bytesOf(joinNonceBytes),
  authority: textMax(8_192),
})

export const Ask = v.strictObject({
  step: v.literal('ask'),
  challenge: bytesOf(16),
  wish: textMax(4_096),
  proof: bytesOf(proofBytes),
})

export const Question = v.variant('step', [Hello, Ask])

export const Answer = v.strictObject({
  grant: textMax(24 * 1024),
  proof: bytesOf(proofBytes),
})

/** What a node asks for. */
export const Wish = v.strictObject({
  /** Where its peers reach it: `host:port`. */
  advertise: textMax(300),
  /** What fails together with it; empty: it does not say. */
  zone: textMax(64),
  /** TiB that it has for files. */
  weight: v.pipe(v.number(), v.finite(), v.minValue(0), v.maxValue(1_000_000)),
  /** SubjectPublicKeyInfo, DER, in base64. */
  publicKey: v.pipe(v.string(), v.base64(), v.maxLength(512)),
  /** The newest rules of the log that its program knows. */
  level: wholeNumber,
  /** Wall time, ms. */
  time: wholeNumber,
  /** Whether it has content of its own. */
  hasData: v.boolean(),
  /** Whether it is only to vote in etcd. */
  witness: v.boolean(),
  /** Whether it is about to found a mesh, and asks for the one vote that a node has. */
  claims: v.boolean(),
  /** The cluster that it expects; null: any. */
  cluster: v.nullable(cluster),
})

/** What it is given by a member. */
const Membership = v.strictObject({
  is: v.literal('member'),
  cluster,
  member,
  /** The member that has answered. */
  by: member,
  /** PEM, signed by the authority of the challenge. */
  certificate: textMax(8_192),
  /** Identity of the log. */
  log: textMax(1_024),
  /** Where the log is reached. */
  endpoints: v.pipe(v.array(textMax(300)), v.maxLength(32)),
})

/** What a node says that is no member itself: which nodes are to found the mesh, as it has heard it. */
const Nothing = v.strictObject({
  is: v.literal('none'),
  founders: v.pipe(v.array(textMax(300)), v.maxLength(128)),
  /** Whether it has content of its own, which is to be that of the mesh. */
  hasData: v.boolean(),
  /** Whether it has given its vote to the node that asks. */
  vote: v.boolean(),
})

export const Grant = v.variant('is', [Membership, Nothing])

export type JoinWish = v.InferOutput<typeof Wish>
export type JoinGrant = v.InferOutput<typeof Membership>
export type NotFounded = v.InferOutput<typeof Nothing>
