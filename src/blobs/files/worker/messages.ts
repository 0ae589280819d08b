/**
 * @module What the main thread and the threads of the blob files say to each other: plain data only.
 * Buffers travel in transfer lists; the sender forgets them immediately.
 */
import type { MessagePort } from 'node:worker_threads'
import type { Algorithm, Digest } from '../../../registry/digest.ts'
import type { LentEnd, LentRest } from '../../../runtime/lent-socket.ts'
import type { WorkerFailure } from '../../../runtime/worker-failure.ts'

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
  /** Reads the rest of a body from its socket, closes the descriptor, and answers. */
  | {
      readonly kind: 'receive'
      readonly id: number
      readonly descriptor: number
      readonly rest: LentRest
      /** It is told at the latest after so many bytes how far it is. */
      readonly toldBytes?: number
    }
  /** Ends a `receive` that is under way. Out of order: what waits behind it is not waited for. */
  | { readonly kind: 'stop-receiving'; readonly id: number }
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
  /** How far a `receive` is: bytes of its own. */
  | {
      readonly kind: 'receiving'
      readonly id: number
      readonly bytes: number
      /** As of a `buffer`. */
      readonly writtenBytes: number
    }
  | {
      readonly kind: 'received'
      readonly id: number
      readonly bytes: number
      readonly end: LentEnd
    }
  | { readonly kind: 'mismatch'; readonly id: number; readonly actual: Digest }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: WorkerFailure }

/** The thread that waits for the disk so that the event loop does not: `workers/pager.ts`. */
export interface PagerSetup {
  readonly port: MessagePort
  /** Where small files are read to: `blobs/files/slots.ts`. */
  readonly slots: SharedArrayBuffer
  readonly metadataPath: string
}

/** Tables whose rows are bytes. */
export type ValueTable = 'manifestBytes' | 'blobBytes'

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
      /** Reserved by the sender, for at least the size of the file. */
      readonly address: bigint
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
      /** What is asked of the disk before `length` is waited for, bytes; at least as much. */
      readonly startBytes: number
    }
  /** Takes a file away; its addresses stay reserved, for the next one. */
  | { readonly kind: 'vacate'; readonly address: bigint; readonly length: number }
  /** Takes a file away, and its addresses too. */
  | { readonly kind: 'unmap'; readonly address: bigint; readonly length: number }
  /** Reads a binary row, so that its pages are resident. */
  | {
      readonly kind: 'page-in'
      readonly id: number
      readonly database: ValueTable
      readonly key: string
    }

export type PagerReply =
  | {
      readonly kind: 'mapped'
      readonly id: number
      readonly file: OpenedFile
    }
  | { readonly kind: 'done'; readonly id: number }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: WorkerFailure }
