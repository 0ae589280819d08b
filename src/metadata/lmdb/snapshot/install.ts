/**
 * @module Puts a received snapshot in the place of the view, at the next opening of the store: under its
 * lock, before LMDB opens. Whatever ends the process, the next opening finds the old view or the new one,
 * and knows by the folders what is left to do:
 *
 * | `meta.new` | `meta.old` | what it is |
 * | --- | --- | --- |
 * | with a view | any | received: it is to be put in its place |
 * | empty | any | it is in its place, and has not been opened |
 * | `opening` | any | the process died while it was opened: it is to be given up |
 * | `opened` | any | it opens, and may still have rows of the node that sent it |
 * | none | with a view | it was given up: the old one is to be put back |
 * | none | none or empty | nothing to do |
 */
import { link, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { disk as realDisk } from '../../../runtime/disk.ts'
import { nextTurn } from '../../../runtime/next-turn.ts'
import { lastText, nextKey } from '../../key-order.ts'
import { DATABASES, type DatabaseName } from '../../schema.ts'
import { LmdbEnvironment } from '../environment.ts'
import { lockFile, SnapshotError, snapshotFolders, viewFile } from './format.ts'

/** Rows of one transaction. */
const rowsPerStep = 500

/** Rows of local tables that describe the copy itself. */
const KEPT: Partial<Record<DatabaseName, readonly string[]>> = {
  system: ['schemaVersion'],
  places: ['applied'],
}

/** Each step that changes something, so that a test can end the process before any of them. */
export interface InstallDisk {
  /** Gives a file a second name. */
  link(from: string, to: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Removes a file; one that is not there is no error. */
  unlink(path: string): Promise<void>
  makeFolder(path: string): Promise<void>
  /** Removes an empty folder; one that is not there is no error. */
  removeFolder(path: string): Promise<void>
  /** Returns when the folder's entries are on the disk. */
  flushFolder(path: string): Promise<void>
  /** Makes an empty file. */
  mark(path: string): Promise<void>
  /** Runs a small transaction. */
  transaction(environment: LmdbEnvironment, work: () => void): void
}

export const installDisk: InstallDisk = {
  link,
  rename: (from, to) => realDisk.rename(from, to),
  unlink: (path) => realDisk.unlink(path),
  makeFolder: (path) => realDisk.makeFolder(path),
  removeFolder: async (path) => {
    await rmdir(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
  },
  flushFolder: (path) => realDisk.flushFolder(path),
  mark: (path) => writeFile(path, ''),
  transaction: (environment, work) => environment.writeSync(work),
}

/** In `meta.new` while the view is opened for the first time: LMDB ends the process over a damaged one. */
const openingMark = 'opening'
/** The same afterwards: from then on the view is not given up, and the old one may go. */
const openedMark = 'opened'

/** `given-up`: the view before is back, or there is none as before. */
export type InstallOutcome = 'nothing' | 'installed' | 'given-up'

/**
 * Installs what `receiveSnapshot` has received, if anything, and removes what a process that died has left
 * of sending and receiving. When it resolves, the view and all that was done to it are on the disk. The view
 * before is kept aside until the new one has opened. A new one that does not open is given up: at once, with
 * a SnapshotError 'view', or when the process ended over it, by the next call. Throws what the disk throws;
 * then the next call goes on.
 */
export async function installSnapshot(
  metadata: string,
  disk: InstallDisk = installDisk,
): Promise<InstallOutcome> {
  const { copy, part, fresh, old } = snapshotFolders(metadata)
  await rm(copy, { recursive: true, force: true })
  await rm(part, { recursive: true, force: true })
  if (!(await isThere(fresh))) {
    await putBack(metadata, disk)
    return 'nothing'
  }
  if (await isThere(join(fresh, viewFile))) {
    await swap(metadata, disk)
  } else if (await isThere(join(fresh, openingMark))) {
    await giveUp(metadata, disk)
    return 'given-up'
  }
  await dropForeignRows(await openNew(metadata, disk), disk)
  await removeOld(old, disk)
  // Only behind the old view: alone, that one says that it is to be put back.
  await endInstallation(metadata, disk)
  return 'installed'
}

/** The view has its place in one step; the old one has a second name before. */
async function swap(metadata: string, disk: InstallDisk): Promise<void> {
  const { fresh, old } = snapshotFolders(metadata)
  // Of a view before this one, if an installation failed and another snapshot came.
  await disk.unlink(join(fresh, openingMark))
  await disk.unlink(join(fresh, openedMark))
  await disk.makeFolder(metadata)
  // Without a view: the first one of this node, or it was moved aside and then the process died.
  if (await isThere(join(metadata, viewFile))) {
    await disk.makeFolder(old)
    await disk.unlink(join(old, viewFile))
    await setAside(join(metadata, viewFile), join(old, viewFile), disk)
    await disk.flushFolder(old)
    await disk.flushFolder(dirname(metadata))
  }
  // It counts readers of the old view; a backup that still reads that one keeps it.
  await disk.unlink(join(metadata, lockFile))
  await disk.rename(join(fresh, viewFile), join(metadata, viewFile))
  await disk.flushFolder(metadata)
  await disk.flushFolder(fresh)
}

/** Where a file cannot have two names, there is a moment without a view: `meta.new` still has the new one. */
async function setAside(from: string, to: string, disk: InstallDisk): Promise<void> {
  try {
    await disk.link(from, to)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code)) throw error
    await disk.rename(from, to)
  }
}

async function openNew(metadata: string, disk: InstallDisk): Promise<LmdbEnvironment> {
  const { fresh } = snapshotFolders(metadata)
  if (await isThere(join(fresh, openedMark))) return new LmdbEnvironment(metadata, false)
  const mark = join(fresh, openingMark)
  await disk.mark(mark)
  let environment: LmdbEnvironment | undefined
  try {
    environment = new LmdbEnvironment(metadata, false)
    // The first one, small: `LmdbEnvironment` says why.
    disk.transaction(environment, () => undefined)
  } catch (cause) {
    await environment?.close()
    await giveUp(metadata, disk)
    throw new SnapshotError('view', 'the snapshot does not open; what was before it is back', {
      cause,
    })
  }
  await disk.rename(mark, join(fresh, openedMark))
  await disk.flushFolder(fresh)
  return environment
}

async function giveUp(metadata: string, disk: InstallDisk): Promise<void> {
  const { old } = snapshotFolders(metadata)
  // The first view of a node: without it the node has none, as before.
  if (!(await isThere(join(old, viewFile)))) await disk.unlink(join(metadata, viewFile))
  await endInstallation(metadata, disk)
  await putBack(metadata, disk)
}

async function putBack(metadata: string, disk: InstallDisk): Promise<void> {
  const { old } = snapshotFolders(metadata)
  if (await isThere(join(old, viewFile))) {
    await disk.makeFolder(metadata)
    await disk.unlink(join(metadata, lockFile))
    await disk.rename(join(old, viewFile), join(metadata, viewFile))
    await disk.flushFolder(metadata)
  }
  // Also when both names were of one file: then renaming it has done nothing.
  await removeOld(old, disk)
}

async function removeOld(old: string, disk: InstallDisk): Promise<void> {
  if (!(await isThere(old))) return
  await disk.unlink(join(old, viewFile))
  await disk.flushFolder(old)
  await disk.removeFolder(old)
  await disk.flushFolder(dirname(old))
}

/** In one step: `meta.new` without its marks would say that the view was never opened. */
async function endInstallation(metadata: string, disk: InstallDisk): Promise<void> {
  const { fresh, part } = snapshotFolders(metadata)
  await disk.rename(fresh, part)
  await disk.flushFolder(dirname(metadata))
  await rm(part, { recursive: true, force: true })
}

/**
 * Empties the tables of the node that sent the view, in small transactions: a copy has no free pages, and
 * a large first one ends the process (`LmdbEnvironment`). Closes the environment.
 */
async function dropForeignRows(environment: LmdbEnvironment, disk: InstallDisk): Promise<void> {
  try {
    const tables = Object.entries(DATABASES) as [DatabaseName, (typeof DATABASES)[DatabaseName]][]
    for (const [name, { scope }] of tables) {
      if (scope === 'local') await emptyTable(environment, name, disk)
    }
  } finally {
    await environment.close()
  }
}

async function emptyTable(
  environment: LmdbEnvironment,
  name: DatabaseName,
  disk: InstallDisk,
): Promise<void> {
  let start: string | readonly string[] | undefined = ''
  while (start !== undefined) {
    const range = { start, end: lastText, limit: rowsPerStep }
    const keys = [...environment.keys(name, range)] as (string | readonly string[])[]
    if (keys.length > 0) {
      disk.transaction(environment, () => {
        for (const key of keys) {
          if (!KEPT[name]?.includes(key as string)) environment.delete(name, key)
        }
      })
    }
    start = keys.length < rowsPerStep ? undefined : nextKey(keys.at(-1)!)
    await nextTurn()
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
