/**
 * @module Blobs whose bytes are not what their row promises: taken out of service, so that a pull
 * answers 404 and a client may push them again. Never wrong bytes, never a clean answer cut short.
 */
import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { dropBlob } from '../metadata/edits.ts'
import type { MetadataStore } from '../metadata/port.ts'
import type { BlobRow } from '../metadata/schema.ts'
import type { Digest } from '../registry/digest.ts'
import type { KeyedLock } from '../runtime/keyed-lock.ts'
import { type BlobPaths, blobPath } from './files/layout.ts'

export interface QuarantineOptions {
  readonly paths: BlobPaths
  readonly metadata: MetadataStore
  readonly digestLock: KeyedLock
  /** Drops what is cached of the blob's file. */
  readonly forget: (digest: Digest) => void
  /** Told once a blob, for the log. */
  readonly onQuarantined: (digest: Digest, reason: string) => void
}

export class Quarantine {
  readonly #options: QuarantineOptions
  #count = 0

  constructor(options: QuarantineOptions) {
    this.#options = options
  }

  /** Blobs taken out of service since the start: for the metric. */
  get count(): number {
    return this.#count
  }

  /**
   * Removes the row that made the promise (if it is still that one) and moves the file, if there is
   * one, to `trash/`. Links stay: whoever pushes the blob again mends every repository at once.
   */
  isolate(digest: Digest, row: BlobRow, reason: string): Promise<void> {
    const { paths, metadata, digestLock, forget, onQuarantined } = this.#options
    return digestLock.run(digest, async () => {
      const { applied } = await metadata.commit({
        checks: [{ check: 'unchanged', in: 'blobs', key: digest, row }],
        changes: [...dropBlob(digest)],
      })
      // Somebody touched or pushed it meanwhile; if it is still broken the next reader comes here.
      if (!applied) return
      this.#count += 1
      onQuarantined(digest, reason)
      forget(digest)
      await moveToQuarantine(paths, digest)
    })
  }

  /**
   * Takes a manifest's bytes out of service in every repository: pulls answer 404 until somebody
   * pushes the manifest again.
   */
  async isolateManifest(digest: Digest, reason: string): Promise<void> {
    await this.#options.metadata.commit({
      checks: [{ check: 'present', in: 'manifestBytes', key: digest }],
      changes: [{ change: 'delete', in: 'manifestBytes', key: digest }],
    })
    this.#count += 1
    this.#options.onQuarantined(digest, reason)
  }
}

/**
 * Moves a blob's file, if there is one, to where nobody serves it. The caller holds the digest's
 * lock and has seen to it that no row counts on the file.
 */
export async function moveToQuarantine(paths: BlobPaths, digest: Digest): Promise<void> {
  const folder = join(paths.trash, 'quarantine')
  await mkdir(folder, { recursive: true })
  await rename(blobPath(paths, digest), join(folder, digest.replace(':', '-'))).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    },
  )
}
