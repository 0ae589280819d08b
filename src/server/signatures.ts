/**
 * @module The keys and the thread that signatures of images are verified with.
 */
import type { Config } from '../config/config.ts'
import type { Logger } from '../observability/logger.ts'
import type { LifeCycle } from '../runtime/life-cycle.ts'
import { WorkerPool } from '../runtime/worker-pool.ts'
import { Examiner } from '../signing/examiner.ts'
import { Keyring } from '../signing/keys/keyring.ts'
import { Signatures } from '../signing/signatures.ts'
import type { UseCases } from './use-cases.ts'

/** Follows the key files. The thread starts with the first question. Rejects when a key cannot be used. */
export async function openSignatures(
  { signing }: Config,
  { reads: { metadata }, writes: { readBlob } }: UseCases,
  logger: Logger,
  life: LifeCycle,
): Promise<Signatures> {
  const keyring = new Keyring(signing.keys, (name, error) =>
    logger.error(
      { key: name, reason: error.message },
      'a signing key is not read again; the old one stays',
    ),
  )
  life.opened('signing keys of images', keyring, (one) => one.stop())
  await keyring.start()
  let pool: WorkerPool | undefined
  const examiner = new Examiner(() => {
    pool ??= new WorkerPool({ worker: 'signature', threads: 1, tasksPerThread: 1 })
    return pool.start({})
  })
  life.opened('signatures', examiner, async (one) => {
    await one.close()
    await pool?.close()
  })
  return new Signatures({
    metadata,
    readBlob,
    keys: () => keyring.keys,
    examine: (request) => examiner.examine(request),
  })
}
