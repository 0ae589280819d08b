/**
 * @module What the metadata store and its writer say to each other: plain data only.
 */
import type { MessagePort } from 'node:worker_threads'
import type { WorkerFailure } from '../../../runtime/worker-failure.ts'
import type { CommitOutcome, Transaction } from '../../transaction.ts'

/** The one writer of the metadata: `workers/metadata-writer.ts`. */
export interface MetadataWriterSetup {
  readonly port: MessagePort
  readonly path: string
  readonly isRelaxed: boolean
}

export interface MetadataWriterRequest {
  readonly id: number
  readonly transactions: readonly Transaction[]
}

export type MetadataWriterReply =
  | { readonly kind: 'ready' }
  /** One outcome each, in order; all of it is on disk. */
  | { readonly kind: 'committed'; readonly id: number; readonly outcomes: readonly CommitOutcome[] }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: WorkerFailure }
