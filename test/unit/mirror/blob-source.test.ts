/** @module Ranges of a blob as upstream answers them: of no other place, and of no other blob. */
import { expect, test, vi } from 'vitest'
import { UpstreamBlob } from '../../../src/mirror/blob-source.ts'
import type { MirroredRepository } from '../../../src/mirror/mirrored-repository.ts'
import { parseDigest } from '../../../src/registry/digest.ts'
import { unwrap } from '../../../src/registry/result.ts'
import { sha256 } from '../../support/registry-client.ts'

const digest = unwrap(parseDigest(sha256('blob')))

/** Bytes 10 to 19 of a blob of `sizeBytes`, answered with these words. */
function rangeOf(sizeBytes: number | undefined, status: number, contentRange: string) {
  const body = { read: async () => undefined, pause() {}, resume() {}, abort: vi.fn() }
  const answer = { status, headers: { 'content-range': contentRange }, body }
  const repository = { ask: async () => answer } as unknown as MirroredRepository
  const blob = new UpstreamBlob({ repository, digest, sizeBytes })
  return { body, range: blob.range(10, 10, 0) }
}

test.each([
  ['of the same size', 100, 'bytes 10-19/100'],
  ['that says no size', 100, 'bytes 10-19/*'],
  ['while no size is known', undefined, 'bytes 10-19/100'],
  ['while none is known or said', undefined, 'bytes 10-19/*'],
])('a range %s is taken', async (_name, sizeBytes, contentRange) => {
  const { body, range } = rangeOf(sizeBytes, 206, contentRange)
  expect(await range).toBe(body)
  expect(body.abort).not.toHaveBeenCalled()
})

test.each([
  ['of a blob of another size', 206, 'bytes 10-19/101'],
  ['that begins elsewhere', 206, 'bytes 9-19/100'],
  ['that ends elsewhere', 206, 'bytes 10-20/100'],
  ['that says nothing', 206, ''],
  ['that is the whole', 200, 'bytes 10-19/100'],
])('a range %s is refused', async (_name, status, contentRange) => {
  const { body, range } = rangeOf(100, status, contentRange)
  await expect(range).rejects.toMatchObject({ kind: 'garbage' })
  expect(body.abort).toHaveBeenCalledOnce()
})
