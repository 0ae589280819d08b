/**
 * @module What a store of bytes implements: objects by digest, without rows and without a place. Files
 * are one driver (`blobs/files/`), a twin in memory another; S3 would be a third. Rows say that there
 * is a blob, the driver says where its bytes are.
 *
 * The main thread holds the lock of a digest around everything that changes its object, and sees to
 * it that no row counts on an object that is moved or removed. A driver is told nothing of rows.
 *
 * Reads and writes are the main thread's. Bin and inventory open in any thread from plain data: the
 * collection moves many objects in its own thread, the walks of reconciliation and scrub read there.
 */
import type { BlobRow } from '../metadata/schema.ts'
import type { Digest } from '../registry/digest.ts'
import type { BlobSource, BlobWriter, GrowingBlobs } from './port.ts'

/** What the driver keeps of a blob: all of its bytes under its digest, until they are removed. */
export interface StoredObject {
  readonly sizeBytes: number
  /** Tells this object from the next one of the same digest, such as a tag of S3. */
  readonly version: string
}

/** What a row promises of an object; a row fits as it is, so that a read makes nothing new. */
export type Promised = Pick<BlobRow, 'sizeBytes' | 'createdAt'>

/** Whether the driver keeps the bytes of a blob with this row; else the metadata has them. */
export function hasObject({ place }: Pick<BlobRow, 'place'>): boolean {
  return place === 'file'
}

export interface BlobDriver {
  readonly reader: DriverReader
  readonly writer: DriverWriter
  /** Those of the main thread. */
  readonly bin: BlobBin
  readonly inventory: BlobInventory
  /** Opens bin and inventory in another thread: see `openBin`, `openInventory`. */
  readonly setup: DriverSetup
  /** Rejects when bytes cannot be written, as far as that is known without writing. For `/health`. */
  probe(): Promise<void>
  /** Releases what was opened. Everything that was begun has ended before. */
  close(): Promise<void>
}

export interface DriverReader {
  /**
   * Opens an object. Immediately when that takes no wait, which is the path of most pulls: nothing
   * may be added to it. Rejects with an error for which `isDamage` holds when the object is missing,
   * or is not what was promised as far as that can be seen; other errors are the store's.
   * `isWhole: false` says that a part will be read, so that nothing needs to be fetched ahead.
   */
  open(digest: Digest, promised: Promised, isWhole?: boolean): BlobSource | Promise<BlobSource>
  /**
   * A small object whole, in a buffer of its own. It waits for no reader: a push must not stand behind
   * slow pulls. Rejects as `open` does.
   */
  read(digest: Digest, promised: Promised): Promise<Uint8Array>
  /** Whether a pull of the object is under way, as far as that is known. */
  isRead(digest: Digest): boolean
  /** Forgets what is cached of an object that was replaced or removed; who has it open keeps it. */
  forget(digest: Digest): void
  /** Bytes of address space that are mapped now: for the metric. */
  readonly mappedBytes: number
  /** How it reads, in a word: for the admin API. */
  readonly kind: string
  /** Why it reads in a slower way than it could; undefined: it does not. */
  readonly slowBecause: string | undefined
}

export type DriverWriter = BlobWriter & GrowingBlobs

/** Plain data that can be sent to any thread. */
export interface DriverSetup {
  /** The module that opens bin and inventory there (`DriverModule`), as a URL that a worker can load. */
  readonly module: string
  /** Where the bytes are: a folder, a URL. */
  readonly at: string
}

/** What did not happen, with the first reason. */
export interface BinFailures {
  readonly failed: readonly Digest[]
  readonly error: unknown
}

/**
 * Objects on their way out and back. Every call may be repeated, because a crash may come after any
 * part of it: what is gone already is no failure of a removal.
 */
export interface BlobBin {
  /** Takes objects out of service and keeps them for `restore`. Fails for what is not in service. */
  trash(digests: readonly Digest[]): Promise<BinFailures>
  /**
   * Puts a trashed object of this size back; also true when it never left its place. False when
   * there is none. Durable when it resolves.
   */
  restore(digest: Digest, sizeBytes: number): Promise<boolean>
  /**
   * Removes trashed objects for good. `inPlace`: also one that is still in service, as no row counts
   * on it and its way to the trash may have failed.
   */
  purge(digests: readonly Digest[], options: { readonly inPlace: boolean }): Promise<BinFailures>
  /** The object that is in service, with its name durable when this resolves; undefined: there is none. */
  confirm(digest: Digest): Promise<StoredObject | undefined>
  /** Removes the object that is in service, for good; one in the trash stays. */
  remove(digest: Digest): Promise<void>
  /** Takes an object out of service that is not its digest; it waits for the operator. */
  quarantine(digest: Digest): Promise<void>
}

export interface CheckOptions {
  /**
   * Makes the object and its name durable: a crash may have come before the writer did, and a row
   * that is made for it must not outlive it.
   */
  readonly settles?: boolean
  /** Called after each part that was read, bytes. The check waits for it, and ends on false. */
  readonly onRead?: (bytes: number) => boolean | Promise<boolean>
}

export type Checked =
  | { readonly is: 'missing' }
  | { readonly is: 'stopped' }
  | {
      readonly is: 'genuine' | 'damaged'
      readonly object: StoredObject
      /** The digest of what is there, and how many bytes that is. */
      readonly actual: Digest
      readonly readBytes: number
    }

/** Part of a list: what is stored among the digests from `start` on (included) to `end` (excluded). */
export interface ObjectRange {
  readonly start: string
  readonly end: string
  /** In order; undefined where nothing can have changed since the time that was asked for. */
  readonly digests: readonly Digest[] | undefined
  /** Names that no object of ours can have; they are left alone. For logs. */
  readonly foreign: readonly string[]
}

/** An upload that is under way or was interrupted. */
export interface StoredUpload {
  readonly sizeBytes: number
  /** When it was last written to, ms since the epoch. */
  readonly changedAt: number
}

export interface BlobInventory {
  stat(digest: Digest): Promise<StoredObject | undefined>
  /** Reads the whole object and compares it with its digest. Rejects with what the store reports. */
  check(digest: Digest, options?: CheckOptions): Promise<Checked>
  /**
   * What is stored, range by range in the order of digests: any digest is in exactly one range.
   * `after`: only digests behind this one. `changedSince` (ms since the epoch): a driver that knows
   * where nothing changed since does not list that. The list may lag behind by some minutes, in both
   * directions: the caller looks at an object before it acts on the list.
   */
  list(from?: ListFrom): AsyncIterable<ObjectRange>
  /** Objects in the trash, in no order. */
  listTrash(): AsyncIterable<Digest>
  /** Whether there is no object at all. */
  isEmpty(): Promise<boolean>
  /** Uploads that have bytes, in no order. */
  listUploads(): AsyncIterable<StoredUpload & { readonly id: string }>
  statUpload(id: string): Promise<StoredUpload | undefined>
  /**
   * Puts the object into a folder, as a store in files keeps it there; the folder is a backup, or a
   * store that is made of one. Linked where that needs no copy.
   */
  copyTo(storagePath: string, digest: Digest): Promise<'linked' | 'copied' | 'missing'>
  /** Where an operator finds objects, or this one. For logs. */
  locate(digest?: Digest): string
}

export interface ListFrom {
  readonly after?: string | undefined
  readonly changedSince?: number | undefined
}

/** What the module of a driver exports for other threads. */
export interface DriverModule {
  openBin(setup: DriverSetup): BlobBin
  openInventory(setup: DriverSetup): BlobInventory
}

/** In any thread. The driver's module is loaded here, so that no thread loads more than its own. */
export async function openBin(setup: DriverSetup): Promise<BlobBin> {
  return (await load(setup)).openBin(setup)
}

/** In any thread. */
export async function openInventory(setup: DriverSetup): Promise<BlobInventory> {
  return (await load(setup)).openInventory(setup)
}

function load({ module }: DriverSetup): Promise<DriverModule> {
  return import(module) as Promise<DriverModule>
}
