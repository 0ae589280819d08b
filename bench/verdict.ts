/**
 * @module Measured against promised: for every target whose row was run, the number that counts and
 * whether it holds.
 */
import type { RowResult } from './macro/bench.ts'
import type { ServerName } from './macro/server.ts'
import { grossFactor, TARGETS, type Target } from './targets.ts'

export interface Verdict {
  readonly target: Target
  readonly title: string
  readonly unit: string
  /** Metric of ours, and of the peer where there is one. */
  readonly ours: number
  readonly theirs: number | undefined
  /** The ratio, or the metric itself: what is compared with the bound. */
  readonly value: number
  readonly isMet: boolean
  /** Worse than the target by more than noise can explain. */
  readonly isGross: boolean
  /** Answers that were errors, of either server: the numbers mean nothing then. */
  readonly errors: number
}

/** Verdicts in the order of the targets; targets without numbers are left out. */
export function judge(rows: readonly RowResult[], targets = TARGETS): Verdict[] {
  return targets.flatMap((target) => {
    const row = rows.find(({ id }) => id === target.row)
    const verdict = row && judgeOne(row, target)
    return verdict === undefined ? [] : [verdict]
  })
}

function judgeOne(row: RowResult, target: Target): Verdict | undefined {
  const { metric, against, relation, bound } = target
  const ours = metricOf(row, 'ours', metric)
  const theirs = against === undefined ? undefined : metricOf(row, against, metric)
  if (ours === undefined || (against !== undefined && theirs === undefined)) return undefined
  const value = theirs === undefined ? ours : ours / theirs
  const errors =
    (metricOf(row, 'ours', 'errors') ?? 0) +
    (against === undefined ? 0 : (metricOf(row, against, 'errors') ?? 0))
  const isMet = errors === 0 && (relation === '>=' ? value >= bound : value <= bound)
  const isGross =
    errors > 0 || (relation === '>=' ? value < bound * grossFactor : value > bound / grossFactor)
  const unit = metric === 'rate' ? row.unit : (target.unit ?? unitOf(metric))
  return { target, title: titleOf(row, target), unit, ours, theirs, value, isMet, isGross, errors }
}

function metricOf(row: RowResult, server: ServerName, metric: string): number | undefined {
  return row.servers[server]?.[metric]
}

function unitOf(metric: string): string {
  return metric === 'cpuSecondsPerGb' ? 'CPU s/GB' : ''
}

function titleOf(row: RowResult, { metric, of }: Target): string {
  if (metric === 'cpuSecondsPerGb') return `${row.title}: server CPU seconds per GB`
  return of === undefined ? row.title : `${row.title}: ${of}`
}
