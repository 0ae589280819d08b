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
}

export type IngestRequest =
  | { readonly kind: 'chunk'; readonly buffer: ArrayBuffer; readonly length: number }
  /** Remembers offset and hash, so that `rollback` can return here. */
  | { readonly kind: 'mark' }
  | { readonly kind: 'rollback'; readonly id: number }
  /** Answered when every chunk before it has reached the operating system. */
  | { readonly kind: 'settle'; readonly id: number }
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
  | { readonly kind: 'buffer'; readonly buffer: ArrayBuffer; readonly length: number }
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
  readonly metadataPath: string
}

export type PagerRequest =
  /** Maps a blob file and brings its first bytes into memory. */
  | {
      readonly kind: 'map'
      readonly id: number
      readonly path: string
      readonly sizeBytes: number
      readonly populateBytes: number
    }
  /** Brings a part of a mapping into memory; a disk error comes back as a failure, not a signal. */
  | {
      readonly kind: 'populate'
      readonly id: number
      readonly address: bigint
      readonly length: number
    }
  | { readonly kind: 'unmap'; readonly address: bigint; readonly length: number }
  /** Reads a binary row, so that its pages are resident. */
  | { readonly kind: 'touch'; readonly id: number; readonly database: string; readonly key: string }

export type PagerReply =
  | { readonly kind: 'mapped'; readonly id: number; readonly address: bigint }
  | { readonly kind: 'done'; readonly id: number }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: WorkerFailure }
