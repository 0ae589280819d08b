/**
 * @module The scrub: what it finds, what it does about it, where it goes on.
 */
import { randomBytes } from 'node:crypto'
import { readFile, unlink, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { blobPath, blobPaths } from '../../../src/blobs/files/layout.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { Scrub } from '../../../src/storage/scrub.ts'
import { storeSetup } from '../../../src/storage/setup.ts'
import {
  type OpenStore,
  openStore,
  putBlob,
  putManifest,
  temporaryFolder,
} from '../../support/store.ts'

async function scrubOf(store: OpenStore, path: string): Promise<Scrub> {
  const { metadata, quarantine } = store.storage
  return new Scrub({ setup: storeSetup(path), metadata, quarantine, clock: systemClock })
}

async function filledStore() {
  const path = await temporaryFolder()
  const store = await openStore(path)
  const inline = await putBlob(store, randomBytes(100), 'inline')
  const files = [
    await putBlob(store, randomBytes(300_000), 'file'),
    await putBlob(store, randomBytes(300_001), 'file'),
    await putBlob(store, randomBytes(300_002), 'file'),
    await putBlob(store, randomBytes(300_003), 'file'),
  ] as const
  const manifest = await putManifest(store, '{"schemaVersion":2}')
  return { path, store, inline, files, manifest, scrub: await scrubOf(store, path) }
}

describe('a scrub', () => {
  test('of a sound store reads everything and finds nothing', async () => {
    const { scrub, store } = await filledStore()
    const report = await scrub.run(0, true)
    expect(report).toMatchObject({ entries: 6, damaged: [], isComplete: true })
    expect(report.bytes).toBe(100 + 4 * 300_000 + 6 + 19)
    expect(store.quarantined).toEqual([])
    expect(scrub.status).toMatchObject({ state: 'complete', entries: 6, damaged: 0 })
  })

  test('takes flipped, shortened and missing files out of service and keeps the rest', async () => {
    const { scrub, store, files } = await filledStore()
    const { storage } = store
    const [flipped, shortened, missing, sound] = files
    const bytes = await readFile(blobPath(blobPaths(storage.path), flipped))
    bytes[1000]! ^= 1
    await writeFile(blobPath(blobPaths(storage.path), flipped), bytes)
    await writeFile(blobPath(blobPaths(storage.path), shortened), 'short')
    await unlink(blobPath(blobPaths(storage.path), missing))

    const report = await scrub.run(0, true)
    expect(report.damaged.map(({ digest }) => digest).toSorted()).toEqual(
      [flipped, shortened, missing].toSorted(),
    )
    for (const digest of [flipped, shortened, missing]) {
      expect(storage.metadata.get('blobs', digest)).toBeUndefined()
    }
    expect(storage.metadata.get('blobs', sound)).toMatchObject({ place: 'file' })
    expect(store.quarantined.length).toBe(3)
    // Pushed again, it is whole again.
    await putBlob(store, bytes, 'file')
    expect(await scrub.run(0, true)).toMatchObject({ damaged: [], isComplete: true })
  })

  test('takes inline bytes and manifests out of service that are not their digest', async () => {
    const { scrub, store, inline, manifest } = await filledStore()
    const { metadata } = store.storage
    await metadata.commit({
      checks: [],
      changes: [
        { change: 'put', in: 'blobBytes', key: inline, row: randomBytes(100) },
        { change: 'put', in: 'manifestBytes', key: manifest, row: Buffer.from('{}') },
      ],
    })
    const report = await scrub.run(0, true)
    expect(report.damaged.map(({ digest }) => digest)).toEqual([inline, manifest])
    expect(metadata.get('blobs', inline)).toBeUndefined()
    expect(metadata.getBytes('manifestBytes', manifest)).toBeUndefined()
  })

  test('that only looks changes nothing', async () => {
    const { scrub, store, files } = await filledStore()
    await unlink(blobPath(blobPaths(store.storage.path), files[0]))
    expect(await scrub.run(0, false)).toMatchObject({ damaged: [{ digest: files[0] }] })
    expect(store.storage.metadata.get('blobs', files[0])).toBeDefined()
  })

  test('that was stopped goes on where it stopped, also in another process', async () => {
    const { path, scrub, store } = await filledStore()
    // 300 kB at 64 kB/s: the walk is in its first file for seconds.
    const running = scrub.run(64 * 1024, true)
    await scrub.stop()
    const first = await running
    expect(first.isComplete).toBe(false)
    await store.storage.close()
    const again = await openStore(path)
    const second = await (await scrubOf(again, path)).run(0, true)
    expect(second.isComplete).toBe(true)
    expect(first.entries + second.entries).toBe(6)
    expect(again.storage.metadata.get('cursors', 'scrub')).toBeUndefined()
  })

  test('keeps to its rate', async () => {
    const { scrub } = await filledStore()
    const startedAt = performance.now()
    await scrub.run(2_400_000, true)
    // 1.2 MB at 2.4 MB/s take half a second.
    expect(performance.now() - startedAt).toBeGreaterThan(450)
  })
})
