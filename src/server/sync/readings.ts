/**
 * @module What the metrics read of the syncs at a scrape.
 */
import type { SyncReading } from '../../observability/metrics/sync.ts'
import type { Syncs } from '../../sync/syncs.ts'

export function readingsOfSyncs(syncs: Syncs): readonly SyncReading[] {
  return syncs.names.flatMap((name) => {
    const status = syncs.status(name)
    if (status === undefined) return []
    const { progress, failures, lastOkAt, lastResult } = status
    const ended = syncs.runs(name).find(({ endedAt }) => endedAt !== undefined)
    return [
      {
        name,
        lastOkAt,
        lastRunMs: ended === undefined ? undefined : ended.endedAt! - ended.startedAt,
        // After a restart only what is to be tried again is known.
        pendingTags:
          progress === undefined
            ? failures.length
            : Math.max(0, progress.totalTags - progress.syncedTags),
        isComplete: lastResult === 'ok',
      },
    ]
  })
}
