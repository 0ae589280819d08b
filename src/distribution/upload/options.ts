/**
 * @module What the upload sessions of a registry stand on: stores, seams and bounds.
 */

import type { BlobWriter } from '../../blobs/port.ts'
import type { SharedBlobs } from '../../blobs/shared-port.ts'
import type { MetadataStore } from '../../metadata/port.ts'
import type { Digest } from '../../registry/digest.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { KeyedLock } from '../../runtime/keyed-lock.ts'
import type { Random } from '../../runtime/random.ts'

export interface UploadsOptions {
  readonly metadata: MetadataStore
  readonly writer: BlobWriter
  readonly clock: Clock
  readonly random: Random
  /** Number of this node in its mesh; undefined: it is alone. */
  readonly member?: number | undefined
  /** Bytes up to which a blob lives in the metadata. */
  readonly inlineLimitBytes: number
  readonly uploadsPerClientMax: number
  /** Idle time after which a session is removed, ms. */
  readonly uploadTtlMs: number
  /** Serialises what is done to one blob's file: commits here, collection elsewhere. */
  readonly digestLock: KeyedLock
  /** Undefined: the files of all blobs are here. */
  readonly shared?: SharedBlobs | undefined
  /** Told when a blob's file was put in place anew, so that mappings of an older one go. */
  readonly onFileReplaced: (digest: Digest) => void
  /** Told when a blob's file is in place and its row may not be: reconciliation looks after it. */
  readonly onFileInDoubt: (digest: Digest) => void
}
