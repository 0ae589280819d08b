/**
 * @module Blobs in memory: the twin of the blob driver for unit tests, all of its parts in one. Knows
 * the same moves (adopt, mark, rollback, commit, park, discard) and can be told to fail.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type {
  BinFailures,
  BlobBin,
  BlobDriver,
  BlobInventory,
  Checked,
  CheckOptions,
  DriverReader,
  DriverWriter,
  ListFrom,
  ObjectRange,
  Promised,
  StoredObject,
  StoredUpload,
} from '../../../src/blobs/driver.ts'
import { blobPath, blobPaths } from '../../../src/blobs/files/layout.ts'
import {
  type BlobSource,
  damage,
  type GrowingBlob,
  type OpenFile,
  type Room,
} from '../../../src/blobs/port.ts'
import {
  type Algorithm,
  algorithmOf,
  type Digest,
  parseDigest,
} from '../../../src/registry/digest.ts'
import { RegistryError } from '../../../src/registry/errors.ts'
import { digestOf } from '../../../src/registry/hasher.ts'
import { inByteOrder } from '../registry-client.ts'

export class MemoryBlobs implements DriverReader, DriverWriter, BlobBin, BlobInventory {
  readonly kind = 'memory'
  readonly slowBecause = undefined
  readonly mappedBytes = 0
  /** Bytes of open uploads, as the files below `uploads/` hold them. */
  readonly uploads = new Map<string, Uint8Array>()
  readonly blobs = new Map<Digest, Uint8Array>()
  /** Uploads that became blobs, for those who read them meanwhile. */
  readonly committed = new Map<string, Uint8Array>()
  readonly trashed = new Map<Digest, Uint8Array>()
  readonly quarantined = new Map<Digest, Uint8Array>()
  /** Uploads that somebody works on: adopted and neither parked nor discarded. */
  adoptedCount = 0
  isOverBudget = false
  isFull = false
  /** Thrown by everything that waits for the disk while it is set. */
  failure: Error | undefined
  readonly #versions = new WeakMap<Uint8Array, string>()
  #lastVersion = 0

  /** As one driver. No other thread can open it. */
  get driver(): BlobDriver {
    return {
      reader: this,
      writer: this,
      bin: this,
      inventory: this,
      setup: { module: 'memory:', at: '' },
      probe: () => this.wait(),
      close: async () => undefined,
    }
  }

  get room(): Room {
    const hasRoom = !this.isFull
    return {
      freeBytes: hasRoom ? Number.POSITIVE_INFINITY : 0,
      reserveBytes: 0,
      hasRoom,
      require: () => {
        if (!hasRoom) throw new RegistryError('DISK_LOW')
      },
    }
  }

  adopt(uploadId: string, _algorithm: Algorithm, offsetBytes: number): GrowingBlob {
    const kept = this.uploads.get(uploadId) ?? new Uint8Array(0)
    if (kept.byteLength < offsetBytes) {
      throw new RegistryError('UNKNOWN', { cause: damage('upload file is too short') })
    }
    this.uploads.set(uploadId, kept.slice(0, offsetBytes))
    this.adoptedCount += 1
    return new MemoryUpload(this, uploadId)
  }

  grow(uploadId: string, algorithm: Algorithm, offsetBytes: number): GrowingBlob {
    return this.adopt(uploadId, algorithm, offsetBytes)
  }

  async openGrowing(uploadId: string, sizeBytes: number): Promise<OpenFile> {
    // It may become a blob meanwhile.
    const bytes = () => this.uploads.get(uploadId) ?? this.committed.get(uploadId)!
    return { lend: () => sourceOf(bytes, sizeBytes), close: () => undefined }
  }

  async discardFile(uploadId: string): Promise<void> {
    this.uploads.delete(uploadId)
  }

  async open(digest: Digest, { sizeBytes }: Promised): Promise<BlobSource> {
    const bytes = this.blobs.get(digest)
    if (bytes?.byteLength !== sizeBytes) {
      throw damage('blob is not what its row says')
    }
    return sourceOf(() => bytes, sizeBytes)
  }

  async read(digest: Digest, { sizeBytes }: Promised): Promise<Uint8Array> {
    const bytes = this.blobs.get(digest)
    if (bytes?.byteLength !== sizeBytes) throw damage('blob is not what its row says')
    return new Uint8Array(bytes)
  }

  isRead(): boolean {
    return false
  }

  forget(): void {}

  async trash(digests: readonly Digest[]): Promise<BinFailures> {
    return this.#each(digests, (digest) => {
      if (!move(digest, this.blobs, this.trashed)) throw new Error('not in service')
    })
  }

  async restore(digest: Digest, sizeBytes: number): Promise<boolean> {
    await this.wait()
    if (this.trashed.get(digest)?.byteLength === sizeBytes) {
      return move(digest, this.trashed, this.blobs)
    }
    return this.blobs.get(digest)?.byteLength === sizeBytes
  }

  async purge(
    digests: readonly Digest[],
    { inPlace }: { readonly inPlace: boolean },
  ): Promise<BinFailures> {
    return this.#each(digests, (digest) => {
      this.trashed.delete(digest)
      if (inPlace) this.blobs.delete(digest)
    })
  }

  confirm(digest: Digest): Promise<StoredObject | undefined> {
    return this.stat(digest)
  }

  async remove(digest: Digest): Promise<void> {
    await this.wait()
    this.blobs.delete(digest)
  }

  async quarantine(digest: Digest): Promise<void> {
    await this.wait()
    move(digest, this.blobs, this.quarantined)
  }

  async #each(digests: readonly Digest[], act: (digest: Digest) => void): Promise<BinFailures> {
    const failed: Digest[] = []
    let error: unknown
    for (const digest of digests) {
      try {
        await this.wait()
        act(digest)
      } catch (reason) {
        failed.push(digest)
        error ??= reason
      }
    }
    return { failed, error }
  }

  async stat(digest: Digest): Promise<StoredObject | undefined> {
    await this.wait()
    const bytes = this.blobs.get(digest)
    if (bytes === undefined) return undefined
    let version = this.#versions.get(bytes)
    if (version === undefined) {
      this.#lastVersion += 1
      version = String(this.#lastVersion)
      this.#versions.set(bytes, version)
    }
    return { sizeBytes: bytes.byteLength, version }
  }

  async check(digest: Digest, { onRead }: CheckOptions = {}): Promise<Checked> {
    const object = await this.stat(digest)
    const bytes = this.blobs.get(digest)
    if (object === undefined || bytes === undefined) return { is: 'missing' }
    if (onRead !== undefined && !(await onRead(bytes.byteLength))) return { is: 'stopped' }
    const actual = digestOf(algorithmOf(digest), bytes)
    const is = actual === digest ? 'genuine' : 'damaged'
    return { is, object, actual, readBytes: bytes.byteLength }
  }

  /** One range for all of them. */
  async *list({ after = '' }: ListFrom = {}): AsyncGenerator<ObjectRange> {
    await this.wait()
    const names = [...this.blobs.keys()].filter((name) => name > after).sort(inByteOrder)
    yield {
      start: after,
      end: '\u{10ffff}',
      digests: names.filter((name) => parseDigest(name).ok),
      foreign: names.filter((name) => !parseDigest(name).ok),
    }
  }

  async *listTrash(): AsyncGenerator<Digest> {
    await this.wait()
    yield* [...this.trashed.keys()]
  }

  async isEmpty(): Promise<boolean> {
    return this.blobs.size === 0
  }

  async *listUploads(): AsyncGenerator<StoredUpload & { readonly id: string }> {
    for (const id of this.uploads.keys()) yield { id, ...(await this.statUpload(id))! }
  }

  async statUpload(id: string): Promise<StoredUpload | undefined> {
    const bytes = this.uploads.get(id)
    return bytes === undefined ? undefined : { sizeBytes: bytes.byteLength, changedAt: Date.now() }
  }

  async copyTo(storagePath: string, digest: Digest): Promise<'copied' | 'missing'> {
    const bytes = this.blobs.get(digest)
    if (bytes === undefined) return 'missing'
    const path = blobPath(blobPaths(storagePath), digest)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, bytes)
    return 'copied'
  }

  locate(digest = ''): string {
    return `memory ${digest}`
  }

  async wait(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    if (this.failure !== undefined) throw this.failure
  }
}

/** Whether there was something to move. */
function move(digest: Digest, from: Map<Digest, Uint8Array>, to: Map<Digest, Uint8Array>): boolean {
  const bytes = from.get(digest)
  if (bytes === undefined) return false
  to.set(digest, bytes)
  return from.delete(digest)
}

function sourceOf(bytes: () => Uint8Array, sizeBytes: number): BlobSource {
  return {
    sizeBytes,
    ready: (offset, length) => Math.min(length, bytes().byteLength - offset),
    use: (offset, length, callback) => callback(bytes().subarray(offset, offset + length)),
    close: () => {},
  }
}

class MemoryUpload implements GrowingBlob {
  readonly #blobs: MemoryBlobs
  readonly #id: string
  #markedBytes = 0
  #isGone = false
  #onWritten: ((isBroken: boolean) => void) | undefined

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

  /** Everything is where it belongs as soon as it is there. */
  get writtenBytes(): number {
    return this.#bytes.byteLength
  }

  heldAt(): undefined {
    return undefined
  }

  onWritten(listener: (isBroken: boolean) => void): void {
    this.#onWritten = listener
  }

  append(bytes: Uint8Array): void {
    this.#blobs.uploads.set(this.#id, Buffer.concat([this.#bytes, bytes]))
    setImmediate(() => {
      if (!this.#isGone) this.#onWritten?.(false)
    })
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

  async verify(digest: Digest): Promise<void> {
    await this.#blobs.wait()
    const received = digestOf(algorithmOf(digest), this.#bytes)
    if (received !== digest) throw new RegistryError('DIGEST_MISMATCH', { detail: { received } })
  }

  async commit(digest: Digest): Promise<void> {
    await this.verify(digest)
    this.#blobs.blobs.set(digest, this.#bytes)
    this.#blobs.committed.set(this.#id, this.#bytes)
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
