/**
 * @module What blob files are there, and whether they are what their names say. In any thread.
 *
 * Folders are named by the first two digits of the digest, and digests sort the same way: a folder is
 * one range of digests. A rename into it sets its time, so one that is older holds nothing new.
 */
import { constants, type Dirent, type Stats } from 'node:fs'
import { copyFile, link, mkdir, readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ALGORITHMS, algorithmOf, type Digest, parseDigest } from '../../registry/digest.ts'
import { createHasher } from '../../registry/hasher.ts'
import { disk } from '../../runtime/disk.ts'
import type {
  BlobInventory,
  Checked,
  CheckOptions,
  ListFrom,
  ObjectRange,
  StoredObject,
  StoredUpload,
} from '../driver.ts'
import { type BlobPaths, blobPath, blobPaths, uploadPath } from './layout.ts'

/** Bytes read at once. */
const readBytes = 1024 * 1024

export class FileInventory implements BlobInventory {
  readonly #paths: BlobPaths

  constructor(paths: BlobPaths) {
    this.#paths = paths
  }

  async stat(digest: Digest): Promise<StoredObject | undefined> {
    const found = await statFile(blobPath(this.#paths, digest))
    return found === undefined ? undefined : objectOf(found)
  }

  async check(digest: Digest, { settles, onRead }: CheckOptions = {}): Promise<Checked> {
    const path = blobPath(this.#paths, digest)
    const file = await disk.open(path, 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
      return undefined
    })
    if (file === undefined) return { is: 'missing' }
    try {
      const object = objectOf(await file.stat())
      const hasher = createHasher(algorithmOf(digest))
      const buffer = new Uint8Array(readBytes)
      let done = 0
      while (true) {
        const count = await disk.read(file, buffer, done)
        if (count === 0) break
        hasher.update(buffer.subarray(0, count))
        done += count
        if (onRead !== undefined && !(await onRead(count))) return { is: 'stopped' }
      }
      if (settles === true) {
        await disk.flush(file)
        await disk.flushFolder(dirname(path))
      }
      const actual = hasher.digest()
      return { is: actual === digest ? 'genuine' : 'damaged', object, actual, readBytes: done }
    } finally {
      await file.close()
    }
  }

  async *list({ after = '', changedSince }: ListFrom = {}): AsyncGenerator<ObjectRange> {
    for (const algorithm of Object.keys(ALGORITHMS).sort(inOrder)) {
      for (let number = 0; number < 256; number += 1) {
        const prefix = number.toString(16).padStart(2, '0')
        const range = { start: `${algorithm}:${prefix}`, end: `${algorithm}:${prefix}g` }
        if (range.end <= after) continue
        const folder = join(this.#paths.blobs, algorithm, prefix)
        const isListed = changedSince === undefined || (await wasChangedSince(folder, changedSince))
        if (isListed) yield { ...range, ...(await listFolder(folder, algorithm, prefix, after)) }
        else yield { ...range, digests: undefined, foreign: [] }
      }
    }
  }

  async *listTrash(): AsyncGenerator<Digest> {
    for (const algorithm of Object.keys(ALGORITHMS)) {
      for (let number = 0; number < 256; number += 1) {
        const prefix = number.toString(16).padStart(2, '0')
        const folder = join(this.#paths.trash, algorithm, prefix)
        yield* (await listFolder(folder, algorithm, prefix, '')).digests
      }
    }
  }

  async isEmpty(): Promise<boolean> {
    return (await readdir(this.#paths.blobs)).length === 0
  }

  async *listUploads(): AsyncGenerator<StoredUpload & { readonly id: string }> {
    for (const id of await listFiles(this.#paths.uploads)) {
      const found = await this.statUpload(id)
      if (found !== undefined) yield { id, ...found }
    }
  }

  async statUpload(id: string): Promise<StoredUpload | undefined> {
    const found = await statFile(uploadPath(this.#paths, id))
    return found === undefined ? undefined : { sizeBytes: found.size, changedAt: found.mtimeMs }
  }

  /** By hard link where the target is on the same file system: blob files never change. */
  async copyTo(storagePath: string, digest: Digest): Promise<'linked' | 'copied' | 'missing'> {
    const from = blobPath(this.#paths, digest)
    const to = blobPath(blobPaths(storagePath), digest)
    await mkdir(dirname(to), { recursive: true, mode: 0o750 })
    try {
      await link(from, to)
      return 'linked'
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return 'missing'
      if (code !== 'EXDEV' && code !== 'EPERM' && code !== 'EMLINK') throw error
      await copyFile(from, to, constants.COPYFILE_FICLONE)
      return 'copied'
    }
  }

  locate(digest?: Digest): string {
    return digest === undefined ? this.#paths.blobs : blobPath(this.#paths, digest)
  }
}

/** As digests sort. */
const inOrder = (one: string, other: string): number => (one < other ? -1 : 1)

/** The inode tells one file of a name from the next one; what was written to has another time. */
export function objectOf({ ino, size, mtimeMs }: Stats): StoredObject {
  return { sizeBytes: size, version: `${ino}-${size}-${mtimeMs}` }
}

async function wasChangedSince(folder: string, since: number): Promise<boolean> {
  const found = await statFile(folder)
  return found !== undefined && Math.max(found.mtimeMs, found.ctimeMs) >= since
}

async function listFolder(
  folder: string,
  algorithm: string,
  prefix: string,
  after: string,
): Promise<{ digests: Digest[]; foreign: string[] }> {
  const digests: Digest[] = []
  const foreign: string[] = []
  for (const name of (await listFiles(folder)).sort(inOrder)) {
    const parsed = parseDigest(`${algorithm}:${name}`)
    if (!parsed.ok || !name.startsWith(prefix)) foreign.push(join(folder, name))
    else if (parsed.value > after) digests.push(parsed.value)
  }
  return { digests, foreign }
}

/** Names of the plain files in a folder; of a folder that is not there, none. */
async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException): Dirent[] => {
      if (error.code === 'ENOENT') return []
      throw error
    },
  )
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
}

function statFile(path: string): Promise<Stats | undefined> {
  return stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
    throw error
  })
}
