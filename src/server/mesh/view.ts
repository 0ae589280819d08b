/**
 * @module Takes what a node lacks from its peers: the tail of the log, or the whole view, for a node that has none or cannot go on with its own: it is put in its place when
 * the store is opened the next time.
 */
import { statfs } from 'node:fs/promises'
import { MeshError } from '../../mesh/identity/problem.ts'
import { type Peer, PeerClient, type PeerClientOptions } from '../../mesh/peers/client.ts'
import type { Peers } from '../../mesh/peers/peers.ts'
import { tailOfPeers } from '../../mesh/tail-of-peers.ts'
import { metadataFolder } from '../../metadata/lmdb/folder.ts'
import type { ReadTail } from '../../metadata/lmdb/log-tail.ts'
import { SnapshotError } from '../../metadata/lmdb/snapshot/format.ts'
import { receiveSnapshot } from '../../metadata/lmdb/snapshot/receive.ts'
import type { Logger } from '../../observability/logger.ts'
import { systemClock } from '../../runtime/clock.ts'

/** Between two rounds, ms. */
const againMs = 1_000

export interface ViewParts extends Omit<PeerClientOptions, 'peer'> {
  readonly storagePath: string
  readonly cluster: string
  /** Bytes that stay free. */
  readonly reserveBytes: number
  /** Who may be asked: one after the other. */
  readonly peers: () => readonly Peer[]
  readonly logger: Logger
  readonly pause: (ms: number) => Promise<void>
}

/**
 * Resolves when a whole view is on the disk. Asks for as long as it takes; rejects when there is no room for it, and
 * with what `pause` rejects.
 */
export async function takeView(parts: ViewParts): Promise<void> {
  for (;;) {
    for (const peer of parts.peers()) {
      if (await takeFrom(peer, parts)) return
    }
    await parts.pause(againMs)
  }
}

/** What peers have kept of the log, those that are reached first. */
export function tailOf(peers: Peers, logger: Logger): ReadTail {
  const clients = () => {
    const others = peers.members.filter(({ number }) => number !== peers.member)
    const isOpen = (number: number) => (peers.links.open.includes(number) ? 0 : 1)
    others.sort((a, b) => isOpen(a.number) - isOpen(b.number))
    return others.map(({ number }) => peers.client(number))
  }
  const onRefused = (member: number, error: MeshError) => {
    const fields = { event: 'mesh', from: member, reason: error.message }
    logger.warn(fields, 'could not take the tail of the log from a peer; another one is asked')
  }
  return (place, upTo) => {
    logger.info({ event: 'mesh', behind: place.index, upTo }, 'the log has left this node behind')
    return tailOfPeers({ peers: clients, now: systemClock.monotonic, onRefused }, place, upTo)
  }
}

/** Whether it came. */
async function takeFrom(peer: Peer, parts: ViewParts): Promise<boolean> {
  const { storagePath, cluster, reserveBytes, logger } = parts
  const client = new PeerClient({ ...parts, peer })
  try {
    const { bavail, bsize } = await statfs(storagePath)
    const freeBytes = bavail * bsize
    const room = { freeBytes, reserveBytes }
    const metadata = metadataFolder(storagePath)
    const target = { metadata, cluster, bytesMax: freeBytes, room }
    const { sizeBytes } = await receiveSnapshot(client.readSnapshot(), target)
    logger.info({ event: 'mesh', from: peer.member, bytes: sizeBytes }, 'took the view of a peer')
    return true
  } catch (error) {
    if (error instanceof SnapshotError && error.problem === 'no-room') throw error
    const isUsual = error instanceof MeshError || error instanceof SnapshotError
    if (!isUsual) throw error
    const fields = { event: 'mesh', from: peer.member, reason: error.message }
    logger.warn(fields, 'could not take the view of a peer; another one is asked')
    return false
  } finally {
    client.close()
  }
}
