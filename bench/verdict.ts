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

/** A target that this run could not judge, and why: printed where its numbers would be. */
export interface Unjudged {
  readonly target: Target
  readonly reason: string
}

/**
 * Of the targets whose row and peer were asked for, those that have no numbers. `reasons`: why a row
 * gave none, by its id; `missing`: why a peer did not take part, by its name.
 */
export function unjudged(
  verdicts: readonly Verdict[],
  wasAsked: (target: Target) => boolean,
  reasons: ReadonlyMap<string, string>,
  missing: ReadonlyMap<string, string>,
  targets = TARGETS,
): Unjudged[] {
  const judged = new Set(verdicts.map(({ target }) => target))
  return targets
    .filter((target) => !judged.has(target) && wasAsked(target))
    .map((target) => ({
      target,
      reason:
        reasons.get(target.row) ??
        missing.get(target.against ?? '') ??
        'this system does not give the figure',
    }))
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

/** What server CPU is counted for, by the metric that says it. */
const CPU_METRICS: Readonly<Record<string, string>> = {
  cpuSecondsPerGb: 'GB',
  cpuSecondsPerGib: 'GiB',
}

function unitOf(metric: string): string {
  const bytes = CPU_METRICS[metric]
  return bytes === undefined ? '' : `CPU s/${bytes}`
}

function titleOf(row: RowResult, { metric, of }: Target): string {
  const bytes = CPU_METRICS[metric]
  if (bytes !== undefined) return `${row.title}: server CPU seconds per ${bytes}`
  return of === undefined ? row.title : `${row.title}: ${of}`
}
