/**
 * @module The one thread that writes the metadata of a node of a mesh.
 */
import { writeThroughLog } from '../src/metadata/lmdb/worker/log-writer.ts'
import type { LogWriterSetup } from '../src/metadata/lmdb/worker/messages.ts'
import { EtcdLog } from '../src/metadata/log/etcd/log.ts'
import { announceLoaded } from '../src/runtime/worker-thread.ts'

announceLoaded()

export default function write({ log, ...setup }: LogWriterSetup): Promise<void> {
  const { cluster, level } = log
  const of = level === undefined ? { cluster } : { cluster, level }
  return writeThroughLog({ ...setup, ...of }, (identity) => {
    return new EtcdLog(identity === undefined ? log : { ...log, identity })
  })
}
