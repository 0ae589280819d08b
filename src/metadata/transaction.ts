/**
 * @module A metadata write as data: checks that must all hold and changes that are applied together
 * or not at all. No code outside `src/metadata` opens a transaction of its own, which makes races
 * arguable. `put`, `putIfAbsent` and `delete` are rows. The others are orders: whoever applies them finds out
 * what they come to, from the rows that are there at their place in the order (`metadata/apply/`).
 */

import type { Digest } from '../registry/digest.ts'
import type { TagCondition } from '../registry/entity-tag.ts'
import type { Tag } from '../registry/tag.ts'
import {
  DATABASES,
  type DatabaseName,
  type Databases,
  type EventRow,
  type Timestamp,
} from './schema.ts'
import type { SweepBatch, Verdict } from './sweep.ts'
import type { DroppedVerdict } from './verdicts/drops.ts'

type Key<N extends DatabaseName> = Databases[N]['key']
type Row<N extends DatabaseName> = Databases[N]['row']

/** A copy of a blob on a member's disk, whole and flushed, and the pin by which that member keeps it. */
export interface HeldCopy {
  readonly member: number
  /** The member's run that gave the pin. */
  readonly boot: number
  /** 1, 2, 3 … within the run. */
  readonly pin: number
}

/**
 * So many members keep a copy: none of these pins is over, and each is of the last run of its member that came in.
 * Whether the member takes part now is no matter: one that was put out keeps its files and its pins, and can end
 * none before it is back; its next run removes nothing before it has come in (`mesh/copies.ts`).
 *
 * A pin stands for one transaction. It may be named again only when that one was refused or void: after an
 * outcome that the sender does not know, each holder is asked for a new one.
 */
export interface HeldCheck {
  readonly check: 'held'
  readonly in: 'sessions'
  readonly copies: readonly HeldCopy[]
  /** Distinct members among them, at least. */
  readonly atLeast: number
}

/**
 * The run still has the lead of the job that it took with that entry, and takes part: a job that was paused while
 * another member went on with its work changes nothing any more.
 */
export interface LeadCheck {
  readonly check: 'lead'
  readonly in: 'leads'
  readonly job: string
  readonly member: number
  readonly boot: number
  /** Index of the entry. */
  readonly index: number
}

export type Check = RowCheck | HeldCheck | LeadCheck

type RowCheck = {
  [N in DatabaseName]:
    | { readonly check: 'absent'; readonly in: N; readonly key: Key<N> }
    | { readonly check: 'present'; readonly in: N; readonly key: Key<N> }
    /** The row is still what the caller read. */
    | { readonly check: 'unchanged'; readonly in: N; readonly key: Key<N>; readonly row: Row<N> }
    /** No key starts with these components. */
    | { readonly check: 'none'; readonly in: N; readonly prefix: readonly string[] }
}[DatabaseName]

/** A change of one thing: a row, a blob, an event. */
export type SingleChange =
  | {
      [N in DatabaseName]:
        | { readonly change: 'put'; readonly in: N; readonly key: Key<N>; readonly row: Row<N> }
        | {
            readonly change: 'putIfAbsent'
            readonly in: N
            readonly key: Key<N>
            readonly row: Row<N>
          }
        | { readonly change: 'delete'; readonly in: N; readonly key: Key<N> }
    }[DatabaseName]
  /**
   * Raises `linkedAt` of a blob: it is relied on from now. Fails the transaction when the row is
   * gone. This is one half of check-and-raise: collection deletes a row only if it is unchanged.
   */
  | {
      readonly change: 'raise'
      readonly in: 'blobs'
      readonly key: Key<'blobs'>
      readonly at: Timestamp
    }
  /**
   * Bytes that have arrived become a blob, or the one that is there is relied on from now. A blob that
   * has a file keeps it when the bytes come inline: pulls may be on their way to it, and it would be
   * left over.
   */
  | {
      readonly change: 'arrive'
      readonly in: 'blobs'
      readonly key: Key<'blobs'>
      readonly row: Row<'blobs'>
      /** The bytes, where they are to live in the metadata; undefined when the file is in place. */
      readonly inlineBytes: Uint8Array | undefined
    }
  /**
   * Writes an event down under the next number. Whoever applies the transaction gives the number, so
   * that the order of the numbers is the order in which events become visible.
   */
  | { readonly change: 'event'; readonly in: 'events'; readonly row: EventRow }
  /** The same of a manifest in its repository: raises `reliedAt`. */
  | {
      readonly change: 'raise'
      readonly in: 'manifests'
      readonly key: Key<'manifests'>
      readonly at: Timestamp
    }

/**
 * A push points a tag at a manifest. Decided from the tag's row at its place in the order, so moves of one
 * tag never undo each other. It writes the row with its history and its index, raises the manifest that
 * loses the tag, and writes the event. Fails the transaction, for good, when the tag may not move.
 */
export interface MoveTag {
  readonly change: 'move-tag'
  readonly in: 'tags'
  readonly key: Key<'tags'>
  readonly digest: Digest
  readonly at: Timestamp
  readonly by: string
  /** Must hold for what the tag points at. */
  readonly condition?: TagCondition
  /** By configuration and name: may be created and pushed again, but not go to another digest. */
  readonly isImmutable: boolean
}

/** Why a tag may not move, with what it points at. */
export interface TagRefusal {
  readonly why: 'condition' | 'immutable'
  readonly tag: Tag
  readonly current: Digest | undefined
}

export type Change =
  | SingleChange
  | MoveTag
  /**
   * What of the batch was not used since it was found goes, the rest stays: each candidate is judged here,
   * at its place in the order. A transaction has one sweep at most, so a verdict needs no more than the
   * candidate's place.
   */
  | { readonly change: 'sweep'; readonly in: 'candidates'; readonly batch: SweepBatch }

export interface Transaction {
  readonly checks: readonly Check[]
  readonly changes: readonly Change[]
}

/** Whether it changes what all nodes have: then it has a place in the order of all. */
export function isShared({ changes }: Transaction): boolean {
  return changes.some(({ in: table }) => DATABASES[table].scope === 'shared')
}

/** Whether a shared change hangs on a row of one node: no transaction may. */
export function mixesScopes(it: Transaction): boolean {
  return isShared(it) && it.checks.some(({ in: table }) => DATABASES[table].scope === 'local')
}

/** Applied, or the first check (or raise, or tag) that did not hold; then nothing was changed. */
export type CommitOutcome =
  | {
      readonly applied: true
      /** Of its sweep: what stays, and what left bytes behind. Absent without a sweep. */
      readonly verdicts?: readonly Verdict[]
      /** Verdicts about signatures, rows of this node, that it took the force from: no part of what was decided. */
      readonly dropped?: readonly DroppedVerdict[]
      /** How long the writer worked on a sweep, ms: measured around it, no part of what was decided. */
      readonly tookMs?: number
    }
  | {
      readonly applied: false
      readonly failed: Check | Change
      /** Why a tag did not move. Final: the decision was made on what is there, so again is the same. */
      readonly refusal?: TagRefusal
    }

/**
 * The same transaction with bytes of its own: those in shared memory are their sender's again when it is
 * done. Whoever takes transactions from another thread calls it first.
 */
export function withOwnBytes(it: Transaction): Transaction {
  return it.changes.some(hasSharedBytes) ? { ...it, changes: it.changes.map(ownChange) } : it
}

function hasSharedBytes(change: Change): boolean {
  if (change.change === 'arrive') return isSharedMemory(change.inlineBytes)
  return 'row' in change && isSharedMemory(change.row)
}

function ownChange(change: Change): Change {
  if (!hasSharedBytes(change)) return change
  if (change.change === 'arrive')
    return { ...change, inlineBytes: new Uint8Array(change.inlineBytes!) }
  const { row } = change as { readonly row: Uint8Array }
  return { ...change, row: new Uint8Array(row) } as Change
}

function isSharedMemory(row: unknown): boolean {
  return row instanceof Uint8Array && row.buffer instanceof SharedArrayBuffer
}
