/**
 * @module Files that are mapped where others were: with room for few of them, each pull takes another's addresses,
 * and no client ever gets the other's bytes.
 */
import { expect, test } from 'vitest'
import { describeRegistry } from '../../support/in-process.ts'
import { sha256, someBytes } from '../../support/registry-client.ts'

const MiB = 1024 * 1024

/** Above what is read into a slot; some of a size, so that extents are dealt out again. */
const SIZES = [MiB, MiB, MiB + 1, 2 * MiB, 2 * MiB, 300_000, 300_000, 3 * MiB]

describeRegistry(
  'blobs that take turns in the address space',
  { config: { storage: { cache_size_mb: 2 } } },
  (registry) => {
    test('come with their own bytes, whoever is pulled beside them', async () => {
      const blobs = SIZES.map((size, index) => someBytes(size, 7_000 + index))
      for (const blob of blobs) await registry().client.pushBlob('app', blob)
      // Small ones are read at first, and mapped when they are pulled again.
      for (let round = 0; round < 4; round += 1) {
        const pulls = blobs
          .toSorted(() => (round % 2) - 0.5)
          .map(async (blob) => {
            const answer = await registry().client.get(`/v2/app/blobs/${sha256(blob)}`)
            expect(answer.body.equals(blob)).toBe(true)
          })
        await Promise.all(pulls)
        for (const blob of blobs) {
          const headers = { Range: `bytes=${blob.length - 5}-` }
          const answer = await registry().client.get(`/v2/app/blobs/${sha256(blob)}`, headers)
          expect(answer.body.equals(blob.subarray(-5))).toBe(true)
        }
      }
    })
  },
)
