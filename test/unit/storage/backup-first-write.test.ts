/**
 * @module What a restored store begins with may be large: a sweep, a migration, a push of 20,000 rows.
 */

import { spawnSync } from 'node:child_process'
import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { secretFolder } from '../../../src/auth/secret-file.ts'
import { LmdbEnvironment } from '../../../src/metadata/lmdb/environment.ts'
import { metadataFolder } from '../../../src/metadata/lmdb/folder.ts'
import type { Change } from '../../../src/metadata/transaction.ts'
import { backup, restore } from '../../../src/storage/backup.ts'
import { openStore, REPOSITORY, temporaryFolder } from '../../support/store.ts'

const rows = 20_000
const program = fileURLToPath(new URL('first-write.mjs', import.meta.url))

/** A store with some rows of every size. */
async function filledStore(folder: string) {
  const store = await openStore(join(folder, 'live'))
  const environment = new LmdbEnvironment(metadataFolder(store.storage.path), false)
  for (let from = 0; from < rows; from += 4_000) {
    environment.writeSync(() => {
      for (let number = from; number < from + 4_000; number += 1) {
        environment.put('pulls', [REPOSITORY, `key-${number}`], number)
        if (number % 10 === 0)
          environment.put('manifestBytes', `key-${number}`, Buffer.alloc(8_500))
      }
    })
  }
  await environment.close()
  return store
}

test('the first transaction on a copy may be large, whatever it does', async () => {
  const folder = await temporaryFolder()
  const { storage } = await filledStore(folder)
  const live = new LmdbEnvironment(metadataFolder(storage.path), false)
  await backup(join(folder, 'live'), join(folder, 'backup'), secretFolder)
  for (const kind of ['overwrite', 'delete', 'large', 'add']) {
    // A copy as LMDB makes it, a backup, and what is restored from one.
    const copies = { copied: join(folder, `copied-${kind}`), backup: join(folder, `of-${kind}`) }
    await mkdir(copies.copied)
    await live.copyTo(copies.copied)
    await cp(metadataFolder(join(folder, 'backup')), copies.backup, { recursive: true })
    await restore(join(folder, 'backup'), join(folder, `restored-${kind}`), secretFolder)
    const restored = metadataFolder(join(folder, `restored-${kind}`))
    for (const [name, path] of Object.entries({ ...copies, restored })) {
      const run = spawnSync(process.execPath, [program, path, kind, String(rows)], {
        encoding: 'utf8',
      })
      const outcome = `${run.stdout}${run.stderr}${run.signal ?? ''}`.trim()
      expect(outcome, `${kind} on what was ${name}`).toBe('1')
    }
  }
  await live.close()
})

test('a restored store takes a push of many rows as its first one', async () => {
  const folder = await temporaryFolder()
  const { storage } = await filledStore(folder)
  await backup(join(folder, 'live'), join(folder, 'backup'), secretFolder)
  await restore(join(folder, 'backup'), join(folder, 'restored'), secretFolder)
  const restored = await openStore(join(folder, 'restored'))
  const { metadata } = restored.storage
  const keys = metadata.keys('pulls', [REPOSITORY], undefined, rows)
  const changes = keys.map((key): Change => ({ change: 'put', in: 'pulls', key, row: 1 }))
  expect(changes).toHaveLength(rows)
  expect(await metadata.commit({ checks: [], changes })).toMatchObject({ applied: true })
  expect(metadata.get('pulls', keys[0]!)).toBe(1)
  await storage.close()
})
