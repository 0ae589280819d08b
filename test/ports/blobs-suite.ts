/**
 * @module The suite of the blob driver: files on disk, the twin in memory, a slow store of objects behind
 * HTTP. What holds here is all that the rest of the registry may count on.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  type BlobBin,
  type BlobDriver,
  type BlobInventory,
  type ObjectRange,
  openBin,
  openInventory,
} from '../../src/blobs/driver.ts'
import { FileInventory } from '../../src/blobs/files/inventory.ts'
import { blobPaths } from '../../src/blobs/files/layout.ts'
import { type BlobSource, isDamage } from '../../src/blobs/port.ts'
import type { BlobRow } from '../../src/metadata/schema.ts'
import { ALGORITHMS, type Algorithm, type Digest } from '../../src/registry/digest.ts'
import { digestOf } from '../../src/registry/hasher.ts'
import { asDigest, inByteOrder, sha256, someBytes } from '../support/registry-client.ts'

export interface OpenBlobs {
  readonly driver: BlobDriver
  /** Replaces the bytes of an object behind the driver's back. */
  damage(digest: Digest, bytes: Uint8Array): Promise<void>
  /** Lists show everything that was done before this resolves. */
  listed(): Promise<void>
  close(): Promise<void>
}

export interface OpenBlobsOptions {
  /** No room is left. */
  readonly isFull?: boolean
}

const MiB = 1024 * 1024

function rowOf(bytes: Uint8Array): BlobRow {
  return { sizeBytes: bytes.byteLength, place: 'file', createdAt: 1, linkedAt: 1 }
}

/** Everything that a source gives, window by window, as the engine reads it. */
function readAll(source: BlobSource, start = 0): Promise<Buffer> {
  return readPart(source, start, source.sizeBytes)
}

async function readPart(source: BlobSource, start: number, end: number): Promise<Buffer> {
  const parts: Buffer[] = []
  let offset = start
  while (offset < end) {
    const ready = source.ready(offset, end - offset)
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

type OpenDriver = (options?: OpenBlobsOptions) => Promise<OpenBlobs>

export function blobsSuite(open: OpenDriver): void {
  describe('uploads and readers', () => transferSuite(open))
  describe('growing blobs', () => growingSuite(open))
  describe('the bin', () => binSuite(open))
  describe('the inventory', () => inventorySuite(open))
  describe('the room', () => roomSuite(open))
}

/** A driver for each test, and what tests do with it. */
function opening(open: OpenDriver) {
  let opened: OpenBlobs
  beforeEach(async () => {
    opened = await open()
  })
  afterEach(() => opened.close())
  return {
    get driver() {
      return opened.driver
    },
    get writer() {
      return opened.driver.writer
    },
    get reader() {
      return opened.driver.reader
    },
    get bin() {
      return opened.driver.bin
    },
    get inventory() {
      return opened.driver.inventory
    },
    damage: (digest: Digest, bytes: Uint8Array) => opened.damage(digest, bytes),
    /** Stores a blob. */
    put: async (bytes: Uint8Array, algorithm: Algorithm = 'sha256'): Promise<Digest> => {
      const digest = digestOf(algorithm, bytes)
      const upload = opened.driver.writer.adopt(`put ${digest}`, algorithm, 0)
      upload.append(bytes)
      await upload.commit(digest)
      return digest
    },
    /** Whether it can be read, after whatever is cached of it was dropped. */
    isInService: async (digest: Digest, bytes: Uint8Array): Promise<boolean> => {
      const { reader } = opened.driver
      reader.forget(digest)
      try {
        const source = await reader.open(digest, rowOf(bytes))
        expect((await readAll(source)).equals(bytes)).toBe(true)
        source.close()
        return true
      } catch (error) {
        if (!isDamage(error)) throw error
        return false
      }
    },
    /** Ids of uploads that have bytes somewhere. */
    uploads: async (): Promise<readonly string[]> => {
      await opened.listed()
      const ids: string[] = []
      for await (const { id } of opened.driver.inventory.listUploads()) ids.push(id)
      return ids.sort(inByteOrder)
    },
    /** The whole list. */
    list: async (from?: Parameters<BlobInventory['list']>[0]): Promise<ObjectRange[]> => {
      await opened.listed()
      const ranges: ObjectRange[] = []
      for await (const range of opened.driver.inventory.list(from)) ranges.push(range)
      return ranges
    },
  }
}

function transferSuite(open: OpenDriver): void {
  const opened = opening(open)

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
      const ofRead = await opened.reader.read(asDigest(digest), row).then(
        () => undefined,
        (reason: unknown) => reason,
      )
      expect(isDamage(ofRead), `read ${digest} ${row.sizeBytes}`).toBe(true)
    }
  })

  test('a small blob is read whole, and waits for no slow reader', async () => {
    const [large, small] = [someBytes(600_000, 1), someBytes(70_000, 2)]
    for (const [id, bytes] of [['large', large] as const, ['small', small] as const]) {
      const upload = opened.writer.adopt(id, 'sha256', 0)
      upload.append(bytes)
      await upload.commit(sha256(bytes))
    }
    // More than 64 MiB have windows for; none of them is ever read on.
    const held = await Promise.all(
      Array.from({ length: 300 }, () => opened.reader.open(sha256(large), rowOf(large))),
    )
    for (const source of held) void Promise.resolve(source.ready(0, 1_000)).catch(() => undefined)
    const read = await opened.reader.read(sha256(small), rowOf(small))
    expect(Buffer.from(read).equals(small)).toBe(true)
    read.fill(0)
    const again = await opened.reader.read(sha256(small), rowOf(small))
    expect(Buffer.from(again).equals(small)).toBe(true)
    for (const source of held) source.close()
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

  test('the same blob twice is the same blob, and an upload ends with its commit', async () => {
    const bytes = someBytes(100_000)
    const [one, other] = ['one', 'other'].map((id) => opened.writer.adopt(id, 'sha256', 0))
    for (const upload of [one!, other!]) upload.append(bytes)
    await one!.commit(sha256(bytes))
    await other!.commit(sha256(bytes))
    await expect(one!.commit(sha256(bytes))).rejects.toThrow()
    expect(await opened.isInService(sha256(bytes), bytes)).toBe(true)
    expect(await opened.uploads()).toEqual([])
  })

  test('bytes that are handed over are bytes like others', async () => {
    const upload = opened.writer.adopt('id', 'sha256', 0)
    const first = new Uint8Array(someBytes(100_000, 1))
    upload.append(someBytes(10, 0))
    upload.give(first)
    upload.append(someBytes(10, 2))
    const whole = Buffer.concat([someBytes(10, 0), someBytes(100_000, 1), someBytes(10, 2)])
    expect(upload.offsetBytes).toBe(whole.byteLength)
    await upload.commit(sha256(whole))
    expect(await opened.isInService(sha256(whole), whole)).toBe(true)
  })

  test('what a driver was asked to probe works', async () => {
    await opened.driver.probe()
    expect(opened.reader.kind).not.toBe('')
  })
}

function growingSuite(open: OpenDriver): void {
  const opened = opening(open)
  const bytes = someBytes(600_000)

  test('are read as far as they are written, and on when they have their name', async () => {
    const growing = opened.writer.grow('id', 'sha256', 0, bytes.length)
    let calls = 0
    growing.onWritten(() => {
      calls += 1
    })
    growing.append(bytes.subarray(0, 300_000))
    await growing.settle()
    await expect.poll(() => growing.writtenBytes).toBe(300_000)
    expect(calls).toBeGreaterThan(0)
    const file = await opened.writer.openGrowing('id', bytes.length)
    const source = await file.lend()
    expect(source.sizeBytes).toBe(bytes.length)
    expect((await readPart(source, 0, 300_000)).equals(bytes.subarray(0, 300_000))).toBe(true)
    growing.append(bytes.subarray(300_000))
    await growing.verify(sha256(bytes))
    await growing.commit(sha256(bytes))
    expect((await readPart(source, 300_000, 600_000)).equals(bytes.subarray(300_000))).toBe(true)
    source.close()
    file.close()
    expect(await opened.isInService(sha256(bytes), bytes)).toBe(true)
  })

  test('lose no byte between memory and store', async () => {
    const growing = opened.writer.grow('id', 'sha256', 0, undefined)
    growing.onWritten(() => undefined)
    for (let at = 0; at < bytes.length; at += 100_000) {
      growing.append(bytes.subarray(at, at + 100_000))
      for (let offset = growing.writtenBytes; offset < growing.offsetBytes; ) {
        const held = growing.heldAt(offset)!
        expect(held.byteLength).toBeGreaterThan(0)
        expect(bytes.subarray(offset, offset + held.byteLength).equals(held)).toBe(true)
        offset += held.byteLength
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
    await growing.commit(sha256(bytes))
  })

  test('of another digest are refused before they are committed', async () => {
    const growing = opened.writer.grow('id', 'sha256', 0, 10)
    growing.append(someBytes(10))
    await expect(growing.verify(sha256('x'))).rejects.toMatchObject({ code: 'DIGEST_INVALID' })
    growing.discard()
    await expect.poll(() => opened.uploads()).toEqual([])
  })
}

function binSuite(open: OpenDriver): void {
  const opened = opening(open)
  const bytes = someBytes(100_000)
  const unknown = sha256('never stored')

  test('keeps what it takes, and gives it back, also when asked again', async () => {
    const digest = await opened.put(bytes)
    expect(await opened.bin.trash([digest])).toEqual({ failed: [], error: undefined })
    expect(await opened.isInService(digest, bytes)).toBe(false)
    expect(await opened.inventory.stat(digest)).toBeUndefined()
    expect(await opened.bin.restore(digest, bytes.length + 1)).toBe(false)
    expect(await opened.bin.restore(digest, bytes.length)).toBe(true)
    expect(await opened.bin.restore(digest, bytes.length)).toBe(true)
    expect(await opened.isInService(digest, bytes)).toBe(true)
    expect(await opened.bin.restore(unknown, 1)).toBe(false)
  })

  test('says what it could not take, and takes the rest', async () => {
    const digest = await opened.put(bytes)
    const { failed, error } = await opened.bin.trash([unknown, digest])
    expect(failed).toEqual([unknown])
    expect(error).toBeDefined()
    expect(await opened.isInService(digest, bytes)).toBe(false)
  })

  test('takes many at once', async () => {
    const contents = Array.from({ length: 40 }, (_, index) => someBytes(100, index))
    const digests: Digest[] = []
    for (const content of contents) digests.push(await opened.put(content))
    expect((await opened.bin.trash(digests)).failed).toEqual([])
    expect((await opened.bin.purge(digests, { inPlace: false })).failed).toEqual([])
    expect(await opened.inventory.stat(digests[39]!)).toBeUndefined()
    expect(await opened.bin.restore(digests[39]!, 100)).toBe(false)
  })

  test('removes for good what it has, and what is in service only when told so', async () => {
    const digest = await opened.put(bytes)
    await opened.bin.trash([digest])
    await opened.put(bytes)
    expect(await opened.bin.purge([digest, unknown], { inPlace: false })).toMatchObject({
      failed: [],
    })
    expect(await opened.isInService(digest, bytes)).toBe(true)
    expect((await opened.bin.purge([digest, unknown], { inPlace: true })).failed).toEqual([])
    expect(await opened.isInService(digest, bytes)).toBe(false)
    expect(await opened.bin.restore(digest, bytes.length)).toBe(false)
    expect((await opened.bin.purge([digest], { inPlace: true })).failed).toEqual([])
  })

  test('removes what is in service and keeps what it has', async () => {
    const digest = await opened.put(bytes)
    await opened.bin.trash([digest])
    await opened.put(bytes)
    await opened.bin.remove(digest)
    await opened.bin.remove(digest)
    await opened.bin.remove(unknown)
    expect(await opened.isInService(digest, bytes)).toBe(false)
    expect(await opened.bin.restore(digest, bytes.length)).toBe(true)
    expect(await opened.isInService(digest, bytes)).toBe(true)
  })

  test('a blob in quarantine comes back by a push only', async () => {
    const digest = await opened.put(bytes)
    await opened.bin.quarantine(digest)
    await opened.bin.quarantine(digest)
    await opened.bin.quarantine(unknown)
    expect(await opened.isInService(digest, bytes)).toBe(false)
    expect(await opened.bin.restore(digest, bytes.length)).toBe(false)
    expect((await opened.bin.purge([digest], { inPlace: true })).failed).toEqual([])
    await opened.put(bytes)
    expect(await opened.isInService(digest, bytes)).toBe(true)
  })
}

function inventorySuite(open: OpenDriver): void {
  const opened = opening(open)
  const bytes = someBytes(1_500_000)

  test('tells size, and one object from the next', async () => {
    const digest = await opened.put(bytes)
    const before = (await opened.inventory.stat(digest))!
    expect(before.sizeBytes).toBe(bytes.length)
    expect(await opened.inventory.stat(digest)).toEqual(before)
    await opened.damage(digest, someBytes(bytes.length, 2))
    const after = (await opened.inventory.stat(digest))!
    expect(after.sizeBytes).toBe(bytes.length)
    expect(after.version).not.toBe(before.version)
    expect(await opened.inventory.stat(sha256('never stored'))).toBeUndefined()
  })

  test.each(Object.keys(ALGORITHMS) as Algorithm[])(
    'compares what is there with its digest (%s)',
    async (algorithm) => {
      const digest = await opened.put(bytes, algorithm)
      const read: number[] = []
      const onRead = (count: number) => read.push(count) > 0
      const object = (await opened.inventory.stat(digest))!
      const genuine = { is: 'genuine', object, actual: digest, readBytes: bytes.length }
      expect(await opened.inventory.check(digest, { settles: true, onRead })).toEqual(genuine)
      expect(read.reduce((sum, count) => sum + count)).toBe(bytes.length)
      const other = someBytes(1_000_000, 2)
      await opened.damage(digest, other)
      expect(await opened.inventory.check(digest)).toMatchObject({
        is: 'damaged',
        actual: digestOf(algorithm, other),
        readBytes: other.length,
      })
      expect(await opened.inventory.check(digest, { onRead: () => false })).toEqual({
        is: 'stopped',
      })
      await opened.bin.remove(digest)
      expect(await opened.inventory.check(digest)).toEqual({ is: 'missing' })
    },
  )

  test('lists what is in service, in order, in ranges that do not overlap', async () => {
    expect(await opened.inventory.isEmpty()).toBe(true)
    const digests: Digest[] = []
    for (let index = 0; index < 30; index += 1) {
      const algorithm = (['sha256', 'sha512', 'blake3'] as const)[index % 3]!
      digests.push(await opened.put(someBytes(100 + index, index), algorithm))
    }
    const [gone] = digests.splice(7, 1)
    await opened.bin.trash([gone!])
    const sorted = [...digests].sort()
    const ranges = await opened.list()
    expect(ranges.flatMap((range) => range.digests!)).toEqual(sorted)
    for (const [index, { start, end, digests: some }] of ranges.entries()) {
      expect(start < end).toBe(true)
      expect(some!.every((digest) => digest >= start && digest < end)).toBe(true)
      if (index > 0) expect(ranges[index - 1]!.end <= start).toBe(true)
    }
    for (const after of [sorted[0]!, sorted[11]!, sorted.at(-1)!]) {
      const rest = (await opened.list({ after })).flatMap((range) => range.digests!)
      expect(rest).toEqual(sorted.filter((digest) => digest > after))
    }
    expect(await opened.inventory.isEmpty()).toBe(false)
  })

  test('lists all that changed since a time, and may leave out where nothing did', async () => {
    const digest = await opened.put(bytes)
    const since = (changedSince: number) => opened.list({ changedSince })
    const recent = await since(Date.now() - 60_000)
    expect(recent.flatMap((range) => range.digests ?? [])).toEqual([digest])
    for (const { start, end, digests } of await since(Date.now() + 3_600_000)) {
      const isIts = digest >= start && digest < end
      if (isIts && digests !== undefined) expect(digests).toEqual([digest])
    }
  })

  test('knows uploads under way', async () => {
    const begunAt = Date.now()
    const upload = opened.writer.adopt('id', 'sha256', 0)
    upload.append(someBytes(70_000))
    await upload.settle()
    expect(await opened.uploads()).toEqual(['id'])
    const { sizeBytes, changedAt } = (await opened.inventory.statUpload('id'))!
    expect(sizeBytes).toBe(70_000)
    // File systems and stores have clocks of their own.
    expect(changedAt).toBeGreaterThan(begunAt - 5_000)
    upload.discard()
    await expect.poll(() => opened.inventory.statUpload('id')).toBeUndefined()
  })

  test('copies into a folder, as files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fastregistry-copy-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const digest = await opened.put(bytes)
    expect(await opened.inventory.copyTo(folder, sha256('never stored'))).toBe('missing')
    expect(['linked', 'copied']).toContain(await opened.inventory.copyTo(folder, digest))
    const copy = new FileInventory(blobPaths(folder))
    expect(await copy.check(digest)).toMatchObject({ is: 'genuine' })
    expect(opened.inventory.locate(digest)).toContain(digest.slice(-64))
  })

  test('opens from plain data, as the bin does', async () => {
    const setup = structuredClone(opened.driver.setup)
    // The twin in memory is of this thread alone.
    if (setup.module === 'memory:') return
    const [bin, inventory]: [BlobBin, BlobInventory] = [
      await openBin(setup),
      await openInventory(setup),
    ]
    const digest = await opened.put(bytes)
    expect(await inventory.check(digest)).toMatchObject({ is: 'genuine' })
    expect((await bin.trash([digest])).failed).toEqual([])
    expect(await opened.inventory.stat(digest)).toBeUndefined()
  })
}

function roomSuite(open: OpenDriver): void {
  test('there is some, or pushes are refused', async () => {
    for (const isFull of [false, true]) {
      const { driver, close } = await open({ isFull })
      const { room } = driver.writer
      expect(room.hasRoom).toBe(!isFull)
      expect(room.freeBytes > room.reserveBytes).toBe(!isFull)
      if (isFull) expect(() => room.require()).toThrow(/disk/i)
      else room.require()
      await close()
    }
  })
}
