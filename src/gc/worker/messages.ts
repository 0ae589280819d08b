/**
 * @module What the collector and its worker say to each other. Plain data; a few batches under way at
 * a time, so that neither side piles up what the other has not taken.
 */
import type { MessagePort } from 'node:worker_threads'
import type { CleanupConfig } from '../../config/config.ts'
import type { PinRow } from '../../metadata/schema.ts'
import type { Candidate } from '../../metadata/sweep.ts'
import type { Digest } from '../../registry/digest.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { WorkerFailure } from '../../runtime/worker-failure.ts'
import type { StoreSetup } from '../../storage/setup.ts'
import type { MarkCursor } from '../mark/walk.ts'
import type { OldestRows } from '../sweep/purge.ts'

/** The verdict on one tag or manifest. */
export interface ExplainedItem {
  readonly kind: 'tag' | 'manifest'
  readonly name: string
  readonly stays: boolean
  readonly rule?: string
  readonly reason: string
  /** When it goes if nothing happens, ms since the epoch. */
  readonly goesAt?: number
}

/** Counted per kind of item, and what else a run tells. */
export type Counts = Record<string, number>

export interface MarkTask {
  readonly kind: 'mark'
  readonly planFile: string
  /** Where to go on, and how much of the file counts; the rest is cut off. */
  readonly from: MarkCursor
  readonly fileBytes: number
  readonly now: number
  readonly config: CleanupConfig
  /** By how much a stored time of a pull may lag, ms. */
  readonly pullsLagMs: number
  /** Fingerprints of rules that may delete tags; undefined: all. */
  readonly approved: readonly string[] | undefined
  readonly mirrored: readonly string[]
  readonly pins: readonly (readonly [digest: string, row: PinRow])[]
}

export interface SweepTask {
  readonly kind: 'sweep'
  readonly planFile: string
  /** Byte of the file to begin at. */
  readonly offset: number
}

export interface PurgeTask {
  readonly kind: 'purge'
  /** What was deleted before this goes for good, ms since the epoch. */
  readonly before: number
  readonly oldest: OldestRows
}

/** Sums up what is stored. */
export interface TotalTask {
  readonly kind: 'total'
}

/** Says why everything in a repository stays or goes, or one tag or digest of it. */
export interface ExplainTask {
  readonly kind: 'explain'
  readonly repository: RepositoryName
  readonly only: string | undefined
  readonly now: number
  readonly config: CleanupConfig
  /** By how much a stored time of a pull may lag, ms. */
  readonly pullsLagMs: number
}

/** What becomes of the objects of blobs whose rows went: see `BlobBin`. */
export type FileWork =
  | { readonly to: 'trash'; readonly digests: readonly Digest[] }
  /** `inPlace`: their object may still lie where blobs are, and no row counts on it. */
  | { readonly to: 'nowhere'; readonly digests: readonly Digest[]; readonly inPlace: boolean }

export interface GcSetup {
  readonly port: MessagePort
  readonly setup: StoreSetup
  readonly task: MarkTask | SweepTask | PurgeTask | TotalTask | ExplainTask
}

export type GcReply =
  | {
      readonly kind: 'marked'
      readonly cursor: MarkCursor
      readonly fileBytes: number
      readonly counts: Counts
      readonly bytes: number
      readonly heldRules: readonly string[]
      readonly rules: readonly string[]
    }
  | {
      readonly kind: 'candidates'
      readonly id: number
      readonly candidates: readonly Candidate[]
      /** Byte of the plan's file behind the last of them. */
      readonly offset: number
    }
  | {
      readonly kind: 'files'
      readonly id: number
      readonly failed: readonly Digest[]
      readonly failure: WorkerFailure | undefined
    }
  /** What a purge left: see `OldestRows`. */
  | { readonly kind: 'purged'; readonly oldest: OldestRows }
  | { readonly kind: 'total'; readonly bytes: number }
  | { readonly kind: 'explained'; readonly items: readonly ExplainedItem[] }
  | {
      readonly kind: 'ended'
      readonly isComplete: boolean
      readonly failure: WorkerFailure | undefined
    }

export type GcRequest =
  | { readonly kind: 'stop' }
  /** The candidates of this id are settled; how many to send at once from now on. */
  | { readonly kind: 'settled'; readonly id: number; readonly atOnce: number }
  | { readonly kind: 'files'; readonly id: number; readonly work: FileWork }
