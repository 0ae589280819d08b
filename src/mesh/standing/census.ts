/**
 * @module Which of the other members have copies of blobs, by a fresh look at their disks: what is in the greatest
 * danger is made good first, and no last copy is given up.
 */
import type { Digest } from '../../registry/digest.ts'
import type { AskPeers } from '../blobs/ask.ts'
import { digestsMax } from '../blobs/protocol.ts'

export interface SizedBlob {
  readonly digest: Digest
  readonly size: number
}

/**
 * How many of the members have a file of the blob's size, by digest. One that does not answer has none. At most
 * `digestsMax` blobs a question, one question at a time to each member.
 */
export async function countCopies(
  ask: Pick<AskPeers, 'copies'>,
  members: readonly number[],
  blobs: readonly SizedBlob[],
): Promise<ReadonlyMap<Digest, number>> {
  const found = new Map(blobs.map(({ digest }) => [digest, 0]))
  for (let start = 0; start < blobs.length; start += digestsMax) {
    const some = blobs.slice(start, start + digestsMax)
    const question = { blobs: some.map(({ digest, size }) => ({ digest, size })) }
    const answers = await Promise.all(
      members.map((member) => ask.copies(member, question).catch(() => [])),
    )
    for (const [at, { digest }] of some.entries()) {
      const count = answers.filter((here) => here[at] === true).length
      found.set(digest, count)
    }
  }
  return found
}

/** Those with one copy first, then those with more; last those of which no member has said that it has one. */
export function mostInDangerFirst<T extends SizedBlob>(
  blobs: readonly T[],
  copies: ReadonlyMap<Digest, number>,
): readonly T[] {
  const of = ({ digest }: T) => copies.get(digest) ?? 0
  return [
    ...blobs.filter((it) => of(it) === 1),
    ...blobs.filter((it) => of(it) > 1),
    ...blobs.filter((it) => of(it) === 0),
  ]
}
