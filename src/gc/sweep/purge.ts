/**
 * @module What nobody can want back any more: deleted tags and manifests and swept blobs whose
 * undelete window has ended, pins that have expired. The end of removals that a plan showed before.
 */

import { hasObject } from '../../blobs/driver.ts'
import type { LmdbEnvironment } from '../../metadata/lmdb/environment.ts'
import { inPages } from '../../metadata/lmdb/pages.ts'
import type { Candidate } from '../../metadata/sweep.ts'
import { assertNever } from '../../registry/assert-never.ts'

/** Databases that are walked for what is due. */
export const PURGED = ['deletedTags', 'deletedManifests', 'trash', 'pins'] as const
type Purged = (typeof PURGED)[number]

/**
 * When the oldest row of each is due that a walk left behind, ms since the epoch: before that there
 * is nothing to walk for. What is added later is younger; pins end when they say.
 */
export type OldestRows = Readonly<Partial<Record<Purged, number>>>

/**
 * Yields what was deleted before `before`. `onWalked` is told the age of the oldest row that each
 * database keeps.
 */
export function* purge(
  environment: LmdbEnvironment,
  before: number,
  oldest: OldestRows,
  onWalked: (database: Purged, oldestAt: number) => void,
): Generator<Candidate> {
  for (const database of PURGED) {
    if (database !== 'pins' && (oldest[database] ?? 0) >= before) continue
    let oldestAt = before
    let isFirst = true
    for (const { candidate, at } of due(environment, database)) {
      if (at < before) yield candidate
      else if (isFirst || at < oldestAt) {
        oldestAt = at
        isFirst = false
      }
    }
    onWalked(database, oldestAt)
  }
}

function* due(
  environment: LmdbEnvironment,
  database: Purged,
): Generator<{ readonly candidate: Candidate; readonly at: number }> {
  switch (database) {
    case 'deletedTags':
      for (const { key, row } of inPages(environment, database)) {
        const [repository, tag] = key
        yield { candidate: { kind: 'purged-tag', repository, tag, at: row.at }, at: row.at }
      }
      return
    case 'deletedManifests':
      for (const { key, row } of inPages(environment, database)) {
        const [repository, digest] = key
        const rest = { repository, digest, at: row.at, bytes: row.row.sizeBytes }
        yield { candidate: { kind: 'purged-manifest', ...rest }, at: row.at }
      }
      return
    case 'trash':
      for (const { key: digest, row } of inPages(environment, database)) {
        const { trashedAt: at, sizeBytes: bytes } = row
        yield {
          candidate: { kind: 'purged-blob', digest, at, hasObject: hasObject(row), bytes },
          at,
        }
      }
      return
    case 'pins':
      for (const { key, row } of inPages(environment, database)) {
        const [digest, name] = key
        if (row.expiresAt === undefined) continue
        const at = row.expiresAt
        yield { candidate: { kind: 'expired-pin', digest, name, at }, at }
      }
      return
    default:
      assertNever(database)
  }
}
