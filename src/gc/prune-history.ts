/**
 * @module Bounds what only grows: events and ended jobs. Oldest first, a few rows a turn.
 */

import { jobsKeptMax } from '../jobs/jobs.ts'
import { eventClock } from '../metadata/event-log.ts'
import type { MetadataStore } from '../metadata/port.ts'
import type { Databases } from '../metadata/schema.ts'
import type { Change } from '../metadata/transaction.ts'
import type { Clock } from '../runtime/clock.ts'

/** Events are kept this long, ms, and at most so many. */
const eventsKeptMs = 90 * 24 * 60 * 60_000
const eventsKeptMax = 1_000_000

const rowsAtOnce = 500

export async function pruneHistory(metadata: MetadataStore, clock: Clock): Promise<void> {
  const oldest = clock.now() - eventsKeptMs
  await removeFirst(metadata, 'events', eventsKeptMax, (row) => eventClock(row) < oldest)
  await removeFirst(metadata, 'jobs', jobsKeptMax, () => false)
}

/** Removes the first rows beyond `keptMax`, and further ones from the first on while they are old. */
async function removeFirst<N extends 'events' | 'jobs'>(
  metadata: MetadataStore,
  database: N,
  keptMax: number,
  isOld: (row: Databases[N]['row']) => boolean,
): Promise<void> {
  while (true) {
    const surplus = metadata.count(database) - keptMax
    const rows = metadata.entries(database, [], undefined, rowsAtOnce)
    const young = rows.findIndex(({ row }, index) => index >= surplus && !isOld(row))
    const going = young === -1 ? rows : rows.slice(0, young)
    if (going.length === 0) return
    const changes = going.map(({ key }) => ({ change: 'delete', in: database, key }) as Change)
    await metadata.commit({ checks: [], changes })
  }
}
