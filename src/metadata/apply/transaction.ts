/**
 * @module Transactions as they are applied: each of them whole or not at all, one after the other, with
 * everything that follows from their rows.
 */
import { DerivedRows } from '../derived-rows.ts'
import type { RowAccess } from '../row-access.ts'
import type { Verdict } from '../sweep.ts'
import { type CommitOutcome, isShared, type Transaction } from '../transaction.ts'
import { applyChange, holds } from './change.ts'
import { moveTag, refusedMove } from './move-tag.ts'
import { applySweep } from './sweep.ts'

/** Runs `apply` and hands on what it returns: for a writer that measures. */
export type Around = (it: Transaction, apply: () => CommitOutcome) => CommitOutcome

/**
 * Applies batches of transactions one after the other, each of them whole or not at all, and what is
 * derived from their rows at the end, once for all. The caller holds one write transaction of the
 * store around it.
 */
export function applyTogether(
  rows: RowAccess,
  batches: readonly (readonly Transaction[])[],
  around: Around = (_it, apply) => apply(),
): CommitOutcome[][] {
  const derived = new DerivedRows(rows)
  const outcomes = batches.map((batch) =>
    batch.map((it) => {
      if (isShared(it)) derived.begin()
      return around(it, () => applyTransaction(derived, it))
    }),
  )
  derived.flush()
  return outcomes
}

/**
 * Checks everything, then changes everything. The caller holds the store's only write transaction,
 * so nothing can come between the two. A `put` of equal content is written all the same.
 */
function applyTransaction(rows: DerivedRows, transaction: Transaction): CommitOutcome {
  for (const check of transaction.checks) {
    if (!holds(rows, check)) return { applied: false, failed: check }
  }
  for (const change of transaction.changes) {
    if (change.change === 'raise' && rows.get(change.in, change.key) === undefined) {
      return { applied: false, failed: change }
    }
    if (change.change !== 'move-tag') continue
    const refusal = refusedMove(rows, change)
    if (refusal !== undefined) return { applied: false, failed: change, refusal }
  }
  let verdicts: readonly Verdict[] | undefined
  for (const change of transaction.changes) {
    if (change.change === 'sweep') verdicts = applySweep(rows, change.batch)
    else if (change.change === 'move-tag') moveTag(rows, change)
    else applyChange(rows, change)
  }
  const dropped = rows.takeDropped()
  return {
    applied: true,
    ...(verdicts !== undefined && { verdicts }),
    ...(dropped.length > 0 && { dropped }),
  }
}
