/**
 * @module The one thread that writes metadata. Takes batches of transactions, applies all that wait
 * in one LMDB transaction (so they share one flush) and answers when they are on disk.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { toWorkerFailure } from '../../../runtime/worker-failure.ts'
import { applyTogether } from '../../apply/transaction.ts'
import { type CommitOutcome, type Transaction, withOwnBytes } from '../../transaction.ts'
import { LmdbEnvironment } from '../environment.ts'
import type { MetadataWriterReply, MetadataWriterRequest, MetadataWriterSetup } from './messages.ts'

/** Transactions in one flush; more would make the first wait for the last. */
const transactionsPerFlushMax = 2048

/** Writes until the port closes. */
export function writeMetadata({ port, path, isRelaxed }: MetadataWriterSetup): Promise<void> {
  const environment = new LmdbEnvironment(path, isRelaxed)
  port.on('message', (first: MetadataWriterRequest) => {
    let next: MetadataWriterRequest | undefined = first
    while (next !== undefined) {
      const { batches, later } = takeWaiting(port, next)
      for (const reply of commit(environment, batches)) port.postMessage(reply)
      next = later
    }
  })
  port.postMessage({ kind: 'ready' } satisfies MetadataWriterReply)
  return new Promise<void>((resolve, reject) => {
    port.on('close', () => environment.close().then(resolve, reject))
  })
}

/**
 * What shares the next flush, and what was taken and has to wait for the one after: a sweep is as
 * long as clients can wait, and has as many pages in memory, so the sweeps of two requests do not
 * share one.
 */
export function takeWaiting(
  port: MessagePort,
  first: MetadataWriterRequest,
): { batches: MetadataWriterRequest[]; later: MetadataWriterRequest | undefined } {
  const batches = [first]
  let count = first.transactions.length
  let isTaken = first.transactions.some(hasSweep)
  while (count < transactionsPerFlushMax) {
    const next = receiveMessageOnPort(port) as { message: MetadataWriterRequest } | undefined
    if (next === undefined) break
    const { message } = next
    const isSweep = message.transactions.some(hasSweep)
    if (isTaken && isSweep) return { batches, later: message }
    isTaken ||= isSweep
    batches.push(message)
    count += message.transactions.length
  }
  return { batches, later: undefined }
}

/** A collection paces itself by how long its sweeps keep others waiting. */
export function timed(it: Transaction, apply: () => CommitOutcome): CommitOutcome {
  if (!hasSweep(it)) return apply()
  const startedAt = performance.now()
  const outcome = apply()
  return outcome.applied ? { ...outcome, tookMs: performance.now() - startedAt } : outcome
}

function hasSweep({ changes }: Transaction): boolean {
  return changes.some(({ change }) => change === 'sweep')
}

function commit(
  environment: LmdbEnvironment,
  batches: readonly MetadataWriterRequest[],
): MetadataWriterReply[] {
  try {
    const all = batches.map(({ transactions }) => transactions.map(withOwnBytes))
    const outcomes = environment.writeSync(() => applyTogether(environment, all, timed))
    return batches.map(({ id }, index) => ({ kind: 'committed', id, outcomes: outcomes[index]! }))
  } catch (error) {
    const failure = toWorkerFailure(error)
    return batches.map(({ id }) => ({ kind: 'failed', id, failure }))
  }
}
