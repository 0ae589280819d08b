/** @module The suite of the blob ports (writer and reader): files on disk and the twin in memory. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  type BlobReader,
  type BlobSource,
  type BlobWriter,
  isDamage,
} from '../../src/blobs/port.ts'
import type { BlobRow } from '../../src/metadata/schema.ts'
import { ALGORITHMS, type Algorithm } from '../../src/registry/digest.ts'
import { digestOf } from '../../src/registry/hasher.ts'
import { asDigest, sha256, someBytes } from '../support/registry-client.ts'

export interface OpenBlobs {
  readonly writer: BlobWriter
  readonly reader: BlobReader
  /** Ids of uploads that have bytes somewhere. */
  uploads(): Promise<readonly string[]>
  close(): Promise<void>
}

const MiB = 1024 * 1024

function rowOf(bytes: Uint8Array): BlobRow {
  return { sizeBytes: bytes.byteLength, place: 'file', createdAt: 1, linkedAt: 1 }
}

/** Everything that a source gives, window by window, as the engine reads it. */
async function readAll(source: BlobSource, start = 0): Promise<Buffer> {
  const parts: Buffer[] = []
  let offset = start
  while (offset < source.sizeBytes) {
    const ready = source.ready(offset, source.sizeBytes - offset)
    if (ready instanceof Promise) {
      await ready
      continue
    }
    const part = source.use(offset, ready, (bytes) => Buffer.from(bytes))
    parts.push(part)
    offset += part.byteLength
  }
  return Buffer.concat(parts)
}

export function blobsSuite(open: () => Promise<OpenBlobs>): void {
  let opened: OpenBlobs
  beforeEach(async () => {
    opened = await open()
  })
  afterEach(() => opened.close())

  test.each([1, 100, 512 * 1024, 512 * 1024 + 1, 3 * MiB])(
    '%i bytes come back as they went in',
    async (size) => {
      const bytes = someBytes(size)
      const digest = sha256(bytes)
      const upload = opened.writer.adopt('id', 'sha256', 0)
      for (let at = 0; at < size; at += 70_001) upload.append(bytes.subarray(at, at + 70_001))
      expect(upload.offsetBytes).toBe(size)
      await upload.settle()
      await upload.commit(digest)
      expect(await opened.uploads()).toEqual([])
      const source = await opened.reader.open(digest, rowOf(bytes))
      expect((await readAll(source)).equals(bytes)).toBe(true)
      source.close()
      const again = await opened.reader.open(digest, rowOf(bytes))
      const start = Math.floor(size / 2)
      expect((await readAll(again, start)).equals(bytes.subarray(start))).toBe(true)
      again.close()
    },
  )

  test.each(Object.keys(ALGORITHMS) as Algorithm[])(
    'a rollback returns to the mark, in bytes and in hash (%s)',
    async (algorithm) => {
      const first = someBytes(200_000, 1)
      const last = someBytes(300_000, 3)
      const upload = opened.writer.adopt('id', algorithm, 0)
      upload.append(first)
      upload.mark()
      upload.append(someBytes(900_000, 2))
      await upload.rollback()
      expect(upload.offsetBytes).toBe(first.length)
      upload.append(someBytes(10, 2))
      await upload.rollback()
      upload.append(last)
      const whole = Buffer.concat([first, last])
      const digest = digestOf(algorithm, whole)
      await upload.commit(digest)
      const source = await opened.reader.open(digest, rowOf(whole))
      expect((await readAll(source)).equals(whole)).toBe(true)
      source.close()
    },
  )

  test('a parked upload is taken up where its row says, whatever came after', async () => {
    const first = opened.writer.adopt('id', 'sha512', 0)
    first.append(someBytes(100_000, 1))
    await first.settle()
    first.append(someBytes(50_000, 2))
    await first.settle()
    first.park()
    const second = opened.writer.adopt('id', 'sha512', 100_000)
    expect(second.offsetBytes).toBe(100_000)
    second.append(someBytes(10, 3))
    const whole = Buffer.concat([someBytes(100_000, 1), someBytes(10, 3)])
    await second.commit(digestOf('sha512', whole))
  })

  test('another digest is refused and the bytes stay, for another try', async () => {
    const bytes = someBytes(100_000)
    const upload = opened.writer.adopt('id', 'sha256', 0)
    upload.append(bytes)
    await expect(upload.commit(sha256('other'))).rejects.toMatchObject({ code: 'DIGEST_INVALID' })
    expect(await opened.uploads()).toEqual(['id'])
    // Another algorithm than the one it was opened with works too.
    await upload.commit(digestOf('blake3', bytes))
    expect(await opened.uploads()).toEqual([])
  })

  test('discarded bytes are gone, with a worker and without', async () => {
    const upload = opened.writer.adopt('one', 'sha256', 0)
    upload.append(someBytes(100_000))
    await upload.settle()
    upload.discard()
    const parked = opened.writer.adopt('two', 'sha256', 0)
    parked.append(someBytes(100_000))
    await parked.settle()
    parked.park()
    await opened.writer.discardFile('two')
    await opened.writer.discardFile('never there')
    await expect.poll(() => opened.uploads()).toEqual([])
  })

  test('a blob that is not there, or not as long as its row says, is damage', async () => {
    const bytes = someBytes(100_000)
    const upload = opened.writer.adopt('id', 'sha256', 0)
    upload.append(bytes)
    await upload.commit(sha256(bytes))
    const cases: [string, BlobRow][] = [
      [sha256('missing'), rowOf(bytes)],
      [sha256(bytes), { ...rowOf(bytes), sizeBytes: bytes.length + 1 }],
      [sha256(bytes), { ...rowOf(bytes), sizeBytes: bytes.length - 1 }],
    ]
    for (const [digest, row] of cases) {
      const error = await Promise.resolve(opened.reader.open(asDigest(digest), row)).then(
        () => undefined,
        (reason: unknown) => reason,
      )
      expect(isDamage(error), `${digest} ${row.sizeBytes}`).toBe(true)
    }
  })

  test('many uploads and readers at once do not mix', async () => {
    const contents = Array.from({ length: 12 }, (_, index) => someBytes(400_000 + index, index))
    const uploads = contents.map((_, index) => opened.writer.adopt(`id${index}`, 'sha256', 0))
    for (let at = 0; at < 400_020; at += 60_000) {
      uploads.forEach((upload, index) => {
        upload.append(contents[index]!.subarray(at, at + 60_000))
      })
    }
    await Promise.all(uploads.map((upload, index) => upload.commit(sha256(contents[index]!))))
    await Promise.all(
      [...contents, ...contents].map(async (content) => {
        const source = await opened.reader.open(sha256(content), rowOf(content))
        expect((await readAll(source)).equals(content)).toBe(true)
        source.close()
      }),
    )
  })

  test('a hundred small blobs that are held open together keep their bytes, again and again', async () => {
    const contents = Array.from({ length: 100 }, (_, index) => someBytes(70_000 + index, index))
    await Promise.all(
      contents.map((content, index) => {
        const upload = opened.writer.adopt(`small${index}`, 'sha256', 0)
        upload.append(content)
        return upload.commit(sha256(content))
      }),
    )
    for (let round = 0; round < 3; round += 1) {
      const sources = await Promise.all(
        contents.map((content) => opened.reader.open(sha256(content), rowOf(content))),
      )
      const twins = await Promise.all(
        contents.map((content) => opened.reader.open(sha256(content), rowOf(content))),
      )
      for (const twin of twins) twin.close()
      for (const [index, source] of sources.entries()) {
        expect((await readAll(source)).equals(contents[index]!)).toBe(true)
        source.close()
        source.close()
      }
    }
  })
}
