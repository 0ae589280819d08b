/**
 * @module The status of a source of a synchronisation as one line of progress.
 */
import { bar } from '../bar.ts'

/** What the commands read of `GET /admin/sync/status/{source}`. */
export interface SyncState {
  readonly state: string
  readonly phase?: string
  readonly message?: string
  readonly result?: string
  readonly running_job?: string
  readonly listing_complete: boolean
  readonly rate: number
  readonly eta_seconds?: number
  readonly counts: Readonly<Record<string, number>>
  readonly upstream_expiring?: { readonly tags: number; readonly first: string }
  readonly failures: readonly {
    readonly repository: string
    readonly tag?: string
    readonly reason: string
    readonly message: string
    readonly next_retry?: string
  }[]
  readonly Progress: {
    readonly TotalTags: number
    readonly SyncedTags: number
    readonly FailedTags: number
    readonly BytesTotal: number
    readonly BytesSynced: number
  } | null
}

/** `copying [######------] 30 of 40 tags, 0.5 of 2.0 MB, 1.2 MB/s, 25 s left`. */
export function progressOf(status: SyncState): string {
  const { Progress: progress, phase, message, rate, listing_complete, eta_seconds } = status
  const what = status.state === 'waiting' ? `waiting: ${message ?? ''}` : (phase ?? status.state)
  if (progress === null) return what
  const { TotalTags, SyncedTags, FailedTags, BytesTotal, BytesSynced } = progress
  const done = SyncedTags + FailedTags
  // A sum that still grows is told as one.
  const all = `${TotalTags}${listing_complete ? '' : '+'}`
  const parts = [
    `${bar(done, TotalTags)} ${done} of ${all} tags`,
    `${megabytes(BytesSynced)} of ${megabytes(BytesTotal)} MB`,
    `${megabytes(rate)} MB/s`,
    ...(FailedTags > 0 ? [`${FailedTags} failed`] : []),
    ...(eta_seconds === undefined ? [] : [`${timeText(eta_seconds)} left`]),
  ]
  return `${what} ${parts.join(', ')}`
}

function megabytes(bytes: number): string {
  return (bytes / 1_000_000).toFixed(1)
}

function timeText(seconds: number): string {
  if (seconds < 120) return `${Math.ceil(seconds)} s`
  return seconds < 7_200 ? `${Math.ceil(seconds / 60)} min` : `${Math.ceil(seconds / 3_600)} h`
}
