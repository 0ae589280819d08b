/** @module What the writer puts into one flush. */
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { MetadataWriterRequest } from '../../../src/metadata/lmdb/worker/messages.ts'
import { takeWaiting } from '../../../src/metadata/lmdb/worker/writer.ts'

let channel: MessageChannel
beforeEach(() => {
  channel = new MessageChannel()
})
afterEach(() => {
  channel.port1.close()
})

const plain = { checks: [], changes: [] }
const batch = { at: 1, by: 'x', pulledAfter: 0, isFinal: true, candidates: [] }
const sweep = { ...plain, changes: [{ change: 'sweep', in: 'candidates', batch }] }

/** Flushes of what waits, each as the ids that share it. */
function flushes(requests: readonly (readonly object[])[]): number[][] {
  for (const [id, transactions] of requests.entries()) {
    channel.port1.postMessage({ id, transactions })
  }
  const flushed: number[][] = []
  const first = receiveMessageOnPort(channel.port2) as { message: MetadataWriterRequest }
  let next: MetadataWriterRequest | undefined = first.message
  while (next !== undefined) {
    const { batches, later } = takeWaiting(channel.port2, next)
    flushed.push(batches.map(({ id }) => id))
    next = later
  }
  return flushed
}

test('everything that waits shares one flush', () => {
  expect(flushes([[plain], [plain, plain], [sweep], [plain]])).toEqual([[0, 1, 2, 3]])
})

test('two sweeps never do; nothing is lost or comes before its turn', () => {
  const requests = [[plain], [plain, sweep], [plain], [sweep], [sweep], [plain]]
  expect(flushes(requests)).toEqual([[0, 1, 2], [3], [4, 5]])
})
