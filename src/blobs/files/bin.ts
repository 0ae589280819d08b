/**
 * @module Blob files on their way out and back: moved to `trash/`, restored, removed, many at once. In any
 * thread; the main thread holds the locks of their digests meanwhile.
 */
import { mkdir, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Digest } from '../../registry/digest.ts'
import { disk } from '../../runtime/disk.ts'
import type { BinFailures, BlobBin, StoredObject } from '../driver.ts'
import { objectOf } from './inventory.ts'
import { type BlobPaths, blobPath, quarantinePath, trashPath } from './layout.ts'

/** Calls to the disk at once. */
const callsAtOnce = 32

export class FileBin implements BlobBin {
  readonly #paths: BlobPaths
  readonly #folders = new Set<string>()

  constructor(paths: BlobPaths) {
    this.#paths = paths
  }

  trash(digests: readonly Digest[]): Promise<BinFailures> {
    return eachOf(digests, async (digest) => {
      const target = trashPath(this.#paths, digest)
      const folder = dirname(target)
      if (!this.#folders.has(folder)) {
        await disk.makeFolder(folder)
        this.#folders.add(folder)
      }
      await disk.rename(blobPath(this.#paths, digest), target)
    })
  }

  /** The file may never have left its place: a crash came between its row and the move. */
  async restore(digest: Digest, sizeBytes: number): Promise<boolean> {
    const [from, to] = [trashPath(this.#paths, digest), blobPath(this.#paths, digest)]
    const inTrash = await stat(from).catch(() => undefined)
    if (inTrash?.size === sizeBytes) {
      await disk.makeFolder(dirname(to))
      await disk.rename(from, to)
      await disk.flushFolder(dirname(to))
      return true
    }
    return (await stat(to).catch(() => undefined))?.size === sizeBytes
  }

  purge(
    digests: readonly Digest[],
    { inPlace }: { readonly inPlace: boolean },
  ): Promise<BinFailures> {
    return eachOf(digests, async (digest) => {
      await disk.unlink(trashPath(this.#paths, digest))
      if (inPlace) await disk.unlink(blobPath(this.#paths, digest))
    })
  }

  async confirm(digest: Digest): Promise<StoredObject | undefined> {
    const path = blobPath(this.#paths, digest)
    const file = await disk.open(path, 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
      return undefined
    })
    if (file === undefined) return undefined
    try {
      await disk.flush(file)
      await disk.flushFolder(dirname(path))
      return objectOf(await file.stat())
    } finally {
      await file.close()
    }
  }

  async remove(digest: Digest): Promise<void> {
    await disk.unlink(blobPath(this.#paths, digest))
  }

  async quarantine(digest: Digest): Promise<void> {
    const target = quarantinePath(this.#paths, digest)
    await mkdir(dirname(target), { recursive: true })
    await rename(blobPath(this.#paths, digest), target).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
  }
}

/** Does what it can; the digests for which it failed, with the first error. */
async function eachOf(
  digests: readonly Digest[],
  act: (digest: Digest) => Promise<void>,
): Promise<BinFailures> {
  const failed: Digest[] = []
  let error: unknown
  for (let from = 0; from < digests.length; from += callsAtOnce) {
    const part = digests.slice(from, from + callsAtOnce)
    await Promise.all(
      part.map((digest) =>
        act(digest).catch((reason: unknown) => {
          failed.push(digest)
          error ??= reason
        }),
      ),
    )
  }
  return { failed, error }
}
