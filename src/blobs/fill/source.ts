/**
 * @module What a fill is fed from and where its blob goes, as ports: mirrors, and later others, give both.
 * A fill knows neither the protocol of its source nor the rows of its target.
 */
import type { Digest } from '../../registry/digest.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { GrowingBlob, GrowingBlobs } from '../port.ts'

/** The blob that is wanted, and what is known of it before its source is asked. */
export interface WantedBlob {
  readonly digest: Digest
  /** Size that a manifest promises; undefined when no manifest is known. */
  readonly promisedBytes: number | undefined
  /** Latest time for the head of the first answer, ms on the monotonic clock. */
  readonly deadline: number
}

/** Where the bytes come from. */
export interface FillSource {
  /**
   * The blob from `offset` on, or from its first byte where the source cannot begin elsewhere. Resolves
   * with the head of the answer, until `deadline` (ms on the monotonic clock).
   */
  open(offset: number, deadline: number): Promise<FillAnswer>
  /** The size, where the answer did not say it; undefined where the source does not know. */
  size(): Promise<number | undefined>
  /** What readers hear, in the source's own words: bytes that are wrong, or that ended too early. */
  fault(kind: 'garbage' | 'reset', message: string): Error
  /** Counts an error of an attempt, and says whether another attempt may go better. */
  judge(error: unknown): { readonly error: Error; readonly isPassing: boolean }
}

/** The head of an answer. Its body waits to be read or aborted. */
export interface FillAnswer {
  /** The byte of the blob with which the body begins; undefined where the answer does not say it. */
  readonly offset: number | undefined
  /** How long the whole blob is; undefined where the answer does not say it. */
  readonly sizeBytes: number | undefined
  /** The answer does not promise the rest of the blob up to its last byte. */
  readonly isPart?: boolean
  readonly body: FillBody
}

export interface FillBody {
  /**
   * Streams it; a chunk is good inside the callback alone. Rejects when it breaks off, and with what
   * `onChunk` threw. A few chunks may still come after `pause`.
   */
  read(onChunk: (bytes: Uint8Array) => void): Promise<void>
  pause(): void
  resume(): void
  abort(): void
}

/** What becomes of the blob. */
export interface FillTarget {
  /** Whether a blob of this size (undefined: not known yet) may be stored now. */
  mayStore(sizeBytes: number | undefined): boolean
  /** Puts the bytes in place and writes the rows; the blob is durable when it resolves. */
  publish(blob: FilledBlob): Promise<void>
}

export interface FilledBlob {
  readonly digest: Digest
  readonly sizeBytes: number
  /** Undefined for inline bytes. */
  readonly pending: GrowingBlob | undefined
  readonly inlineBytes: Uint8Array | undefined
}

/** How the store takes bytes that arrive. */
export interface FillStore {
  readonly growing: GrowingBlobs
  readonly uploadId: string
  /** Up to this size a blob stays in memory until it is whole. */
  readonly inlineLimitBytes: number
  readonly clock: Clock
}
