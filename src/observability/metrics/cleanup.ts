/**
 * @module Metrics of clean-up: names and what they mean. `metrics.ts` registers them.
 */

export interface CleanupSources {
  /** Ended runs by the state that they ended in. */
  readonly runs: () => Iterable<readonly [state: string, count: number]>
  /** Things removed since the start, by kind: tag, manifest, link, blob, purged-blob … */
  readonly removed: () => Iterable<readonly [kind: string, count: number]>
  readonly steps: () => number
  readonly removedBytes: () => number
  readonly freedBytes: () => number
  readonly isRunning: () => boolean
  /** Of the running or last run: items of its plan, tags that wait for a first yes. */
  readonly candidates: () => number
  readonly heldTags: () => number
  /** When the last good run ended, seconds since the epoch; 0 before the first. */
  readonly lastSuccessSeconds: () => number
  readonly nextRunSeconds: () => number
  /** What lies in the trash, and how long the oldest of it does. */
  readonly trashBytes: () => number
  readonly trashBlobs: () => number
  readonly oldestTrashSeconds: () => number
  readonly blockedDeletes: () => number
  readonly clockIsDoubted: () => boolean
}

export interface Declare {
  gauge(name: string, help: string, read: () => number): void
  counter(name: string, help: string, read: () => number): void
  labelled(
    name: string,
    help: string,
    label: string,
    read: () => Iterable<readonly [string, number]>,
  ): void
}

export function declareCleanup(of: CleanupSources, declare: Declare): void {
  const { gauge, counter, labelled } = declare
  labelled(
    'fastregistry_gc_runs_total',
    'Collections by the state they ended in.',
    'state',
    of.runs,
  )
  labelled('fastregistry_gc_removed_total', 'What collections removed.', 'kind', of.removed)
  counter('fastregistry_gc_steps_total', 'Batches that collections committed.', of.steps)
  counter('fastregistry_gc_removed_bytes_total', 'Bytes of blobs taken out.', of.removedBytes)
  counter('fastregistry_gc_freed_bytes_total', 'Bytes freed after the window.', of.freedBytes)
  gauge('fastregistry_gc_running', '1 while a collection runs.', () => Number(of.isRunning()))
  gauge('fastregistry_gc_candidates', 'Items of the running or last plan.', of.candidates)
  gauge('fastregistry_gc_held_tags', 'Tags that wait for a first apply.', of.heldTags)
  gauge(
    'fastregistry_gc_last_success_timestamp_seconds',
    'When the last good collection ended; 0 before the first.',
    of.lastSuccessSeconds,
  )
  gauge(
    'fastregistry_gc_next_run_timestamp_seconds',
    'When the next one begins.',
    of.nextRunSeconds,
  )
  gauge('fastregistry_trash_bytes', 'Bytes of swept blobs that can be restored.', of.trashBytes)
  gauge('fastregistry_trash_blobs', 'Swept blobs that can be restored.', of.trashBlobs)
  gauge('fastregistry_trash_oldest_seconds', 'Age of the oldest swept blob.', of.oldestTrashSeconds)
  counter(
    'fastregistry_blocked_deletes_total',
    'Moves and deletes refused because of a pin or an immutable tag.',
    of.blockedDeletes,
  )
  gauge('fastregistry_clock_in_doubt', '1 while the clock has jumped.', () =>
    Number(of.clockIsDoubted()),
  )
}
