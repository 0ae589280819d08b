/**
 * @module Whether a repository of a source is looked at in a run, how much of it, and where it lies here.
 * One read of the journal a repository, no write: most have not changed.
 */
import type { SyncRepositoryRow } from '../../metadata/rows/upstream.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { ListedRepository } from '../port.ts'
import { mapName } from '../selection/names.ts'
import type { RunParts } from './parts.ts'

/** Pages of tags go so much further back than the last push that was seen, ms: replicas lag. */
export const overlapMs = 600_000

/** Tags that are younger may be signed any moment. */
export const freshMs = 3_600_000

export interface Place {
  readonly repository: string
  readonly local: RepositoryName
  readonly row: SyncRepositoryRow | undefined
  /** Tags that were set before this are left out; undefined: a full pass. */
  readonly since: number | undefined
  /** As the source lists it. */
  readonly changedAt: number | undefined
}

export type Placed =
  | { readonly kind: 'not-selected' }
  | { readonly kind: 'bad-name'; readonly message: string }
  | { readonly kind: 'collision'; readonly message: string }
  | { readonly kind: 'unchanged'; readonly local: RepositoryName }
  | ({ readonly kind: 'due' } & Place)

export interface PlaceHow {
  readonly isFull: boolean
  /** Whatever the source says of its times. */
  readonly isAsked: boolean
}

export function placeOf(parts: RunParts, listed: ListedRepository, how: PlaceHow): Placed {
  const { config, selection, owners, journal, fingerprint } = parts
  const { name, changedAt } = listed
  if (!selection.isSelected(name)) return { kind: 'not-selected' }
  const mapped = mapName(config, name)
  if (mapped.kind === 'bad-name') return mapped
  const claim = owners.claim(mapped.name, { source: config.name, repository: name })
  if (claim.kind === 'collision') {
    const { repository, source } = claim.owner
    const message = `${mapped.name} belongs to ${repository} of the source ${source}`
    return { kind: 'collision', message }
  }
  const local = mapped.name
  const known = journal.repository(config.name, name)
  const row = known?.fingerprint === fingerprint && known.local === local ? known : undefined
  const isFull = how.isFull || isFullPassDue(parts, row)
  const place: Place = { repository: name, local, row, since: undefined, changedAt }
  if (isFull || row?.watermark === undefined) return { kind: 'due', ...place }
  const { watermark } = row
  if (!how.isAsked && !isChanged(parts, row, watermark, changedAt)) {
    return { kind: 'unchanged', local }
  }
  if (parts.filter.needsAllTags(parts.upstream.tellsTimes)) return { kind: 'due', ...place }
  // A time that goes back is of a tag that was deleted, or of a clock that was set back: what came since may be older.
  const hasGoneBack = changedAt !== undefined && changedAt < (row.changedAt ?? 0)
  if (hasGoneBack) return { kind: 'due', ...place }
  return { kind: 'due', ...place, since: watermark - overlapMs }
}

/** Signatures come to tags that have not moved, so these are looked at as well from time to time. */
function isFullPassDue({ config, clock }: RunParts, row: SyncRepositoryRow | undefined): boolean {
  if (row?.fullPassAt === undefined) return true
  const { signatures, sboms, others } = config.referrers
  const hasReferrers = signatures || sboms || others
  const everyMs = hasReferrers
    ? Math.min(config.fullEveryMs, config.referrersEveryMs)
    : config.fullEveryMs
  const age = clock.now() - row.fullPassAt
  // Below 0: the clock was set back, and nothing is known of the time since.
  return age >= everyMs || age < 0
}

function isChanged(
  { clock }: RunParts,
  row: SyncRepositoryRow,
  watermark: number,
  changedAt: number | undefined,
): boolean {
  if (changedAt === undefined || changedAt > watermark) return true
  // Another time than the last one, even an earlier one, is news.
  if (row.changedAt !== undefined && row.changedAt !== changedAt) return true
  return watermark > clock.now() - freshMs
}

/**
 * Up to where everything of a repository has been seen. Times are whole seconds, and more may come in the
 * last one, as long as it is not long ago. Never ahead of our own time: one tag with a time that is still to come
 * would hide all that follow. Otherwise never goes back.
 */
export function watermarkOf(
  newest: number | undefined,
  before: number | undefined,
  now: number,
): number | undefined {
  if (newest === undefined) return before
  const seen = newest > now - overlapMs ? newest - 1 : newest
  return Math.min(Math.max(seen, before ?? 0), now)
}
