/**
 * @module Blobs that many members fetch at once: one that has taken all of it serves it to the next, so that a layer
 * which every node wants at the same time goes out by a tree and not by the network of its owners alone.
 */
import type { Digest } from '../../registry/digest.ts'

/** Streams of one blob from here; who comes then is sent to a member that has it, if one is known. */
const streamsMax = 8
/** Members that are remembered to have one. */
const takersMax = 64

interface HotBlob {
  streams: number
  /** Members that have taken it while it was sent, the newest last. */
  readonly takers: number[]
  /** Whose turn it is. */
  turn: number
}

export class HotBlobs {
  /** Those that are sent now: no more than streams. */
  readonly #blobs = new Map<Digest, HotBlob>()

  /** It is sent to a member from now on; the result says that it is over, and whether the member has all of it. */
  begin(digest: Digest, member: number | undefined): (isWhole: boolean) => void {
    const blob = this.#blobs.get(digest) ?? { streams: 0, takers: [], turn: 0 }
    this.#blobs.set(digest, blob)
    blob.streams += 1
    return (isWhole) => {
      blob.streams -= 1
      if (blob.streams === 0) this.#blobs.delete(digest)
      else if (isWhole && member !== undefined) taken(blob, member)
    }
  }

  /** A member that has it, in turn, where as many are sent it as may be; undefined: it is sent from here. */
  elsewhere(digest: Digest, member: number | undefined): number | undefined {
    const blob = this.#blobs.get(digest)
    if (blob === undefined || blob.streams < streamsMax) return undefined
    const others = blob.takers.filter((taker) => taker !== member)
    if (others.length === 0) return undefined
    blob.turn += 1
    return others[blob.turn % others.length]
  }
}

function taken({ takers }: HotBlob, member: number): void {
  if (takers.includes(member)) return
  takers.push(member)
  if (takers.length > takersMax) takers.shift()
}
