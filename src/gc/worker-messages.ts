/**
 * @module What the collector and its worker say to each other. Plain data; a few batches under way at
 * a time, so that neither side piles up what the other has not taken.
 */
import type { MessagePort } from 'node:worker_threads'
import type { CleanupConfig } from '../config/config-cleanup.ts'
import type { Digest } from '../registry/digest.ts'
import type { WorkerFailure } from '../runtime/worker-messages.ts'
import type { PinRow, TrashRow } from '../storage/schema-cleanup.ts'
import type { Transaction } from '../storage/transaction.ts'
import type { PlanItem } from './plan-item.ts'
import type { MarkCursor } from './worker-mark.ts'

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
  readonly graceMs: number
  readonly by: string
}

export interface PurgeTask {
  readonly kind: 'purge'
  /** What was deleted before this goes for good, ms since the epoch. */
  readonly before: number
}

/** Sums up what is stored. */
export interface TotalTask {
  readonly kind: 'total'
}

export interface GcSetup {
  readonly port: MessagePort
  readonly storagePath: string
  readonly task: MarkTask | SweepTask | PurgeTask | TotalTask
}

export type Step =
  /** Applied one after the other; the first decides whether the item counts. */
  | {
      readonly kind: 'commit'
      readonly what: string
      readonly item: PlanItem | undefined
      readonly bytes: number
      readonly transactions: readonly Transaction[]
      /** A file that follows its row into the trash. */
      readonly trashes: Digest | undefined
    }
  | { readonly kind: 'purge-file'; readonly digest: Digest; readonly row: TrashRow }
  | { readonly kind: 'skip'; readonly item: PlanItem; readonly why: string }

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
      readonly kind: 'steps'
      readonly id: number
      readonly steps: readonly Step[]
      readonly offset: number
    }
  | { readonly kind: 'total'; readonly bytes: number }
  | {
      readonly kind: 'ended'
      readonly isComplete: boolean
      readonly failure: WorkerFailure | undefined
    }

export type GcRequest =
  | { readonly kind: 'stop' }
  /** The steps of this id are settled; how many to send at once from now on. */
  | { readonly kind: 'settled'; readonly id: number; readonly stepsAtOnce: number }
