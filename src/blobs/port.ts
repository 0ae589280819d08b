/**
 * @module What the use cases need of a store of bytes, as ports: blobs to read, to write, to read while
 * they arrive. `blobs/store.ts` implements reads for every driver; what a driver implements is in
 * `blobs/driver.ts`.
 */
import type { BlobRow } from '../metadata/schema.ts'
import type { Algorithm, Digest } from '../registry/digest.ts'
import type { LentEnd, LentSocket } from '../runtime/lent-socket.ts'

/** Bytes that can be served in windows; the HTTP engine's `ByteSource` without knowing it. */
export interface BlobSource {
  readonly sizeBytes: number
  ready(offset: number, length: number): number | Promise<void>
  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R
  /** What `use` hands out stays as it is until `close`. */
  readonly lasts?: boolean
  close(): void
  /** Bytes that were brought into memory for it so far; absent where nothing is. */
  readonly fetchedBytes?: number
}

/** `code` of the error with which bytes are refused that are not what their row says. */
const damagedCode = 'EDAMAGED'

/** What says that a file is not what its row promises. */
export function damage(message: string): Error {
  return Object.assign(new Error(message), { code: damagedCode })
}

/** Whether a failed `open` means that the bytes are not there, rather than that they are slow. */
export function isDamage(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code
  return code === damagedCode || code === 'ENOENT'
}

/** Whether it means that there is no file at all. */
export function isMissing(error: unknown): boolean {
  return (error as { code?: unknown } | undefined)?.code === 'ENOENT'
}

export interface BlobReader {
  /**
   * The bytes of a blob: a copy of all of them when they are few, else a source to read windows from.
   * Immediately when they are known to be in memory. A blob that is not what its row says is taken
   * out of service; then this rejects with BLOB_UNKNOWN. Other errors are those of a storage fault.
   * `isWhole: false` says that a part will be read, so that nothing needs to be fetched ahead.
   */
  open(digest: Digest, row: BlobRow, isWhole?: boolean): OpenedBlob | Promise<OpenedBlob>
  /** A copy of a small blob; undefined when it is larger than `bytesMax`, or cannot be read. */
  read(digest: Digest, bytesMax: number): Promise<Uint8Array | undefined>
}

export type OpenedBlob = Uint8Array | BlobSource

/** Bytes of one upload on their way to a file, owned by a worker. One caller at a time. */
export interface PendingBlob {
  /** Bytes appended so far, settled or not. */
  readonly offsetBytes: number
  /**
   * Hands the bytes on without a copy: they have their buffer for themselves, and the caller does not
   * look at them again. Otherwise as `append`.
   */
  give(bytes: Uint8Array<ArrayBuffer>): void
  /** Copies the bytes and hands them on. Never waits: look at `mustPause` afterwards. */
  append(bytes: Uint8Array): void
  /**
   * Reads the rest of a body from its socket, behind all that was appended; absent where a driver cannot.
   * Nothing else is asked of the blob before it resolves, to how many bytes came and how it ended. Rejects
   * when the thread that reads has died.
   */
  readonly receive?: (socket: LentSocket) => Promise<Received>
  /**
   * Calls back with how many bytes from the start are in the file, whenever there are more, for one who reads it
   * meanwhile. One listener; absent where a driver cannot.
   */
  readonly follow?: (onWritten: (writtenBytes: number) => void) => void
  /** Whether the socket should be paused, and (once) what to call when it may go on. */
  mustPause(onDrained: () => void): boolean
  /** Resolves when all that was appended has reached the operating system. */
  settle(): Promise<void>
  /** Remembers this point; `rollback` returns to it, in the file and in the hash. */
  mark(): void
  rollback(): Promise<void>
  /**
   * Compares the digest, flushes the file, moves it into place and flushes the folder. The blob's
   * bytes are durable when it resolves; its row is the caller's. Throws DIGEST_INVALID when the
   * bytes are others (the file stays as it is).
   */
  commit(digest: Digest): Promise<void>
  /** Throws DIGEST_INVALID when what has arrived has another digest. Does not wait for the file. */
  verify(digest: Digest): Promise<void>
  /** Lets go of file and hash, keeps the bytes for a later `resume`. */
  park(): void
  /** Removes the bytes. */
  discard(): void
}

export interface Received {
  readonly bytes: number
  readonly end: LentEnd
}

/** A pending blob that is read while it grows. */
export interface GrowingBlob extends PendingBlob {
  /** Bytes from the start that have reached the operating system: the file has them. */
  readonly writtenBytes: number
  /**
   * Bytes from `offset` on that are still in memory on their way to the file; undefined where there
   * are none. Good until the next turn of the event loop.
   */
  heldAt(offset: number): Uint8Array | undefined
  /**
   * Calls back whenever `writtenBytes` has grown, and with `isBroken` when it never will again.
   * One listener.
   */
  onWritten(listener: (isBroken: boolean) => void): void
}

/** A file that several read at once; closed, it goes with its last reader. */
export interface OpenFile {
  lend(): BlobSource | Promise<BlobSource>
  close(): void
}

export interface GrowingBlobs {
  /**
   * Starts a blob of `sizeBytes` (undefined: not known) from `offsetBytes` bytes of an earlier
   * attempt. Throws UNAVAILABLE when no worker is free.
   */
  grow(
    uploadId: string,
    algorithm: Algorithm,
    offsetBytes: number,
    sizeBytes: number | undefined,
  ): GrowingBlob
  /** Opens the file of a growing blob of known size; bytes beyond `writtenBytes` are not its own. */
  openGrowing(uploadId: string, sizeBytes: number): Promise<OpenFile>
}

/** How much the store of bytes can still take. */
export interface Room {
  /** Bytes that may still be written; infinite where nothing is known of a bound. */
  readonly freeBytes: number
  /** Bytes that it has at all; undefined: that is not known. */
  readonly totalBytes?: number | undefined
  /** Bytes below which pushes are refused. */
  readonly reserveBytes: number
  /** Whether pushes are taken. */
  readonly hasRoom: boolean
  /** Throws DISK_LOW when pushes are refused. */
  require(): void
}

export interface BlobWriter {
  readonly room: Room
  /** Takes up a new or an interrupted upload: cuts the file at `offsetBytes` and hashes it anew. */
  adopt(uploadId: string, algorithm: Algorithm, offsetBytes: number): PendingBlob
  /** Whether sockets of all uploads should be paused: the bound on bytes in flight is reached. */
  readonly isOverBudget: boolean
  /** Removes the file of an upload that no worker owns. */
  discardFile(uploadId: string): Promise<void>
  /** Opens the file of an upload that is written meanwhile; absent where a driver cannot. */
  readonly openTail?: (uploadId: string) => Promise<UploadTail>
}

/** The file of an upload, for one who reads behind its writer; it may get another name meanwhile. */
export interface UploadTail {
  /** Reads up to `into.length` bytes at `offset`; returns how many, 0 at the end. */
  read(into: Uint8Array, offset: number): Promise<number>
  close(): void
}
