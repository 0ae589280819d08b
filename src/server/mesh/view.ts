/**
 * @module Takes the view of a peer, for a node that has none or cannot go on with its own: it is put in its place when
 * the store is opened the next time.
 */
import { statfs } from 'node:fs/promises'
import { MeshError } from '../../mesh/identity/problem.ts'
import { type Peer, PeerClient, type PeerClientOptions } from '../../mesh/peers/client.ts'
import { metadataFolder } from '../../metadata/lmdb/folder.ts'
import { SnapshotError } from '../../metadata/lmdb/snapshot/format.ts'
import { receiveSnapshot } from '../../metadata/lmdb/snapshot/receive.ts'
import type { Logger } from '../../observability/logger.ts'

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
