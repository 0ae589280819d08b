/**
 * @module How a node that has no certificate yet and a member prove to each other that they know the secret of
 * the mesh, of which nothing travels:
 *
 * ```
 * node   → member   name, nonce
 * member → node     number of the challenge, nonce, the authority's certificate
 * node   → member   what it asks for, proof of the node
 * member → node     what it gives, proof of the member
 * ```
 *
 * A proof is an HMAC over both nonces, the name, the authority's fingerprint, the TLS connection that it is sent
 * on, and the message that it goes with. So none is of use on another connection, for another message or a
 * second time, and one in the middle can pass nothing on. The node trusts the authority, and all that it was
 * given, when it has seen the member's proof, and not before.
 *
 * Each side shows an HMAC to one that it does not know yet: a secret that can be guessed is found by trying.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../runtime/clock.ts'
import type { Random } from '../../runtime/random.ts'
import { randomHexId } from '../../runtime/random.ts'
import { MeshError } from './problem.ts'
import type { MeshSecret, MeshSecrets } from './secret.ts'

export const joinNonceBytes = 32
export const proofBytes = 32

/** Challenges that are open at once; the oldest goes for another one. */
const challengesMax = 64
/** For how long one may be answered, ms. */
const challengeMs = 30_000
/** How far the clocks of two nodes may be apart, ms. Certificates begin an hour before they are made. */
const clocksApartMs = 5 * 60_000

/** What both sides know when a proof is made. */
export interface JoinFacts {
  readonly name: string
  readonly nodeNonce: Uint8Array
  readonly peerNonce: Uint8Array
  /** Of the authority's certificate. */
  readonly fingerprint: Uint8Array
  /** What only the two ends of the TLS connection have in common. */
  readonly channel: Uint8Array
}

export type ProofSide = 'join-node' | 'join-peer'

/** 32 bytes: that `side` knows the secret, and has sent this message. */
export function makeProof(
  secret: MeshSecret,
  side: ProofSide,
  facts: JoinFacts,
  message: Uint8Array,
): Buffer {
  const mac = createHmac('sha256', secret.key(side))
  const parts = [
    Buffer.from(facts.name, 'utf8'),
    facts.nodeNonce,
    facts.peerNonce,
    facts.fingerprint,
    facts.channel,
    createHash('sha256').update(message).digest(),
  ]
  // With its length before it, no part can be taken for the end of another.
  for (const part of parts) mac.update(lengthOf(part)).update(part)
  return mac.digest()
}

/** The secret by which the proof was made; undefined: none of these. In a time that says nothing of it. */
export function provenSecret(
  secrets: MeshSecrets,
  side: ProofSide,
  facts: JoinFacts,
  message: Uint8Array,
  proof: Uint8Array,
): MeshSecret | undefined {
  if (proof.byteLength !== proofBytes) return undefined
  return secrets.find((secret) => timingSafeEqual(makeProof(secret, side, facts, message), proof))
}

/** Throws a MeshError 'clock' when the two times (ms of wall time) are more than five minutes apart. */
export function requireSameTime(theirs: number, ours: number): void {
  const apart = theirs - ours
  if (Math.abs(apart) <= clocksApartMs) return
  const seconds = Math.round(Math.abs(apart) / 1_000)
  throw new MeshError(
    'clock',
    `the clock of the joining node is ${seconds} seconds ${apart > 0 ? 'ahead' : 'behind'}; ` +
      'set the clocks of all nodes, for example by NTP',
  )
}

export interface OpenChallenge {
  readonly id: string
  readonly name: string
  readonly nodeNonce: Uint8Array
  readonly peerNonce: Uint8Array
}

/** The challenges that a member has given and that were not answered yet: each can be answered once. */
export class Challenges {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #random: Random
  /** Oldest first. */
  readonly #open = new Map<string, OpenChallenge & { readonly until: number }>()

  constructor(parts: { readonly clock: Pick<Clock, 'monotonic'>; readonly random: Random }) {
    this.#clock = parts.clock
    this.#random = parts.random
  }

  /** How many wait to be answered. */
  get size(): number {
    return this.#open.size
  }

  give(name: string, nodeNonce: Uint8Array): OpenChallenge {
    const [oldest] = this.#open.keys()
    // A flood of strangers must come within one exchange of a node to take its challenge away.
    if (oldest !== undefined && this.#open.size >= challengesMax) this.#open.delete(oldest)
    const id = randomHexId(this.#random)
    const challenge = { id, name, nodeNonce, peerNonce: this.#random.bytes(joinNonceBytes) }
    this.#open.set(id, { ...challenge, until: this.#clock.monotonic() + challengeMs })
    return challenge
  }

  /**
   * The challenge, which is over with that, whatever its answer is worth. Throws a MeshError 'handshake' for
   * one that was answered, has ended or was never given.
   */
  take(id: string): OpenChallenge {
    const challenge = this.#open.get(id)
    this.#open.delete(id)
    if (challenge !== undefined && this.#clock.monotonic() < challenge.until) return challenge
    throw new MeshError('handshake', 'this join has ended, or was begun elsewhere; begin it again')
  }
}

function lengthOf(part: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(part.byteLength)
  return length
}
