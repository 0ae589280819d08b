/**
 * @module The blobs of the rows: small ones are in the metadata, others with the driver. The one place
 * that decides by the row which of the two it is; above it a blob is its digest and its row.
 */
import type { MetadataStore } from '../metadata/port.ts'
import type { BlobRow, Timestamp, TrashRow } from '../metadata/schema.ts'
import type { Check, Transaction } from '../metadata/transaction.ts'
import type { Digest } from '../registry/digest.ts'
import { storageFault } from '../registry/disk-fault.ts'
import { RegistryError } from '../registry/errors.ts'
import type { KeyedLock } from '../runtime/keyed-lock.ts'
import { type BlobDriver, hasObject } from './driver.ts'
import { type BlobReader, isDamage, isMissing, type OpenedBlob } from './port.ts'
import type { Quarantine } from './quarantine.ts'
import type { SharedBlobs } from './shared-port.ts'

export interface BlobStoreOptions {
  readonly metadata: MetadataStore
  readonly driver: BlobDriver
  readonly quarantine: Quarantine
  /** Undefined: all files are here. */
  readonly shared?: SharedBlobs | undefined
}

export class BlobStore implements BlobReader {
  readonly #metadata: MetadataStore
  readonly #driver: BlobDriver
  readonly #reader: BlobDriver['reader']
  readonly #quarantine: Quarantine
  readonly #shared: SharedBlobs | undefined

  constructor({ metadata, driver, quarantine, shared }: BlobStoreOptions) {
    this.#metadata = metadata
    this.#driver = driver
    this.#reader = driver.reader
    this.#quarantine = quarantine
    this.#shared = shared
  }

  /**
   * See `BlobReader`. The path of every pull: inline bytes that are in memory and objects that were
   * read lately come without a promise.
   */
  open(digest: Digest, row: BlobRow, isWhole = true): OpenedBlob | Promise<OpenedBlob> {
    if (row.place === 'inline') {
      const paging = this.#metadata.pageIn('blobBytes', digest)
      if (paging === undefined) return this.#inlineBytes(digest, row)
      return paging.then(() => this.#inlineBytes(digest, row))
    }
    if (this.#shared !== undefined) return this.#openShared(this.#shared, digest, row, isWhole)
    const opened = this.#reader.open(digest, row, isWhole)
    if (!(opened instanceof Promise)) return opened
    return opened.catch((error: unknown) => this.#failed(digest, row, error))
  }

  /** The copy here, if there is a good one, or the bytes of another node. */
  #openShared(
    shared: SharedBlobs,
    digest: Digest,
    row: BlobRow,
    isWhole: boolean,
  ): OpenedBlob | Promise<OpenedBlob> {
    const opened = this.#reader.open(digest, shared.promised(digest, row), isWhole)
    if (!(opened instanceof Promise)) return opened
    return opened.catch(async (error: unknown) => {
      if (!isDamage(error)) throw storageFault(error)
      const reason = String(error)
      if (!isMissing(error)) await this.#quarantine.isolate(digest, row, reason)
      return shared.fetch(digest, row, isWhole)
    })
  }

  /** A copy: the metadata's view is valid only until its next read. */
  #inlineBytes(digest: Digest, row: BlobRow): Uint8Array {
    const bytes = this.#metadata.getBytes('blobBytes', digest)
    if (bytes === undefined || bytes.byteLength !== row.sizeBytes) {
      throw new RegistryError('UNKNOWN', { cause: new Error(`inline bytes of ${digest} are gone`) })
    }
    return bytes.slice()
  }

  /** A blob whose bytes are not there is one that the registry does not have. */
  async #failed(digest: Digest, row: BlobRow, error: unknown): Promise<never> {
    if (!isDamage(error)) throw storageFault(error)
    await this.#quarantine.isolate(digest, row, String(error))
    throw new RegistryError('BLOB_UNKNOWN', { detail: { digest }, cause: error })
  }

  /** See `BlobReader`. A damaged blob stays in service: this is no pull, and a pull will notice it. */
  async read(digest: Digest, bytesMax: number): Promise<Uint8Array | undefined> {
    const row = this.#metadata.get('blobs', digest)
    if (row === undefined || row.sizeBytes > bytesMax) return undefined
    if (!hasObject(row)) {
      await this.#metadata.pageIn('blobBytes', digest)
      return this.#metadata.getBytes('blobBytes', digest)?.slice()
    }
    return this.#reader.read(digest, row).catch(() => this.#readElsewhere(digest, row))
  }

  async #readElsewhere(digest: Digest, row: BlobRow): Promise<Uint8Array | undefined> {
    if (this.#shared === undefined) return undefined
    try {
      return await readWhole(await this.open(digest, row))
    } catch {
      return undefined
    }
  }

  /**
   * Brings the bytes of a swept blob back, durable when it resolves. Resolves to the transaction that
   * gives the blob its row again: it is used from `linkedAt` on. Undefined when its bytes are gone.
   * The caller holds the digest's lock until that is committed; a crash before leaves an object
   * without a row and its note in the trash, so this is asked for again.
   */
  async restore(
    digest: Digest,
    trashed: TrashRow,
    linkedAt: Timestamp,
  ): Promise<Transaction | undefined> {
    if (hasObject(trashed) && !(await this.#driver.bin.restore(digest, trashed.sizeBytes))) {
      return undefined
    }
    return restored(digest, trashed, linkedAt)
  }

  /**
   * Gives a swept blob its row and its bytes back, which are used from `now` on; false when they are gone. A
   * crash before its commit leaves bytes without a row and their note in the trash: it is asked for again.
   */
  async bringBack(digest: Digest, now: Timestamp, lock: KeyedLock): Promise<boolean> {
    const swept = this.#metadata.get('trash', digest)
    if (this.#shared !== undefined && swept !== undefined && hasObject(swept)) {
      if (this.#metadata.get('blobs', digest) !== undefined) return true
      const { checks, changes } = restored(digest, swept, now)
      const commit = (held: Check) => this.#metadata.commit({ checks: [...checks, held], changes })
      return this.#shared.restore(digest, swept, commit)
    }
    return lock.run(digest, async () => {
      if (this.#metadata.get('blobs', digest) !== undefined) return true
      const trashed = this.#metadata.get('trash', digest)
      if (trashed === undefined) return false
      const restoring = await this.restore(digest, trashed, now)
      return restoring !== undefined && (await this.#metadata.commit(restoring)).applied
    })
  }

  /**
   * Removes the bytes of a blob that had this row and has none any more. The caller holds the
   * digest's lock. What the metadata had of it went with the row.
   */
  async remove(digest: Digest, row: BlobRow): Promise<void> {
    // Where there are several nodes the file of each follows the row.
    if (!hasObject(row) || this.#shared !== undefined) return
    this.#reader.forget(digest)
    await this.#driver.bin.remove(digest)
  }
}

function restored(digest: Digest, trashed: TrashRow, linkedAt: Timestamp): Transaction {
  const { sizeBytes, place, createdAt, group } = trashed
  const checks: Check[] = [
    { check: 'absent', in: 'blobs', key: digest },
    { check: 'unchanged', in: 'trash', key: digest, row: trashed },
  ]
  if (!hasObject(trashed)) checks.push({ check: 'present', in: 'blobBytes', key: digest })
  const plain = { sizeBytes, place, createdAt, linkedAt }
  const row: BlobRow = group === undefined ? plain : { ...plain, group }
  return {
    checks,
    changes: [
      { change: 'put', in: 'blobs', key: digest, row },
      { change: 'delete', in: 'trash', key: digest },
    ],
  }
}

/** The row of a blob that arrives: its bytes are `inlineBytes`, or with the driver by now. */
export function arrivedRow(
  sizeBytes: number,
  inlineBytes: Uint8Array | undefined,
  at: Timestamp,
  group?: number,
): BlobRow {
  const place = inlineBytes === undefined ? 'file' : 'inline'
  const row = { sizeBytes, place, createdAt: at, linkedAt: at } as const
  return group === undefined ? row : { ...row, group }
}

/** All bytes of a small blob. */
async function readWhole(opened: OpenedBlob): Promise<Uint8Array> {
  if (opened instanceof Uint8Array) return opened
  const bytes = new Uint8Array(opened.sizeBytes)
  try {
    for (let done = 0; done < bytes.byteLength; ) {
      const ready = opened.ready(done, bytes.byteLength - done)
      if (typeof ready !== 'number') {
        await ready
        continue
      }
      opened.use(done, ready, (piece) => bytes.set(piece.subarray(0, ready), done))
      done += ready
    }
    return bytes
  } finally {
    opened.close()
  }
}
