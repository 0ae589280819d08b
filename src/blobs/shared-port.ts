/**
 * @module What a store needs of the other nodes where files of blobs are spread over several: copies of what is
 * pushed, and the bytes of what is not here. A node on its own has none of it (`undefined`). `mesh/blobs/`
 * implements it.
 */
import type { MetadataStore } from '../metadata/port.ts'
import type { BlobRow, TrashRow } from '../metadata/schema.ts'
import type { CommitOutcome, HeldCheck } from '../metadata/transaction.ts'
import type { Algorithm, Digest } from '../registry/digest.ts'
import type { KeyedLock } from '../runtime/keyed-lock.ts'
import type { BlobDriver, Promised } from './driver.ts'
import type { BlobSource } from './port.ts'

/** A file that has arrived, of so many bytes with that digest, and that is no blob yet. */
export interface ArrivedFile {
  readonly digest: Digest
  readonly sizeBytes: number
  /** Under which the writer has it. */
  readonly uploadId: string
  /** Puts it in place, durable when it resolves. Once; the caller holds the digest's lock. */
  seal(): Promise<void>
}

/** An upload whose bytes other nodes get while they come. What they have does not count before `store`. */
export interface Arriving {
  /** So many bytes from the start are in its file, and stay as they are until `stop`. */
  reached(writtenBytes: number): void
  /** What came is taken back, or nothing more comes for now: the others keep nothing of it. */
  stop(): void
}

/** What the rows of a blob have to say of its copies. */
export type Placed =
  /** It has a row, and so its copies: the transaction must fail when the row is gone. */
  'there' | { readonly group: number; readonly held: HeldCheck }

/** What has become of pushed blobs, since the start. */
export interface SharedCounts {
  /** By outcome: `Placement` of `mesh/blobs/push/spread.ts`. */
  readonly placements: ReadonlyMap<string, number>
}

export interface SharedBlobs {
  readonly counts: SharedCounts
  /** While this node has no room: the member that has most, and takes new uploads. Undefined: none, or this one does. */
  readonly roomElsewhere: number | undefined
  /**
   * An upload begins to go to a file. `expected`: its digest, when the client has said that before. Undefined: no
   * other node gets it before it is whole.
   */
  begin(uploadId: string, algorithm: Algorithm, expected: Digest | undefined): Arriving | undefined
  /**
   * Sees to it that enough nodes keep the file, then commits its rows. Resolves when they are. Throws
   * BUSY when too few can, and then the file is where it was; what `commit` throws; the store's own errors.
   */
  store(file: ArrivedFile, commit: (placed: Placed) => Promise<CommitOutcome>): Promise<void>
  /**
   * Has a swept file taken out of the trash wherever it is, then commits its rows. False: no node has it, or the
   * rows have changed.
   */
  restore(
    digest: Digest,
    trashed: TrashRow,
    commit: (held: HeldCheck) => Promise<CommitOutcome>,
  ): Promise<boolean>
  /** What the copy here must be: it may be younger than its row. */
  promised(digest: Digest, row: BlobRow): Promised
  /**
   * The bytes of a blob that has no copy here, from other nodes; a copy stays. Throws BLOB_UNKNOWN when every
   * node says that it has none, BUSY when some do not answer.
   */
  fetch(digest: Digest, row: BlobRow, isWhole: boolean): Promise<BlobSource>
  /** The copy here is not what the row says: it goes, the row stays. False: it is right by now, or there is none. */
  isolate(digest: Digest, reason: string): Promise<boolean>
  /** Ends everything that is under way. */
  close(): Promise<void>
}

/** What it works on. */
export interface SharedStore {
  readonly metadata: MetadataStore
  readonly driver: BlobDriver
  readonly digestLock: KeyedLock
}

/** Makes a store one of several. */
export interface SharedBlobsMaker {
  attach(store: SharedStore): SharedBlobs
}
