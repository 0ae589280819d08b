/**
 * @module What the main thread and the threads that compare the store say to each other: plain data.
 */
import type { MessagePort } from 'node:worker_threads'
import type { StoredObject } from '../../blobs/driver.ts'
import type { BlobRow } from '../../metadata/schema.ts'
import type { Digest } from '../../registry/digest.ts'
import type { WorkerFailure } from '../../runtime/worker-failure.ts'
import type { StoreSetup } from '../setup.ts'

/** The thread that compares what is stored with its digest: `workers/scrub.ts`. */
export interface ScrubSetup {
  readonly port: MessagePort
  readonly setup: StoreSetup
  /** 0: as fast as possible. */
  readonly bytesPerSecond: number
  /** Cursor of an interrupted walk to go on from. */
  readonly after: string | undefined
  /** Other nodes may have the files that are not here. */
  readonly isShared?: boolean
}

/** What is stored and has not the digest that it should have. */
export interface Finding {
  readonly kind: 'blob' | 'manifest'
  readonly digest: Digest
  /** The row that made the promise; undefined for a manifest. */
  readonly row: BlobRow | undefined
  readonly reason: string
}

/** What the scrub worker sends. Any message to it means: stop where you are. */
export type ScrubReply =
  | {
      readonly kind: 'progress'
      readonly cursor: string
      readonly bytes: number
      readonly entries: number
    }
  | { readonly kind: 'finding'; readonly finding: Finding }
  | {
      readonly kind: 'ended'
      readonly isComplete: boolean
      readonly failure: WorkerFailure | undefined
    }

/** The walk that compares files with rows after a start: `workers/reconcile.ts`. */
export interface ReconcileSetup {
  readonly port: MessagePort
  readonly setup: StoreSetup
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
      readonly object: StoredObject
      /** Whether the content has the digest that the name says. It is durable by now. */
      readonly isGenuine: boolean
    }
  /** A blob file whose row says that the bytes are in the metadata. */
  | { readonly kind: 'double'; readonly digest: Digest }
  /** A row whose file is missing or has another length. */
  | { readonly kind: 'missing'; readonly digest: Digest }
  /** A file in the blob tree that no blob can have; it is left alone. */
  | { readonly kind: 'foreign'; readonly path: string }
  | { readonly kind: 'unreadable'; readonly path: string; readonly failure: WorkerFailure }

export interface ReconcileProposal {
  readonly id: number
  readonly finding: ReconcileFinding
}

/** The proposal of this id is settled. */
export interface ReconcileAnswer {
  readonly id: number
}
