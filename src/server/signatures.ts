/**
 * @module The keys, the policies and the thread that signatures of images are verified with.
 */
import type { Endpoint } from '../admin/endpoint.ts'
import { EventTail } from '../admin/events/tail.ts'
import { signatureEndpoints } from '../admin/signature-endpoints.ts'
import type { Config } from '../config/config.ts'
import type { MetadataStore } from '../metadata/port.ts'
import type { Logger } from '../observability/logger.ts'
import { SignatureCounters } from '../observability/metrics/signatures.ts'
import type { LifeCycle } from '../runtime/life-cycle.ts'
import { WorkerPool } from '../runtime/worker-pool.ts'
import { Examiner } from '../signing/examiner.ts'
import { SignatureGate } from '../signing/gate.ts'
import { Keyring } from '../signing/keys/keyring.ts'
import { Policies } from '../signing/policies.ts'
import { Signatures } from '../signing/signatures.ts'
import type { Storage } from '../storage/open.ts'

/** Bound of the heap of the thread, MiB: what strangers attach is parsed there. */
const heapMiB = 512

export interface OpenedSignatures {
  readonly signatures: Signatures
  readonly gate: SignatureGate
  /** What the gate has said so far. */
  readonly counters: SignatureCounters
}

export function endpointsOfSignatures(
  metadata: MetadataStore,
  { signatures }: OpenedSignatures,
): Endpoint[] {
  return signatureEndpoints({ metadata, signatures, tail: new EventTail(metadata) })
}

/** Follows the key files. The thread starts with the first question. Rejects when a key cannot be used. */
export async function openSignatures(
  { signing }: Config,
  { metadata, blobs }: Pick<Storage, 'metadata' | 'blobs'>,
  logger: Pick<Logger, 'error'>,
  life: LifeCycle,
): Promise<OpenedSignatures> {
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
    const onError = (error: Error) => logger.error({ error }, 'the thread of signatures has died')
    pool ??= new WorkerPool({
      worker: 'signature',
      threads: 1,
      tasksPerThread: 1,
      heapMiB,
      onError,
    })
    return pool.start({})
  })
  life.opened('signatures', examiner, async (one) => {
    await one.close()
    await pool?.close()
  })
  const signatures = new Signatures({
    metadata,
    readBlob: (digest, bytesMax) => blobs.read(digest, bytesMax),
    keys: () => keyring.keys,
    policies: new Policies(signing.policies),
    examine: (request) => examiner.examine(request),
  })
  const counters = new SignatureCounters()
  const gate = new SignatureGate(signatures, (...verdict) => counters.count(...verdict))
  return { signatures, gate, counters }
}
