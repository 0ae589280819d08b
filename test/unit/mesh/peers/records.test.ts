/** @module Entries of a log out of the pieces of a stream. */
import { describe, expect, test } from 'vitest'
import { entriesIn } from '../../../../src/mesh/peers/records.ts'
import type { LogEntry } from '../../../../src/metadata/log/port.ts'
import { encodeRecord } from '../../../../src/metadata/log/tail/format.ts'
import { entries } from '../../metadata/log/tail-entries.ts'

function encode(all: readonly LogEntry[]): Buffer {
  return Buffer.concat(all.map(encodeRecord).flatMap(({ head, bytes }) => [head, bytes]))
}

async function* inPieces(bytes: Buffer, sizeBytes: number) {
  for (let from = 0; from < bytes.length; from += sizeBytes) {
    yield await Promise.resolve(bytes.subarray(from, from + sizeBytes))
  }
}

async function collect(bytes: Buffer, sizeBytes: number, after = 0): Promise<LogEntry[]> {
  const all: LogEntry[] = []
  for await (const some of entriesIn(inPieces(bytes, sizeBytes), after)) all.push(...some)
  return all
}

describe('entries out of a stream', () => {
  test.each([1, 7, 64, 1_000_000])('are whole, in pieces of %d bytes', async (sizeBytes) => {
    const sent = entries(5, 20)
    const got = await collect(encode(sent), sizeBytes, 4)
    expect(got.map(({ index, token }) => [index, token])).toEqual(
      sent.map(({ index, token }) => [index, token]),
    )
    expect(got.every(({ bytes }, at) => Buffer.compare(bytes, sent[at]!.bytes) === 0)).toBe(true)
  })

  test('of a large size are put together once', async () => {
    const [large] = entries(1, 1, 8 * 1024 * 1024)
    const got = await collect(encode([large!]), 1_024)
    expect(got).toHaveLength(1)
    expect(Buffer.compare(got[0]!.bytes, large!.bytes)).toBe(0)
  })

  test('are refused as soon as one is bad, whatever comes behind it', async () => {
    let pieces = 0
    async function* endless() {
      for (; pieces < 1_000; pieces += 1) yield await Promise.resolve(Buffer.alloc(64, 0xff))
    }
    await expect(entriesIn(endless(), 0).next()).rejects.toMatchObject({ problem: 'message' })
    expect(pieces).toBe(0)
  })

  test('are none of an empty stream', async () => {
    expect(await collect(Buffer.alloc(0), 1)).toEqual([])
  })

  test('are refused with a hole, a changed byte, an end within one, or something else', async () => {
    const refused = { problem: 'message' }
    const [one, , three] = entries(1, 3)
    await expect(collect(encode([one!, three!]), 64)).rejects.toMatchObject(refused)
    await expect(collect(encode([one!]), 64, 1)).rejects.toMatchObject(refused)
    const bytes = encode([one!])
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes)
      changed[at]! ^= 0x40
      await expect(collect(changed, 64), `byte ${at}`).rejects.toMatchObject(refused)
    }
    for (let length = 1; length < bytes.length; length += 1) {
      await expect(collect(bytes.subarray(0, length), 64)).rejects.toMatchObject(refused)
    }
    await expect(collect(Buffer.alloc(100, 0xff), 64)).rejects.toMatchObject(refused)
  })
})
