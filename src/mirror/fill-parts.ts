/**
 * @module What a fill is made of: given by `blobs.ts`, which knows mirrors, rows and space.
 */

import type { GrowingBlob, GrowingBlobs } from '../blobs/port.ts'
import type { Digest } from '../registry/digest.ts'
import type { Clock } from '../runtime/clock.ts'
import type { HttpAnswer } from '../upstream/client.ts'
import type { UpstreamError } from '../upstream/error.ts'

export interface FillParts {
  readonly digest: Digest
  readonly uploadId: string
  /** Size that a manifest promises; undefined when no manifest is known. */
  readonly promisedBytes: number | undefined
  /** Asks upstream for the size, where its answer does not say it. */
  readonly askSize: () => Promise<number | undefined>
  readonly inlineLimitBytes: number
  readonly growing: GrowingBlobs
  readonly clock: Clock
  /** Latest time for the head of the first answer, ms on the monotonic clock. */
  readonly deadline: number
  /** GET of the blob from `offset`; the deadline is that of the answer's head. */
  readonly ask: (offset: number, deadline: number) => Promise<HttpAnswer>
  /** Whether a blob of this size (undefined: not known yet) may be stored now. */
  readonly mayStore: (sizeBytes: number | undefined) => boolean
  /** Puts the bytes in place and writes the rows. `pending` is undefined for inline bytes. */
  readonly publish: (blob: FilledBlob) => Promise<void>
  readonly onFailure: (error: UpstreamError) => void
}

export interface FilledBlob {
  readonly digest: Digest
  readonly sizeBytes: number
  readonly pending: GrowingBlob | undefined
  readonly inlineBytes: Uint8Array | undefined
}
