/**
 * @module Bounds what only grows: events and ended jobs. Oldest first, a few rows a turn.
 */
import { timeKey } from '../distribution/history.ts'
import type { Clock } from '../runtime/clock.ts'
import type { MetadataStore } from '../storage/ports.ts'
import type { Change } from '../storage/transaction.ts'
import { jobsKeptMax } from './jobs.ts'

/** Events are kept this long, ms, and at most so many. */
const eventsKeptMs = 90 * 24 * 60 * 60_000
const eventsKeptMax = 1_000_000

const rowsAtOnce = 500

export async function pruneHistory(metadata: MetadataStore, clock: Clock): Promise<void> {
  const oldest = timeKey(clock.now() - eventsKeptMs)
  await removeFirst(metadata, 'events', (await count(metadata, 'events')) - eventsKeptMax, oldest)
  await removeFirst(metadata, 'jobs', (await count(metadata, 'jobs')) - jobsKeptMax, '')
}

/** Removes the first `surplus` rows, and further ones while their keys are before `limit`. */
async function removeFirst(
  metadata: MetadataStore,
  database: 'events' | 'jobs',
  surplus: number,
  limit: string,
): Promise<void> {
  let left = surplus
  while (true) {
    const keys = metadata.keys(database, [], undefined, rowsAtOnce)
    const going = keys.filter((key, index) => index < left || key < limit)
    if (going.length === 0) return
    const changes = going.map((key): Change => ({ change: 'delete', in: database, key }))
    await metadata.commit({ checks: [], changes })
    left -= going.length
  }
}

async function count(metadata: MetadataStore, database: 'events' | 'jobs'): Promise<number> {
  let found = 0
  let last: string | undefined
  while (true) {
    const keys = metadata.keys(database, [], last, 1_000)
    found += keys.length
    if (keys.length < 1_000) return found
    last = keys.at(-1)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
