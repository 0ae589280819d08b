/**
 * @module What a running node answers to its peers about the mesh itself: joins, the tail of its log, and its view.
 */
import { statfsSync } from 'node:fs'
import type { KeptIdentity } from '../../mesh/identity/kept.ts'
import type { MeshSecrets } from '../../mesh/identity/secret.ts'
import { type AdmissionParts, meshToJoin } from '../../mesh/membership/admission.ts'
import { joinRoute } from '../../mesh/peers/join/answer.ts'
import { paths } from '../../mesh/peers/messages.ts'
import { logRoute, snapshotRoute } from '../../mesh/peers/transfers.ts'
import { LmdbEnvironment } from '../../metadata/lmdb/environment.ts'
import { metadataFolder } from '../../metadata/lmdb/folder.ts'
import { SnapshotSender } from '../../metadata/lmdb/snapshot/send.ts'
import { systemTime } from '../../metadata/log/etcd/time.ts'
import { openTailReader } from '../../metadata/log/tail/reader.ts'
import { systemClock } from '../../runtime/clock.ts'
import { systemRandom } from '../../runtime/random.ts'
import { tailFolder } from '../../storage/open.ts'
import type { Listening } from './listening.ts'

export interface AnswersParts extends Omit<AdmissionParts, 'cluster' | 'member' | 'log'> {
  readonly listening: Listening
  readonly identity: KeptIdentity
  readonly secrets: MeshSecrets
  readonly storagePath: string
  /** Bytes that a copy of the view leaves free. */
  readonly reserveBytes: number
}

/** From now on peers are answered. */
export function answerPeers(parts: AnswersParts): void {
  const { listening, identity, secrets, storagePath } = parts
  const { cluster, member, log, authority } = identity
  const folder = tailFolder(storagePath)
  const transfers = {
    openTail: () => openTailReader({ folder, identity: log, cluster }),
    snapshots: snapshotSender(parts),
  }
  listening.peers.addRoute(paths.log, logRoute(transfers))
  listening.peers.addRoute(paths.snapshot, snapshotRoute(transfers))
  const of = meshToJoin({ ...parts, cluster, member, log: () => log })
  const seams = { clock: systemClock, random: systemRandom, time: systemTime }
  listening.setJoin(joinRoute({ secrets, authority, ...seams, of }))
}

function snapshotSender({
  storagePath,
  reserveBytes,
  identity: { cluster },
}: AnswersParts): SnapshotSender {
  const metadata = metadataFolder(storagePath)
  return new SnapshotSender({
    environment: { copyTo: (folder) => copyView(metadata, folder) },
    metadata,
    cluster,
    room: {
      get freeBytes() {
        const { bavail, bsize } = statfsSync(storagePath)
        return bavail * bsize
      },
      reserveBytes,
    },
  })
}

/** By an environment of its own: what it shows is what is on the disk, and not what the front end has heard of. */
async function copyView(metadata: string, folder: string): Promise<void> {
  const environment = new LmdbEnvironment(metadata, true)
  try {
    await environment.copyTo(folder)
  } finally {
    await environment.close()
  }
}
