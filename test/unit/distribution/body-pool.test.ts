import { describe, expect, test } from 'vitest'
import { BodyPool, withWhole } from '../../../src/distribution/body-pool.ts'
import type { UploadBody } from '../../../src/distribution/upload/body.ts'
import { RegistryError } from '../../../src/registry/errors.ts'
import { someBytes } from '../../support/registry-client.ts'

const KiB = 1024
const poolBytes = 1024 * KiB

/** A body in pieces of these sizes; `bodyBytes` is what the client said. */
function bodyOf(content: Buffer, pieces: readonly number[], bodyBytes?: number): UploadBody {
  return {
    bodyBytes,
    pause: () => undefined,
    resume: () => undefined,
    readBody: async (onChunk) => {
      let start = 0
      for (const length of [...pieces, content.byteLength]) {
        if (start === content.byteLength) return
        const end = Math.min(content.byteLength, start + length)
        // What a chunk shows is gone after the call.
        const chunk = new Uint8Array(content.subarray(start, end))
        onChunk(chunk)
        chunk.fill(0)
        start = end
        await Promise.resolve()
      }
    },
  }
}

const tooLarge = () => new RegistryError('BODY_TOO_LARGE')

async function read(pool: BodyPool, body: UploadBody): Promise<Buffer> {
  return await withWhole(body, pool, tooLarge, async (bytes) => Buffer.from(bytes))
}

/** Which memory a body of 100 KiB gets. */
async function memoryOf(pool: BodyPool): Promise<ArrayBufferLike> {
  const body = bodyOf(someBytes(100 * KiB, 1), [])
  return await withWhole(body, pool, tooLarge, async (bytes) => bytes.buffer)
}

describe('withWhole', () => {
  test.each([
    [0, []],
    [1, [1]],
    [64 * KiB, [1000]],
    [64 * KiB + 1, [64 * KiB, 1]],
    [64 * KiB + 1, [1, 64 * KiB]],
    [300_001, [7, 65_529, 1, 1, 100_003]],
    [poolBytes, [511, 512 * KiB]],
  ])('gives all %d bytes, whatever the pieces', async (length, pieces) => {
    const content = someBytes(length, length)
    const pool = new BodyPool(poolBytes)
    for (const said of [undefined, length]) {
      expect((await read(pool, bodyOf(content, pieces, said))).equals(content)).toBe(true)
    }
  })

  test('refuses what is longer than it may be, told or not, and goes on', async () => {
    const pool = new BodyPool(poolBytes)
    const content = someBytes(poolBytes + 1, 3)
    await expect(read(pool, bodyOf(content, [], poolBytes + 1))).rejects.toThrow(RegistryError)
    const memory = await memoryOf(pool)
    await expect(read(pool, bodyOf(content, [100_000, 500_000]))).rejects.toThrow(RegistryError)
    expect(await memoryOf(pool)).toBe(memory)
  })

  test('small bodies are in memory of their own', async () => {
    const pool = new BodyPool(poolBytes)
    await withWhole(bodyOf(someBytes(64 * KiB, 4), [10]), pool, tooLarge, async (bytes) => {
      expect(bytes.buffer).toBeInstanceOf(ArrayBuffer)
    })
  })

  test('a body keeps its memory until it is used, others get other memory', async () => {
    const pool = new BodyPool(poolBytes)
    const contents = Array.from({ length: 6 }, (_, index) => someBytes(200_000 + index, index))
    let shown = 0
    let letGo = () => {}
    const allShown = new Promise<void>((resolve) => {
      letGo = resolve
    })
    const memories = await Promise.all(
      contents.map((content) =>
        withWhole(bodyOf(content, [70_000]), pool, tooLarge, async (bytes) => {
          shown += 1
          if (shown === contents.length) letGo()
          await allShown
          expect(Buffer.from(bytes).equals(content)).toBe(true)
          return bytes.buffer
        }),
      ),
    )
    expect(new Set(memories).size).toBe(contents.length)
    expect(memories.filter((it) => it instanceof SharedArrayBuffer)).toHaveLength(4)
    expect(memories).toContain(await memoryOf(pool))
  })

  test('memory is used again after an answer and a refusal, not after a failure', async () => {
    const pool = new BodyPool(poolBytes)
    const memory = await memoryOf(pool)
    expect(await memoryOf(pool)).toBe(memory)
    const fail = (error: Error) =>
      withWhole(bodyOf(someBytes(100 * KiB, 2), []), pool, tooLarge, () => Promise.reject(error))
    const refusal = new RegistryError('MANIFEST_INVALID')
    await expect(fail(refusal)).rejects.toBe(refusal)
    expect(await memoryOf(pool)).toBe(memory)
    for (const fault of [new RegistryError('BUSY'), new Error('disk')]) {
      const before = await memoryOf(pool)
      await expect(fail(fault)).rejects.toBe(fault)
      expect(await memoryOf(pool)).not.toBe(before)
    }
  })

  test('failures do not use the pool up', async () => {
    const pool = new BodyPool(poolBytes)
    for (let index = 0; index < 20; index += 1) {
      const broken: UploadBody = {
        ...bodyOf(Buffer.alloc(0), []),
        readBody: async (onChunk) => {
          onChunk(new Uint8Array(100 * KiB))
          throw new Error('the client left')
        },
      }
      await expect(read(pool, broken)).rejects.toThrow('the client left')
    }
    expect(await memoryOf(pool)).toBeInstanceOf(SharedArrayBuffer)
  })
})
