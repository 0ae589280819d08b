/**
 * @module Blobs whose bytes are not what their row promises: taken out of service, so that a pull
 * answers 404 and a client may push them again. Never wrong bytes, never a clean answer cut short.
 */
import { dropBlob } from '../metadata/edits.ts'
import type { MetadataStore } from '../metadata/port.ts'
import type { BlobRow } from '../metadata/schema.ts'
import type { Digest } from '../registry/digest.ts'
import type { KeyedLock } from '../runtime/keyed-lock.ts'
import { type BlobBin, hasObject } from './driver.ts'

export interface QuarantineOptions {
  readonly bin: BlobBin
  readonly metadata: MetadataStore
  readonly digestLock: KeyedLock
  /** Drops what is cached of the blob's bytes. */
  readonly forget: (digest: Digest) => void
  /** Takes the copy here out of service, where other nodes have more of them; undefined: it is the only one. */
  readonly isolateCopy?: ((digest: Digest, reason: string) => Promise<boolean>) | undefined
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
   * Removes the row that made the promise (if it is still that one) and takes the object, if there is
   * one, out of service. Links stay: the next push of the blob repairs every repository.
   */
  isolate(digest: Digest, row: BlobRow, reason: string): Promise<void> {
    const { bin, metadata, digestLock, forget, isolateCopy, onQuarantined } = this.#options
    if (isolateCopy !== undefined && hasObject(row)) {
      return isolateCopy(digest, reason).then((isIsolated) => {
        if (isIsolated) this.#count += 1
      })
    }
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
      await bin.quarantine(digest)
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
