/** @module How many candidates travel together. */
import { MessageChannel } from 'node:worker_threads'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Link } from '../../../src/gc/worker/link.ts'
import type { GcReply } from '../../../src/gc/worker/messages.ts'
import type { Candidate } from '../../../src/metadata/sweep.ts'
import { parseRepositoryName } from '../../../src/registry/name.ts'
import { unwrap } from '../../../src/registry/result.ts'
import { asDigest, sha256 } from '../../support/registry-client.ts'

const digest = asDigest(sha256('x'))
const repository = unwrap(parseRepositoryName('team/app'))
const blob: Candidate = { kind: 'blob', digest, at: 1, bytes: 1 }
const manifest: Candidate = {
  kind: 'manifest',
  repository,
  digest,
  at: 1,
  pulledAt: 0,
  why: 'untagged',
}

let channel: MessageChannel
beforeEach(() => {
  channel = new MessageChannel()
})
afterEach(() => channel.port1.close())

/** Lengths of the batches in which these come, when the other side takes 512 at once. */
async function batches(candidates: readonly Candidate[]): Promise<number[]> {
  const lengths: number[] = []
  channel.port1.on('message', (reply: GcReply) => {
    if (reply.kind !== 'candidates') return
    lengths.push(reply.candidates.length)
    channel.port1.postMessage({ kind: 'settled', id: reply.id, atOnce: 512 })
  })
  const link = new Link(channel.port2, undefined as never)
  const environment = { refresh: () => undefined } as never
  // The first batch tells the other side's wish.
  for (let count = 0; count < 64; count += 1)
    await link.add({ candidate: blob, end: 0 }, environment)
  await link.flush(environment)
  for (const candidate of candidates) await link.add({ candidate, end: 0 }, environment)
  await link.flush(environment)
  return lengths.slice(1)
}

test('blobs come as many at once as the other side wants', async () => {
  expect(await batches(Array(1_100).fill(blob))).toEqual([512, 512, 76])
})

test('manifests come 64 at once, for what each of them writes', async () => {
  const mixed = [
    ...Array(100).fill(manifest),
    ...Array(500).fill(blob),
    ...Array(64).fill(manifest),
  ]
  expect(await batches(mixed)).toEqual([64, 512, 88])
})
