/**
 * @module The files of swept and purged blobs, moved and removed inside the worker, many at once. The
 * main thread holds their locks meanwhile.
 */
import { dirname } from 'node:path'
import type { Digest } from '../../registry/digest.ts'
import { disk } from '../../runtime/disk.ts'
import { type BlobPaths, blobPath, trashPath } from './layout.ts'

export type FileWork =
  | { readonly to: 'trash'; readonly digests: readonly Digest[] }
  /** `inPlace`: their file may still lie where blobs are, and is nobody else's. */
  | { readonly to: 'nowhere'; readonly digests: readonly Digest[]; readonly inPlace: boolean }

/** Calls to the disk at once. */
const callsAtOnce = 32

export class FileWorker {
  readonly #paths: BlobPaths
  readonly #folders = new Set<string>()

  constructor(paths: BlobPaths) {
    this.#paths = paths
  }

  /** Does what it can; the digests whose files stay where they were, with the first error. */
  async run(work: FileWork): Promise<{ failed: Digest[]; error: unknown }> {
    const failed: Digest[] = []
    let error: unknown
    for (let from = 0; from < work.digests.length; from += callsAtOnce) {
      const part = work.digests.slice(from, from + callsAtOnce)
      await Promise.all(
        part.map((digest) =>
          this.#one(work, digest).catch((reason: unknown) => {
            failed.push(digest)
            error ??= reason
          }),
        ),
      )
    }
    return { failed, error }
  }

  async #one(work: FileWork, digest: Digest): Promise<void> {
    const target = trashPath(this.#paths, digest)
    if (work.to === 'nowhere') {
      await disk.unlink(target)
      if (work.inPlace) await disk.unlink(blobPath(this.#paths, digest))
      return
    }
    const folder = dirname(target)
    if (!this.#folders.has(folder)) {
      await disk.makeFolder(folder)
      this.#folders.add(folder)
    }
    await disk.rename(blobPath(this.#paths, digest), target)
  }
}
