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
import { type BlobDriver, hasObject } from './driver.ts'
import { type BlobReader, isDamage, type OpenedBlob } from './port.ts'
import type { Quarantine } from './quarantine.ts'

export interface BlobStoreOptions {
  readonly metadata: MetadataStore
  readonly driver: BlobDriver
  readonly quarantine: Quarantine
}

export class BlobStore implements BlobReader {
  readonly #metadata: MetadataStore
  readonly #driver: BlobDriver
  readonly #reader: BlobDriver['reader']
  readonly #quarantine: Quarantine

  constructor({ metadata, driver, quarantine }: BlobStoreOptions) {
    this.#metadata = metadata
    this.#driver = driver
    this.#reader = driver.reader
    this.#quarantine = quarantine
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
    const opened = this.#reader.open(digest, row, isWhole)
    if (!(opened instanceof Promise)) return opened
    return opened.catch((error: unknown) => this.#failed(digest, row, error))
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
    return this.#reader.read(digest, row).catch(() => undefined)
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
    const { sizeBytes, place, createdAt } = trashed
    if (hasObject(trashed) && !(await this.#driver.bin.restore(digest, sizeBytes))) return undefined
    const checks: Check[] = [
      { check: 'absent', in: 'blobs', key: digest },
      { check: 'unchanged', in: 'trash', key: digest, row: trashed },
    ]
    if (!hasObject(trashed)) checks.push({ check: 'present', in: 'blobBytes', key: digest })
    const row: BlobRow = { sizeBytes, place, createdAt, linkedAt }
    return {
      checks,
      changes: [
        { change: 'put', in: 'blobs', key: digest, row },
        { change: 'delete', in: 'trash', key: digest },
      ],
    }
  }

  /**
   * Removes the bytes of a blob that had this row and has none any more. The caller holds the
   * digest's lock. What the metadata had of it went with the row.
   */
  async remove(digest: Digest, row: BlobRow): Promise<void> {
    if (!hasObject(row)) return
    this.#reader.forget(digest)
    await this.#driver.bin.remove(digest)
  }
}

/** The row of a blob that arrives: its bytes are `inlineBytes`, or with the driver by now. */
export function arrivedRow(
  sizeBytes: number,
  inlineBytes: Uint8Array | undefined,
  at: Timestamp,
): BlobRow {
  const place = inlineBytes === undefined ? 'file' : 'inline'
  return { sizeBytes, place, createdAt: at, linkedAt: at }
}
