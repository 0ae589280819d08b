/**
 * @module Takes nodes into the mesh: each gets a number of its own, in the log, and a certificate. Any member may do
 * so; two that give the same number at once find in the log which of them was first.
 */
import { createHash } from 'node:crypto'
import type { Control } from '../../metadata/entry.ts'
import type { MemberFacts } from '../../metadata/rows/mesh.ts'
import type { Authority } from '../identity/authority.ts'
import { MeshError } from '../identity/problem.ts'
import type { JoiningNode, MeshToJoin } from '../peers/join/answer.ts'
import type { JoinGrant } from '../peers/join/messages.ts'
import type { MeshMember } from '../peers/peers.ts'
import { splitAddress } from './own-address.ts'

/** Attempts at a number before the node has to ask again. */
const attemptsMax = 10

export interface AdmissionParts {
  readonly cluster: string
  /** Number of this node. */
  readonly member: number
  /** All that were ever members, as the log has them now. */
  readonly members: () => readonly MeshMember[]
  /** The rules of the log that are in force. */
  readonly level: () => number
  /** Says something in the log (`Statements`). */
  readonly say: (control: Control) => Promise<boolean>
  /** Throws a MeshError 'sealed' when the secret does not open its key. */
  readonly authority: () => Authority
  readonly log: () => string
  readonly endpoints: () => readonly string[]
}

/** Of a public key (SubjectPublicKeyInfo, DER), as rows of members have it. */
export function keyNameOf(publicKey: Uint8Array): string {
  return createHash('sha256').update(publicKey).digest('hex')
}

export function meshToJoin(parts: AdmissionParts): MeshToJoin {
  let last: Promise<unknown> = Promise.resolve()
  return {
    cluster: parts.cluster,
    level: parts.level,
    onJoin(node) {
      // One after the other: each sees the number of the one before.
      const next = last.then(() => admit(node, parts))
      last = next.catch(() => undefined)
      return next
    },
  }
}

async function admit(
  node: JoiningNode,
  parts: AdmissionParts,
): Promise<Omit<JoinGrant, 'is' | 'cluster'>> {
  const authority = parts.authority()
  const member = await numberOf(node, parts)
  const { host } = splitAddress(node.advertise)
  return {
    member,
    by: parts.member,
    certificate: await authority.issue(member, node.publicKey, [host]),
    log: parts.log(),
    endpoints: [...parts.endpoints()],
  }
}

/** The number that the node has: an answer that was lost is given again. */
async function numberOf(
  { name, advertise, zone, weight, publicKey, witness }: JoiningNode,
  { members, say }: AdmissionParts,
): Promise<number> {
  const key = keyNameOf(publicKey)
  const facts: MemberFacts = {
    name,
    address: advertise,
    zone,
    weight,
    key,
    ...(witness && { witness }),
  }
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    const all = members()
    const known = all.find((it) => it.key === key)
    if (known?.state === 'left') {
      throw new MeshError(
        'certificate',
        `member ${known.number} has left the mesh; empty its storage, and it joins as a new one`,
      )
    }
    if (known !== undefined && (known.witness === true) !== witness) {
      throw new MeshError(
        'certificate',
        `member ${known.number} is ${witness ? 'no' : 'a'} witness; give a witness a folder of its own`,
      )
    }
    if (known !== undefined) return known.number
    const member = Math.max(0, ...all.map(({ number }) => number)) + 1
    if (await say({ control: 'member', member, facts })) return member
  }
  throw new MeshError('busy', 'many nodes join at once; ask again')
}
