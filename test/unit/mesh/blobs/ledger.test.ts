/** @module What is written down of copies, and which go first. */
import { expect, test } from 'vitest'
import { CopyLedger } from '../../../../src/mesh/blobs/ledger.ts'
import type { Digest } from '../../../../src/registry/digest.ts'
import { digestOf } from '../../../../src/registry/hasher.ts'
import { FakeClock } from '../../../support/fake-clock.ts'
import { MemoryMetadataStore } from '../../../support/memory/memory-metadata.ts'

const [a, b, c, d] = (['a', 'b', 'c', 'd'] as const).map((text) =>
  digestOf('sha256', Buffer.from(text)),
) as [Digest, Digest, Digest, Digest]

async function filled() {
  const metadata = new MemoryMetadataStore()
  const clock = new FakeClock()
  const ledger = new CopyLedger(metadata, clock)
  for (const digest of [a, b, c]) {
    await ledger.put(digest, 100, 'cache')
    clock.advance(1_000)
  }
  await ledger.put(d, 1_000, 'owner')
  return { metadata, clock, ledger }
}

test('copies of the cache count, those that others rely on do not', async () => {
  const { ledger } = await filled()
  expect(ledger.cacheBytes).toBe(300)
  await ledger.turn(b, 'owner')
  expect(ledger.cacheBytes).toBe(200)
  await ledger.turn(d, 'cache')
  expect(ledger.cacheBytes).toBe(1_200)
  await ledger.remove(d)
  expect([ledger.cacheBytes, ledger.get(d)]).toEqual([200, undefined])
  ledger.hold(a)
  expect([ledger.cacheBytes, ledger.oldest]).toEqual([100, c])
})

test('what was not read for longest goes first, also after a restart', async () => {
  const { metadata, clock, ledger } = await filled()
  expect(ledger.oldest).toBe(a)
  clock.advance(3_600_000)
  ledger.touch(a)
  expect(ledger.oldest).toBe(b)
  await ledger.flush()
  const again = new CopyLedger(metadata, clock)
  await again.load()
  expect([again.oldest, again.cacheBytes]).toEqual([b, 300])
  await again.remove(b)
  await again.remove(c)
  expect(again.oldest).toBe(a)
})
