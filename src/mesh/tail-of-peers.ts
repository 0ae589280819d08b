/**
 * @module What peers have kept of the log, for a node that the log has left behind: one peer after the other, until one
 * has it all. What does not continue the last entry here is refused; whether the rest is right is seen when it is
 * applied (`metadata/log/catch-up.ts`).
 */
import type { LogEntry, LogPlace } from '../metadata/log/port.ts'
import { MeshError } from './identity/problem.ts'
import type { PeerClient } from './peers/client.ts'

/** One peer may take so long, ms: it may be slow, and must not be for ever. */
const peerMsMax = 10 * 60_000

export interface TailOfPeersParts {
  /** Who is asked, in this order. */
  readonly peers: () => readonly Pick<PeerClient, 'peer' | 'readLog'>[]
  /** Monotonic, ms. */
  readonly now: () => number
  /** A peer could not be asked, or has it not. */
  readonly onRefused: (member: number, error: MeshError) => void
}

/** Entries behind `place`, in order and without holes, up to the one of index `upTo`; it ends where none has more. */
export async function* tailOfPeers(
  { peers, now, onRefused }: TailOfPeersParts,
  place: LogPlace,
  upTo: number,
): AsyncGenerator<readonly LogEntry[], void, undefined> {
  let last = place
  for (const client of peers()) {
    if (last.index >= upTo) return
    const until = now() + peerMsMax
    try {
      for await (const entries of continuing(client, last, upTo)) {
        yield entries
        last = entries.at(-1)!
        if (now() > until) throw new MeshError('silent', 'the peer is too slow')
      }
    } catch (error) {
      if (!(error instanceof MeshError)) throw error
      onRefused(client.peer.member, error)
    }
  }
}

/** With the entry at the place itself: it has to be the same, or theirs is another log. */
async function* continuing(
  client: Pick<PeerClient, 'readLog'>,
  place: LogPlace,
  upTo: number,
): AsyncGenerator<readonly LogEntry[], void, undefined> {
  let isSure = place.index === 0
  for await (const entries of client.readLog(Math.max(0, place.index - 1))) {
    const [first] = entries
    if (!isSure && first?.token !== place.token) {
      throw new MeshError('log', `entry ${place.index} of the peer's log is another one`)
    }
    const behind = isSure ? entries : entries.slice(1)
    isSure = true
    const wanted = behind.filter(({ index }) => index <= upTo)
    if (wanted.length > 0) yield wanted
    if (wanted.length < behind.length || wanted.at(-1)?.index === upTo) return
  }
}
