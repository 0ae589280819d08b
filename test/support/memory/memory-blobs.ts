/**
 * @module Blobs in memory: the twin of blob writer and blob reader for unit tests. Knows the same
 * moves (adopt, mark, rollback, commit, park, discard) and can be told to fail.
 */

import type { PendingBlob } from '../../../src/blobs/port.ts'
import {
  type BlobReader,
  type BlobSource,
  type BlobWriter,
  damagedCode,
} from '../../../src/blobs/port.ts'
import type { BlobRow } from '../../../src/metadata/schema.ts'
import { type Algorithm, algorithmOf, type Digest } from '../../../src/registry/digest.ts'
import { RegistryError } from '../../../src/registry/errors.ts'
import { digestOf } from '../../../src/registry/hasher.ts'

export class MemoryBlobs implements BlobReader, BlobWriter {
  /** Bytes of open uploads, as the files below `uploads/` hold them. */
  readonly uploads = new Map<string, Uint8Array>()
  readonly blobs = new Map<Digest, Uint8Array>()
  /** Uploads that somebody works on: adopted and neither parked nor discarded. */
  adoptedCount = 0
  isOverBudget = false
  /** Thrown by everything that waits for the disk while it is set. */
  failure: Error | undefined

  adopt(uploadId: string, _algorithm: Algorithm, offsetBytes: number): PendingBlob {
    const kept = this.uploads.get(uploadId) ?? new Uint8Array(0)
    if (kept.byteLength < offsetBytes) throw new Error('upload file is too short')
    this.uploads.set(uploadId, kept.slice(0, offsetBytes))
    this.adoptedCount += 1
    return new MemoryUpload(this, uploadId)
  }

  async discardFile(uploadId: string): Promise<void> {
    this.uploads.delete(uploadId)
  }

  async open(digest: Digest, row: BlobRow): Promise<BlobSource> {
    const bytes = this.blobs.get(digest)
    if (bytes?.byteLength !== row.sizeBytes) {
      throw Object.assign(new Error('blob is not what its row says'), { code: damagedCode })
    }
    return {
      sizeBytes: bytes.byteLength,
      ready: (offset, length) => Math.min(length, bytes.byteLength - offset),
      use: (offset, length, callback) => callback(bytes.subarray(offset, offset + length)),
      close: () => {},
    }
  }

  async wait(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    if (this.failure !== undefined) throw this.failure
  }
}

class MemoryUpload implements PendingBlob {
  readonly #blobs: MemoryBlobs
  readonly #id: string
  #markedBytes = 0
  #isGone = false

  constructor(blobs: MemoryBlobs, id: string) {
    this.#blobs = blobs
    this.#id = id
  }

  get #bytes(): Uint8Array {
    if (this.#isGone) throw new Error('upload was let go')
    return this.#blobs.uploads.get(this.#id)!
  }

  get offsetBytes(): number {
    return this.#bytes.byteLength
  }

  append(bytes: Uint8Array): void {
    this.#blobs.uploads.set(this.#id, Buffer.concat([this.#bytes, bytes]))
  }

  give(bytes: Uint8Array): void {
    this.append(bytes)
  }

  mustPause(): boolean {
    return false
  }

  settle(): Promise<void> {
    return this.#blobs.wait()
  }

  mark(): void {
    this.#markedBytes = this.#bytes.byteLength
  }

  async rollback(): Promise<void> {
    await this.#blobs.wait()
    this.#blobs.uploads.set(this.#id, this.#bytes.slice(0, this.#markedBytes))
  }

  async commit(digest: Digest): Promise<void> {
    await this.#blobs.wait()
    const bytes = this.#bytes
    const received = digestOf(algorithmOf(digest), bytes)
    if (received !== digest) throw new RegistryError('DIGEST_MISMATCH', { detail: { received } })
    this.#blobs.blobs.set(digest, bytes)
    this.#blobs.uploads.delete(this.#id)
    this.park()
  }

  park(): void {
    if (!this.#isGone) this.#blobs.adoptedCount -= 1
    this.#isGone = true
  }

  discard(): void {
    this.park()
    this.#blobs.uploads.delete(this.#id)
  }
}
