/**
 * @module Backups: a consistent copy of the metadata first, then every blob that it names, as
 * files: by hard link where the driver can, else as a copy (by reflink where the file system can). Works beside a running server. The secrets of access
 * control go along, for their owner only: without them every token would end with a restore.
 */
import { chmod, copyFile, mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { hasObject, openInventory } from '../blobs/driver.ts'
import { afterRestore, eventClock, eventKey } from '../metadata/event-log.ts'
import { LmdbEnvironment, prefixRange } from '../metadata/lmdb/environment.ts'
import { metadataFolder } from '../metadata/lmdb/folder.ts'
import type { BlobRow, Databases, EventRow } from '../metadata/schema.ts'
import type { Digest } from '../registry/digest.ts'
import { type Clock, systemClock } from '../runtime/clock.ts'
import { clearMesh, membersIn } from './detach.ts'
import type { FileSource, MemberPlace, OpenFileSource } from './file-source.ts'
import { storeSetup } from './setup.ts'

export interface CopyReport {
  readonly blobs: number
  readonly bytes: number
  /** How many files were linked rather than copied. */
  readonly linked: number
  /** How many came from other nodes of the mesh. */
  readonly fetched: number
  /** Blobs that the metadata names and the disk does not have. */
  readonly missing: readonly Digest[]
}

const rowsPerRead = 1_000

/** Where the secrets of access control are, by the folder of a store. */
export type SecretFolder = (storagePath: string) => string

/**
 * Writes a backup of the store at `source` into `target`, which must be empty or absent. Upload
 * sessions are not part of it. Of a node of a mesh it has the blobs, too, whose files other nodes have, where
 * `openSource` is given. Throws with what to do.
 */
export async function backup(
  source: string,
  target: string,
  secretFolder: SecretFolder,
  clock: Clock = systemClock,
  openSource?: OpenFileSource,
): Promise<CopyReport> {
  await requireEmpty(target)
  const metadata = metadataFolder(target)
  await mkdir(metadata, { recursive: true, mode: 0o750 })
  const live = new LmdbEnvironment(metadataFolder(source), false)
  let members: readonly MemberPlace[]
  try {
    await live.copyTo(metadata)
    members = membersIn(live)
  } finally {
    await live.close()
  }
  await numberAnew(metadata, clock)
  await copySecrets(secretFolder(source), secretFolder(target))
  const others = members.length < 2 ? undefined : await openSource?.(source, members)
  try {
    return await copyBlobs(source, target, others)
  } finally {
    others?.close()
  }
}

/** Makes a store at `target` (empty or absent) out of a backup. The backup stays as it is. */
export async function restore(
  source: string,
  target: string,
  secretFolder: SecretFolder,
  clock: Clock = systemClock,
): Promise<CopyReport> {
  const rows = join(metadataFolder(source), 'data.mdb')
  await stat(rows).catch(() => {
    throw new Error(`${source} is no backup: it has no meta/data.mdb`)
  })
  await requireEmpty(target)
  const metadata = metadataFolder(target)
  await mkdir(metadata, { recursive: true, mode: 0o750 })
  // Never linked: the store writes to this file.
  await copyFile(rows, join(metadata, 'data.mdb'))
  await numberAnew(metadata, clock)
  await copySecrets(secretFolder(source), secretFolder(target))
  return copyBlobs(source, target)
}

/**
 * Lets the events of a copy begin at a number that its model has not reached and will not reach:
 * a reader of the model's events who goes on with the copy then misses none of the copy's. Also in a
 * backup itself, which is a store that somebody may start.
 */
async function numberAnew(folder: string, clock: Clock): Promise<void> {
  const metadata = new LmdbEnvironment(folder, false)
  try {
    metadata.writeSync(() => {
      const sequence = (metadata.get('totals', 'sequence') ?? 0) as number
      const last = metadata.get('events', eventKey(sequence)) as EventRow | undefined
      if (last !== undefined) metadata.put('totals', 'eventClock', eventClock(last))
      metadata.put('totals', 'sequence', afterRestore(sequence, clock.now()))
    })
    // A copy is a store of its own: a mesh can be founded from it.
    clearMesh(metadata)
  } finally {
    await metadata.close()
  }
}

/** Each file is replaced in one step, so that a copy is whole; others are somebody's at work. */
async function copySecrets(from: string, to: string): Promise<void> {
  const names = await readdir(from).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const files = names.filter((name) => name.endsWith('.json'))
  if (files.length > 0) await mkdir(to, { recursive: true, mode: 0o700 })
  for (const name of files) {
    const copy = join(to, name)
    await copyFile(join(from, name), copy)
    await chmod(copy, 0o600)
  }
}

/** Copies what the metadata at `to` names; it was copied first, so that nothing it names is newer. */
async function copyBlobs(source: string, target: string, others?: FileSource): Promise<CopyReport> {
  const metadata = new LmdbEnvironment(metadataFolder(target), false)
  const inventory = await openInventory(storeSetup(source).driver)
  const missing: Digest[] = []
  let blobs = 0
  let bytes = 0
  let linked = 0
  let fetched = 0
  try {
    // Whatever opens the copy later, an older version or another program, may begin with anything.
    metadata.writeSync(() => undefined)
    for (const { digest, row } of blobsWithObject(metadata)) {
      const outcome = await inventory.copyTo(target, digest)
      if (outcome === 'missing') {
        if (!((await others?.bring(target, digest, row.sizeBytes)) ?? false)) {
          missing.push(digest)
          continue
        }
        fetched += 1
      }
      blobs += 1
      bytes += row.sizeBytes
      if (outcome === 'linked') linked += 1
    }
  } finally {
    await metadata.close()
  }
  return { blobs, bytes, linked, fetched, missing }
}

function* blobsWithObject(metadata: LmdbEnvironment): Iterable<{ digest: Digest; row: BlobRow }> {
  let last: string | undefined
  while (true) {
    const rows = [...metadata.entries('blobs', { ...prefixRange([], last), limit: rowsPerRead })]
    if (rows.length === 0) return
    for (const { key, value } of rows) {
      const row = value as BlobRow
      if (hasObject(row)) yield { digest: key as Databases['blobs']['key'], row }
    }
    last = rows.at(-1)!.key as string
  }
}

async function requireEmpty(folder: string): Promise<void> {
  const entries = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  if (entries.length > 0) throw new Error(`${folder} is not empty; name a new folder`)
}
