/**
 * @module `verify`, `backup` and `restore` as an operator runs them: on a store with real content.
 */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { blobPath, blobPaths } from '../../src/blobs/files/layout.ts'
import { restoreBackup, verify, writeBackup } from '../../src/cli/commands/maintenance.ts'
import { openStore, putBlob, temporaryFolder } from '../support/store.ts'

function terminal() {
  const lines: string[] = []
  const print = (line: string) => lines.push(line)
  return { lines, output: { print, printError: print } }
}

async function store() {
  const folder = await temporaryFolder()
  const path = join(folder, 'store')
  const open = await openStore(path)
  const digest = await putBlob(open, randomBytes(100_000), 'file')
  const file = blobPath(blobPaths(open.storage.path), digest)
  return { folder, path, digest, file, close: open.storage.close }
}

test('verify refuses a store that is in use and names the process', async () => {
  const { path } = await store()
  const { output } = terminal()
  await expect(verify(path, false, output)).rejects.toThrow(`in use by process ${process.pid}`)
})

test('verify names what is damaged, and mends nothing unless asked to', async () => {
  const { path, digest, file, close } = await store()
  await close()
  const sound = terminal()
  expect(await verify(path, false, sound.output)).toBe(0)
  expect(sound.lines).toEqual(['1 blobs and manifests, 100000 bytes read, all sound'])

  await writeFile(file, randomBytes(100_000))
  const damaged = terminal()
  expect(await verify(path, false, damaged.output)).toBe(1)
  expect(damaged.lines[0]).toContain(digest)
  expect(damaged.lines[1]).toContain('1 damaged; see --repair')
  const repaired = terminal()
  expect(await verify(path, true, repaired.output)).toBe(1)
  expect(repaired.lines[1]).toContain('1 taken out of service')
  expect(await verify(path, true, terminal().output)).toBe(0)
})

test('a backup of a store in use restores to one that verifies', async () => {
  const { folder, path } = await store()
  const { lines, output } = terminal()
  expect(await writeBackup(path, join(folder, 'backup'), output)).toBe(0)
  expect(await restoreBackup(join(folder, 'backup'), join(folder, 'restored'), output)).toBe(0)
  expect(lines[0]).toContain('1 blob files, 100000 bytes (1 hard links)')
  expect(await verify(join(folder, 'restored'), false, output)).toBe(0)
})
