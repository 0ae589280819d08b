/** @module Parts of a blob that is on its way here. */
import { expect, test } from 'vitest'
import type { FillAnswer } from '../../../../src/blobs/fill/source.ts'
import { PartSource } from '../../../../src/mesh/blobs/part-source.ts'
import { piecesOf } from '../../../../src/mesh/blobs/pieces.ts'

const mib = 1024 * 1024
const blob = Buffer.alloc(8 * mib, 'some bytes of a blob ')

function scene(received: number, { answers = true, etaMs = 5_000 } = {}) {
  const asked: number[] = []
  const aborted: number[] = []
  const reads: number[] = []
  const attached = {
    sizeBytes: blob.byteLength,
    ready: (offset: number, length: number) => {
      reads.push(offset)
      return Math.min(length, blob.byteLength - offset)
    },
    use: <R>(offset: number, length: number, callback: (bytes: Uint8Array) => R) =>
      callback(blob.subarray(offset, offset + length)),
    close: () => undefined,
  }
  const fill = {
    attach: () => attached,
    state: 'filling' as const,
    receivedBytes: received,
    etaMs: () => etaMs,
  }
  const ask = async (from: number): Promise<FillAnswer> => {
    asked.push(from)
    if (!answers) throw new Error('silent')
    const body = {
      read: async (onChunk: (bytes: Uint8Array) => void) => {
        for (let at = from; at < from + mib; at += 65_536) onChunk(blob.subarray(at, at + 65_536))
        await new Promise(() => undefined)
      },
      pause: () => undefined,
      resume: () => undefined,
      abort: () => aborted.push(from),
    }
    return { offset: from, sizeBytes: blob.byteLength, body }
  }
  const source = new PartSource(fill, blob.byteLength, ask)
  const read = async (from: number, length: number) => {
    const parts: Buffer[] = []
    let left = length
    for await (const piece of piecesOf(source, from)) {
      parts.push(piece.subarray(0, left))
      left -= Math.min(left, piece.byteLength)
      if (left === 0) break
    }
    return Buffer.concat(parts)
  }
  return { source, read, asked, aborted, reads }
}

test('what the fill has, or has soon, comes from it', async () => {
  const { read, asked } = scene(2 * mib)
  expect(await read(mib, 1_000)).toEqual(blob.subarray(mib, mib + 1_000))
  expect(await read(3 * mib - 10, 10)).toEqual(blob.subarray(3 * mib - 10, 3 * mib))
  expect(asked).toEqual([])
  const soon = scene(0, { etaMs: 100 })
  await soon.read(7 * mib, 10)
  expect(soon.asked).toEqual([])
})

test('what is far ahead comes straight from another member, once for a run of bytes', async () => {
  const { source, read, asked, aborted, reads } = scene(0)
  expect(await read(5 * mib, 200_000)).toEqual(blob.subarray(5 * mib, 5 * mib + 200_000))
  expect([asked, reads]).toEqual([[5 * mib], []])
  expect(await read(3 * mib, 10)).toEqual(blob.subarray(3 * mib, 3 * mib + 10))
  expect([asked, aborted]).toEqual([[5 * mib, 3 * mib], [5 * mib]])
  source.close()
  expect(aborted).toEqual([5 * mib, 3 * mib])
})

test('the fill is waited for when no member answers', async () => {
  const { read, asked, reads } = scene(0, { answers: false })
  expect(await read(5 * mib, 10)).toEqual(blob.subarray(5 * mib, 5 * mib + 10))
  expect([asked, reads[0]]).toEqual([[5 * mib], 5 * mib])
})
