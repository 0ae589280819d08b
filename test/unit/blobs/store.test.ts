/** @module Reads of blobs by their rows: inline, with the driver, damaged, swept. */
import { randomBytes } from 'node:crypto'
import { beforeEach, expect, test } from 'vitest'
import { Quarantine } from '../../../src/blobs/quarantine.ts'
import { arrivedRow, BlobStore } from '../../../src/blobs/store.ts'
import { dropBlob, putBlob } from '../../../src/metadata/edits.ts'
import type { MetadataStore } from '../../../src/metadata/port.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import { KeyedLock } from '../../../src/runtime/keyed-lock.ts'
import { MemoryBlobs } from '../../support/memory/memory-blobs.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { sha256 } from '../../support/registry-client.ts'

let metadata: MetadataStore
let memory: MemoryBlobs
let store: BlobStore
const isolated: Digest[] = []

beforeEach(() => {
  metadata = new MemoryMetadataStore()
  memory = new MemoryBlobs()
  isolated.length = 0
  const quarantine = new Quarantine({
    bin: memory,
    metadata,
    digestLock: new KeyedLock(),
    forget: () => undefined,
    onQuarantined: (digest) => isolated.push(digest),
  })
  store = new BlobStore({ metadata, driver: memory.driver, quarantine })
})

const small = randomBytes(100)
const large = randomBytes(100_000)

/** Stores a blob, inline or with the driver; its digest and its row. */
async function put(bytes: Uint8Array, isInline: boolean) {
  const digest = sha256(bytes)
  const inlineBytes = isInline ? bytes : undefined
  const row = arrivedRow(bytes.byteLength, inlineBytes, 1)
  if (!isInline) memory.blobs.set(digest, bytes)
  await metadata.commit({ checks: [], changes: putBlob(digest, row, inlineBytes) })
  return { digest, row }
}

test('inline bytes come immediately, as a copy', async () => {
  const { digest, row } = await put(small, true)
  const opened = store.open(digest, row)
  expect(opened).toBeInstanceOf(Uint8Array)
  expect(Buffer.from(opened as Uint8Array)).toEqual(small)
  ;(opened as Uint8Array).fill(0)
  expect(Buffer.from(store.open(digest, row) as Uint8Array)).toEqual(small)
})

test('inline bytes that are gone are a fault, not a blob of no bytes', async () => {
  const { digest, row } = await put(small, true)
  await metadata.commit({ checks: [], changes: dropBlob(digest) })
  expect(() => store.open(digest, row)).toThrow(expect.objectContaining({ code: 'UNKNOWN' }))
})

test('other bytes come from the driver, whose damage takes the blob out of service', async () => {
  const { digest, row } = await put(large, false)
  const source = await store.open(digest, row)
  expect(source).toMatchObject({ sizeBytes: large.byteLength })
  memory.blobs.set(digest, small)
  await expect(store.open(digest, row)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' })
  expect(isolated).toEqual([digest])
  expect(metadata.get('blobs', digest)).toBeUndefined()
  expect(memory.quarantined.has(digest)).toBe(true)
})

test('a store that fails is no damage', async () => {
  const { digest, row } = await put(large, false)
  memory.open = async () => {
    throw Object.assign(new Error('read'), { code: 'EIO' })
  }
  await expect(store.open(digest, row)).rejects.not.toMatchObject({ code: 'BLOB_UNKNOWN' })
  expect(isolated).toEqual([])
})

test('small ones are read whole wherever they are, larger and damaged ones not at all', async () => {
  const inline = await put(small, true)
  const object = await put(large, false)
  expect(Buffer.from((await store.read(inline.digest, 100))!)).toEqual(small)
  expect(Buffer.from((await store.read(object.digest, 100_000))!).equals(large)).toBe(true)
  expect(await store.read(object.digest, 99_999)).toBeUndefined()
  expect(await store.read(sha256('never stored'), 100)).toBeUndefined()
  memory.blobs.delete(object.digest)
  expect(await store.read(object.digest, 100_000)).toBeUndefined()
  expect(isolated).toEqual([])
})

test('a swept blob comes back with its bytes, or not at all', async () => {
  for (const isInline of [true, false]) {
    const bytes = isInline ? small : large
    const { digest, row } = await put(bytes, isInline)
    const { sizeBytes, place, createdAt } = row
    const trashed = { sizeBytes, place, createdAt, trashedAt: 5 }
    await memory.trash([digest])
    await metadata.commit({
      checks: [],
      changes: [
        { change: 'put', in: 'trash', key: digest, row: trashed },
        { change: 'delete', in: 'blobs', key: digest },
      ],
    })
    const restoring = (await store.restore(digest, trashed, 7))!
    expect((await metadata.commit(restoring)).applied).toBe(true)
    expect(metadata.get('blobs', digest)).toEqual({ ...row, linkedAt: 7 })
    expect(metadata.get('trash', digest)).toBeUndefined()
    expect(Buffer.from((await store.read(digest, 100_000))!).equals(bytes)).toBe(true)
    if (isInline) continue
    memory.blobs.clear()
    expect(await store.restore(digest, trashed, 9)).toBeUndefined()
  }
})

test('the bytes of a row that went are removed, if the driver has them', async () => {
  const inline = await put(small, true)
  const object = await put(large, false)
  memory.blobs.set(inline.digest, small)
  await store.remove(inline.digest, inline.row)
  await store.remove(object.digest, object.row)
  expect([...memory.blobs.keys()]).toEqual([inline.digest])
})
