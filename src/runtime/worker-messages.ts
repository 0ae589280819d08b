/**
 * @module What crosses the border to worker threads: plain data only, one pair of unions a worker.
 * Buffers travel in transfer lists; the sender forgets them at once.
 */
import type { MessagePort } from 'node:worker_threads'
import type { Algorithm, Digest } from '../registry/digest.ts'

/** Failures cross as data and are rebuilt: `errno` is Node's code (ENOSPC, EIO …) when it has one. */
export interface WorkerFailure {
  readonly errno: string | undefined
  readonly message: string
}

export function toWorkerFailure(error: unknown): WorkerFailure {
  const errno = (error as NodeJS.ErrnoException | undefined)?.code
  const message = error instanceof Error ? error.message : String(error)
  return { errno: typeof errno === 'string' ? errno : undefined, message }
}

/** A failure on this side of the border. `code` is the errno, as Node's own errors have it. */
export class WorkerError extends Error {
  readonly code: string | undefined

  constructor(failure: WorkerFailure) {
    super(failure.message)
    this.name = 'WorkerError'
    this.code = failure.errno
  }
}

/** The long-running task that owns one upload's file, offset and hash: `workers/ingest.ts`. */
export interface IngestSetup {
  readonly port: MessagePort
  readonly path: string
  readonly algorithm: Algorithm
  /** Bytes already in the file that count; what lies beyond is cut off, the prefix is re-hashed. */
  readonly offsetBytes: number
  /** The file is given this length at once, so that it can be mapped while it is filled. */
  readonly sizeBytes?: number
}

export type IngestRequest =
  | { readonly kind: 'chunk'; readonly buffer: ArrayBuffer; readonly length: number }
  /** The sender keeps it and must not change it until it is answered. */
  | { readonly kind: 'shared-chunk'; readonly buffer: SharedArrayBuffer; readonly length: number }
  /** Remembers offset and hash, so that `rollback` can return here. */
  | { readonly kind: 'mark' }
  | { readonly kind: 'rollback'; readonly id: number }
  /** Answered when every chunk before it has reached the operating system. */
  | { readonly kind: 'settle'; readonly id: number }
  /** Compares the digest of everything so far; does not wait until it is written. */
  | { readonly kind: 'verify'; readonly id: number; readonly digest: Digest }
  /** Compare, flush, rename: the blob is at `target`, durable, when this is answered. */
  | {
      readonly kind: 'commit'
      readonly id: number
      readonly digest: Digest
      readonly target: string
      readonly isFlushed: boolean
    }
  /** Ends the task and keeps the file. */
  | { readonly kind: 'park' }
  /** Ends the task and removes the file. */
  | { readonly kind: 'discard' }

export type IngestReply =
  | {
      readonly kind: 'buffer'
      /** Undefined for a shared one. */
      readonly buffer: ArrayBuffer | undefined
      readonly length: number
      /** Bytes from the start of the file that have reached the operating system. */
      readonly writtenBytes: number
      /** A write has failed: `writtenBytes` will not grow any more. */
      readonly isBroken: boolean
    }
  | { readonly kind: 'done'; readonly id: number; readonly offsetBytes: number }
  | { readonly kind: 'mismatch'; readonly id: number; readonly actual: Digest }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: WorkerFailure }

/** The one writer of the metadata: `workers/metadata-writer.ts`. */
export interface MetadataWriterSetup {
  readonly port: MessagePort
  readonly path: string
  readonly isRelaxed: boolean
}

export interface MetadataWriterRequest {
  readonly id: number
  /** `Transaction[]` of the storage layer. */
  readonly transactions: readonly unknown[]
}

export type MetadataWriterReply =
  | { readonly kind: 'ready' }
  /** One `CommitOutcome` each, in order; all of it is on disk. */
  | { readonly kind: 'committed'; readonly id: number; readonly outcomes: readonly unknown[] }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: WorkerFailure }

/** The thread that waits for the disk so that the event loop does not: `workers/pager.ts`. */
export interface PagerSetup {
  readonly port: MessagePort
  /** Where small files are read to: `blobs/files/slots.ts`. */
  readonly slots: SharedArrayBuffer
  readonly metadataPath: string
}

/** A blob file that was opened once: nothing may have written to it since. */
export interface OpenedFile {
  readonly path: string
  readonly sizeBytes: number
  /** Inode number: a file that replaced it is another one, and none of its readers' business. */
  readonly inode: number
  /** When it was last written to, ms since the epoch, as the file system tells it. */
  readonly modifiedMs: number
}

export type PagerRequest =
  /**
   * Maps a blob file and brings its first bytes into memory. One that was written to after its row
   * was made is compared with its digest first.
   */
  | {
      readonly kind: 'map'
      readonly id: number
      readonly path: string
      /** Undefined, like the time, for a file that is still being written. */
      readonly digest: Digest | undefined
      readonly sizeBytes: number
      readonly writtenBefore: number | undefined
      readonly populateBytes: number
    }
  /** Reads a whole small file into a slot, checked as `map` does. */
  | {
      readonly kind: 'read'
      readonly id: number
      readonly path: string
      readonly digest: Digest
      readonly sizeBytes: number
      readonly writtenBefore: number | undefined
      readonly slotOffset: number
    }
  /** Compares a file that was written to after its row was made with its digest. */
  | {
      readonly kind: 'verify'
      readonly id: number
      readonly path: string
      readonly digest: Digest
      readonly writtenBefore: number
    }
  /** Fails when somebody wrote to the file since it was opened. */
  | { readonly kind: 'check'; readonly id: number; readonly file: OpenedFile }
  /** Brings a part of a mapping into memory; a disk error comes back as a failure, not a signal. */
  | {
      readonly kind: 'populate'
      readonly id: number
      /** Checked as well, unless it is still being written. */
      readonly file: OpenedFile | undefined
      readonly address: bigint
      readonly length: number
    }
  | { readonly kind: 'unmap'; readonly address: bigint; readonly length: number }
  /** Reads a binary row, so that its pages are resident. */
  | { readonly kind: 'touch'; readonly id: number; readonly database: string; readonly key: string }

export type PagerReply =
  | {
      readonly kind: 'mapped'
      readonly id: number
      readonly address: bigint
      readonly file: OpenedFile
    }
  | { readonly kind: 'done'; readonly id: number }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: WorkerFailure }

/** The thread that compares what is stored with its digest: `workers/scrub.ts`. */
export interface ScrubSetup {
  readonly port: MessagePort
  /** `storage.path`. */
  readonly path: string
  /** 0: as fast as possible. */
  readonly bytesPerSecond: number
  /** Cursor of an interrupted walk to go on from. */
  readonly after: string | undefined
}

/** What the scrub worker sends. Any message to it means: stop where you are. */
export type ScrubReply =
  | {
      readonly kind: 'progress'
      readonly cursor: string
      readonly bytes: number
      readonly entries: number
    }
  /** A `Finding` of the storage layer. */
  | { readonly kind: 'finding'; readonly finding: unknown }
  | {
      readonly kind: 'ended'
      readonly isComplete: boolean
      readonly failure: WorkerFailure | undefined
    }

/** The walk that compares files with rows after a start: `workers/reconcile.ts`. */
export interface ReconcileSetup {
  readonly port: MessagePort
  readonly storagePath: string
  readonly checksUploads: boolean
  /** Blob folders that changed since then are compared with their rows; undefined: none. */
  readonly blobsSince: number | undefined
  /** Rows younger than `blobsSince` are looked at wherever they are, not only in those folders. */
  readonly checksRows: boolean
  /** Rests as long as it works, so that requests come first. */
  readonly isPaced: boolean
}

/** What the walk found wrong, as far as it could see; the main thread looks again and decides. */
export type ReconcileFinding =
  /** A file below `uploads/` that no row counts on. */
  | { readonly kind: 'stray-upload'; readonly uploadId: string }
  /** A session whose file is missing or shorter than what was acknowledged. */
  | { readonly kind: 'lost-upload'; readonly uploadId: string }
  /** A blob file without a row. */
  | {
      readonly kind: 'orphan'
      readonly digest: Digest
      readonly file: FileIdentity
      /** Whether the content has the digest that the name says; then the file is flushed. */
      readonly isGenuine: boolean
    }
  /** A blob file whose row says that the bytes are in the metadata. */
  | { readonly kind: 'double'; readonly digest: Digest }
  /** A row whose file is missing or has another length. */
  | { readonly kind: 'missing'; readonly digest: Digest }
  /** A file in the blob tree that no blob can have; it is left alone. */
  | { readonly kind: 'foreign'; readonly path: string }
  | { readonly kind: 'unreadable'; readonly path: string; readonly failure: WorkerFailure }

/** What tells one file of a name from the next one. */
export interface FileIdentity {
  readonly inode: number
  readonly sizeBytes: number
  readonly changedAtMs: number
}

export interface ReconcileProposal {
  readonly id: number
  readonly finding: ReconcileFinding
}

/** The proposal of this id is settled. */
export interface ReconcileAnswer {
  readonly id: number
}

/** The thread that compares passwords: `workers/password.ts`. */
export interface PasswordSetup {
  readonly port: MessagePort
}

export interface PasswordRequest {
  readonly id: number
  readonly password: string
  readonly hash: string
}

export interface PasswordReply {
  readonly id: number
  readonly isRight: boolean
}

/** The thread that reads large manifests: `workers/manifest.ts`. */
export interface ManifestSetup {
  readonly port: MessagePort
}
