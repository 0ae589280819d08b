/**
 * @module Backup and restore of a store that is open and being written to.
 */

import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, stat, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { secretFolder } from '../../../src/auth/secret-file.ts'
import { blobPath, blobPaths } from '../../../src/blobs/files/layout.ts'
import { backup, restore } from '../../../src/storage/backup.ts'
import {
  openStore,
  putBlob,
  putManifest,
  REPOSITORY,
  temporaryFolder,
} from '../../support/store.ts'

test('a backup of an open store restores to the same content', async () => {
  const folder = await temporaryFolder()
  const store = await openStore(join(folder, 'live'))
  const file = await putBlob(store, randomBytes(200_000), 'file')
  const small = randomBytes(50)
  const inline = await putBlob(store, small, 'inline')
  const manifest = await putManifest(store, '{"schemaVersion":2}')

  const copied = await backup(join(folder, 'live'), join(folder, 'backup'), secretFolder)
  expect(copied).toEqual({ blobs: 1, bytes: 200_000, linked: 1, fetched: 0, missing: [] })
  // What comes after the backup is not in it.
  const later = await putBlob(store, randomBytes(99), 'inline')

  const restored = await restore(join(folder, 'backup'), join(folder, 'restored'), secretFolder)
  expect(restored.blobs).toBe(1)
  const { storage } = await openStore(join(folder, 'restored'))
  const { metadata, path } = storage
  expect(metadata.get('links', [REPOSITORY, file])).toBeDefined()
  expect(await readFile(blobPath(blobPaths(path), file))).toEqual(
    await readFile(blobPath(blobPaths(store.storage.path), file)),
  )
  expect(Buffer.from(metadata.getBytes('blobBytes', inline)!)).toEqual(small)
  expect(Buffer.from(metadata.getBytes('manifestBytes', manifest)!).toString()).toBe(
    '{"schemaVersion":2}',
  )
  expect(metadata.get('blobs', later)).toBeUndefined()
})

test('the secrets of access control go along, for their owner only', async () => {
  const folder = await temporaryFolder()
  const store = await openStore(join(folder, 'live'))
  await putBlob(store, randomBytes(10), 'inline')
  const auth = secretFolder(join(folder, 'live'))
  await mkdir(auth, { mode: 0o700 })
  await writeFile(join(auth, 'keys.json'), '{"secret":"s"}', { mode: 0o644 })
  await writeFile(join(auth, 'access-tokens.json'), '{"tokens":[]}', { mode: 0o600 })
  // What others are at work on.
  await writeFile(join(auth, 'keys.json.lock'), '')
  await writeFile(join(auth, 'keys.json.0123456789ab'), '{"sec')
  await backup(join(folder, 'live'), join(folder, 'backup'), secretFolder)
  await restore(join(folder, 'backup'), join(folder, 'restored'), secretFolder)
  for (const name of ['backup', 'restored']) {
    const copied = secretFolder(join(folder, name))
    expect((await readdir(copied)).sort()).toEqual(['access-tokens.json', 'keys.json'])
    expect((await stat(copied)).mode & 0o777).toBe(0o700)
    expect((await stat(join(copied, 'keys.json'))).mode & 0o777).toBe(0o600)
    expect(await readFile(join(copied, 'keys.json'), 'utf8')).toBe('{"secret":"s"}')
  }
})

test('writes to the restored store leave the backup as it is', async () => {
  const folder = await temporaryFolder()
  const store = await openStore(join(folder, 'live'))
  await putBlob(store, randomBytes(10), 'inline')
  await backup(join(folder, 'live'), join(folder, 'backup'), secretFolder)
  const before = await readFile(join(folder, 'backup/meta/data.mdb'))
  await restore(join(folder, 'backup'), join(folder, 'restored'), secretFolder)
  const restored = await openStore(join(folder, 'restored'))
  await putBlob(restored, randomBytes(60_000), 'inline')
  await restored.storage.close()
  expect(await readFile(join(folder, 'backup/meta/data.mdb'))).toEqual(before)
})

test('a blob that the disk has lost is named, the rest is copied', async () => {
  const folder = await temporaryFolder()
  const store = await openStore(join(folder, 'live'))
  const lost = await putBlob(store, randomBytes(70_000), 'file')
  const kept = await putBlob(store, randomBytes(70_001), 'file')
  await unlink(blobPath(blobPaths(store.storage.path), lost))
  const report = await backup(join(folder, 'live'), join(folder, 'backup'), secretFolder)
  expect(report).toMatchObject({ blobs: 1, missing: [lost] })
  const size = (await stat(blobPath(blobPaths(join(folder, 'backup')), kept))).size
  expect(size).toBe(70_001)
})

test('a target that is not empty and a source that is no backup are refused', async () => {
  const folder = await temporaryFolder()
  const store = await openStore(join(folder, 'live'))
  await putBlob(store, randomBytes(10), 'inline')
  await expect(backup(join(folder, 'live'), folder, secretFolder)).rejects.toThrow(/is not empty/)
  await expect(restore(folder, join(folder, 'new'), secretFolder)).rejects.toThrow(/is no backup/)
})
