/**
 * @module Rows of jobs and of plans: long work, and what it would do. Times are ms since 1970.
 */
export type JobState = 'running' | 'done' | 'failed' | 'cancelled' | 'stopped'

export interface JobRow {
  readonly kind: string
  readonly state: JobState
  readonly by: string
  readonly createdAt: number
  readonly endedAt?: number
  readonly plan?: string
  /** Free counters: candidates, items, bytes. */
  readonly counts: Readonly<Record<string, number>>
  readonly message?: string
  /** In a mesh: the member's run that began it. */
  readonly member?: number
  readonly boot?: number
}

/** A plan's summary; its items are lines of a file below `plans/`. */
export interface PlanRow {
  readonly createdAt: number
  readonly by: string
  readonly kind: 'collection' | 'bulk-delete'
  readonly state: 'ready' | 'applying' | 'applied' | 'stopped'
  readonly appliedAt?: number
  /** Items by kind, and bytes that applying wins. */
  readonly counts: Readonly<Record<string, number>>
  readonly bytes: number
  /** Rules that delete tags here and were never applied before. */
  readonly unapproved: readonly string[]
  /** Rules whose items the plan holds. */
  readonly rules: readonly string[]
  /** Why a run that made it did not apply it. */
  readonly message?: string
  /** In a mesh: the member whose run made it. The file is on that member's disk. */
  readonly member?: number
  readonly boot?: number
}
