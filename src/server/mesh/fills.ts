/**
 * @module How mirrors share what they fetch with the other nodes of a mesh.
 */
import { BytesSource } from '../../http/engine/bytes-source.ts'
import { Fills, fillConnectionsMax, fillPath, type OpenHere } from '../../mesh/fills.ts'
import { systemTime } from '../../metadata/log/etcd/time.ts'
import type { Mirrors } from '../../mirror/mirrors.ts'
import { RegistryError } from '../../registry/errors.ts'
import { parseRepositoryName } from '../../registry/name.ts'
import type { LifeCycle } from '../../runtime/life-cycle.ts'
import type { Storage } from '../../storage/open.ts'
import type { MeshNode } from './node.ts'

/** `mirrors` is asked for when a peer asks: it is made with what this returns. */
export function shareFills(
  { member, peers }: Pick<MeshNode, 'member' | 'peers'>,
  storage: Pick<Storage, 'metadata' | 'blobs'>,
  mirrors: () => Mirrors | undefined,
  life: LifeCycle,
): Fills {
  const open: OpenHere = async (repository, digest, ms) => {
    const name = parseRepositoryName(repository)
    const blobs = mirrors()?.blobs
    const mirrored = name.ok ? mirrors()?.addressing.repository(name.value) : undefined
    if (blobs === undefined || mirrored === undefined) throw new RegistryError('NAME_UNKNOWN')
    const deadline = systemTime.monotonic() + ms
    const outcome = await blobs.open(mirrored, digest, { isRange: false, deadline })
    switch (outcome.kind) {
      case 'fill':
        return outcome.fill.attach()
      case 'pass':
        return outcome.source
      default:
        return openStored(storage, digest)
    }
  }
  const fills = new Fills({
    member,
    present: () => peers.links.open,
    client: (other) => peers.client(other, fillConnectionsMax),
    open,
    time: systemTime,
  })
  peers.addRoute(fillPath, fills)
  life.opened('shared fills', fillPath, (path) => peers.dropRoute(path))
  return fills
}

/** It came while it was asked for. */
async function openStored(
  { metadata, blobs }: Pick<Storage, 'metadata' | 'blobs'>,
  digest: Parameters<OpenHere>[1],
): Promise<Awaited<ReturnType<OpenHere>>> {
  const row = metadata.get('blobs', digest)
  if (row === undefined) throw new RegistryError('BLOB_UNKNOWN')
  const opened = await blobs.open(digest, row)
  return opened instanceof Uint8Array ? new BytesSource(opened) : opened
}
