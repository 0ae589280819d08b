/**
 * @module What is brought into memory for whom: what a reader asks for, rounded to 128 KiB, and ahead
 * of one that goes on reading.
 */
import { expect, test } from 'vitest'
import { BlobMap } from '../../../src/blobs/files/mapped-reader.ts'
import type { Pager } from '../../../src/blobs/files/pager.ts'
import { ReadSlots } from '../../../src/blobs/files/slots.ts'
import type { BlobSource } from '../../../src/blobs/port.ts'
import type { BlobRow } from '../../../src/metadata/schema.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import type { Libc } from '../../../src/runtime/libc.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const KiB = 1024
const MiB = 1024 * KiB
const sizeBytes = 100 * MiB + 5

function mapOf() {
  const clock = new FakeClock()
  const populated: { readonly offset: number; readonly length: number }[] = []
  const pager = {
    map: async (_to: unknown, _path: string, _digest: Digest, _row: BlobRow, length: number) => {
      if (length > 0) populated.push({ offset: 0, length })
      return {}
    },
    populate: async (_file: unknown, address: bigint, { length }: { length: number }) => {
      populated.push({ offset: Number(address), length })
    },
    check: async () => undefined,
    unmap: () => undefined,
  }
  const map = new BlobMap({
    paths: { root: '/nowhere', blobs: '/nowhere' } as never,
    pager: pager as unknown as Pager,
    slots: new ReadSlots(),
    libc: { reserve: () => 0n, view: () => new ArrayBuffer(1024 * MiB) } as unknown as Libc,
    clock,
    cacheBytes: 1024 * MiB,
  })
  const digest = `sha256:${'0'.repeat(64)}` as Digest
  const row = { place: 'file', sizeBytes, createdAt: 0 } as unknown as BlobRow
  return {
    clock,
    populated,
    total: () => populated.reduce((sum, { length }) => sum + length, 0),
    open: async (isWhole: boolean) => map.open(digest, row, isWhole),
  }
}

/** Reads as the engine does, in windows of 1 MiB; the bytes that it went without waiting for. */
async function read(source: BlobSource, offset: number, length: number): Promise<number> {
  let waits = 0
  for (let at = offset; at < offset + length; ) {
    const ready = source.ready(at, Math.min(MiB, offset + length - at))
    if (typeof ready === 'number') at += ready
    else {
      waits += 1
      await ready
    }
    // What is fetched ahead comes while this goes out.
    await Promise.resolve()
    await Promise.resolve()
    await Promise.resolve()
  }
  return waits
}

test('bytes here and there cost 128 KiB each, and the same ones nothing more', async () => {
  const { open, total } = mapOf()
  const source = await open(false)
  expect(total()).toBe(0)
  for (let index = 0; index < 12; index += 1) await read(source, index * 8 * MiB + 77, 1)
  expect(total()).toBe(12 * 128 * KiB)
  expect(source.fetchedBytes).toBe(total())
  const again = await open(false)
  for (let index = 0; index < 12; index += 1) await read(again, index * 8 * MiB + 78, 5)
  expect(total()).toBe(12 * 128 * KiB)
  expect(again.fetchedBytes).toBe(0)
})

test.each([1, 1000, 128 * KiB, 300 * KiB, MiB])(
  'a range of %i bytes costs little more',
  async (length) => {
    const { open, total } = mapOf()
    await read(await open(false), 33 * MiB - 1, length)
    expect(total()).toBeLessThanOrEqual(length + 2 * 128 * KiB)
  },
)

test('ranges that go backwards, or leap, are not read ahead of', async () => {
  const { open, total } = mapOf()
  const source = await open(false)
  for (let index = 50; index > 0; index -= 1) await read(source, index * MiB, 10)
  expect(total()).toBe(50 * 128 * KiB)
})

test('whoever reads all of it waits for little, and nothing is fetched twice', async () => {
  const { open, total, populated } = mapOf()
  const source = await open(true)
  expect(total()).toBe(4 * MiB)
  expect(await read(source, 0, sizeBytes)).toBe(0)
  expect(total()).toBeLessThanOrEqual(sizeBytes + 4 * MiB)
  expect(populated.length).toBeLessThan(60)
  expect(source.fetchedBytes).toBe(total())
})

test('whoever has begun and goes costs what a window costs', async () => {
  const { open, total, clock } = mapOf()
  await read(await open(true), 0, MiB)
  expect(total()).toBe(4 * MiB)
  clock.advance(60_000)
  await read(await open(true), 0, MiB)
  expect(total()).toBe(5 * MiB)
})

test('what is fetched ahead of a reader is as much as it has read in one go', async () => {
  const { open, total } = mapOf()
  await read(await open(false), 50 * MiB, 2 * MiB)
  expect(total()).toBeLessThanOrEqual(4 * MiB)
})

test('bytes beyond the file are refused: its view reaches over other files', async () => {
  const source = await mapOf().open(false)
  expect(source.use(sizeBytes - 5, 5, (bytes) => bytes.byteLength)).toBe(5)
  for (const [offset, length] of [
    [sizeBytes - 5, 6],
    [-1, 5],
    [sizeBytes, 1],
  ] as const) {
    expect(() => source.use(offset, length, (bytes) => bytes)).toThrow(RangeError)
  }
})
