/**
 * @module What the admin API says of a sync: the keys of the first FastRegistry (`Name`, `Progress`) with true
 * numbers, and beside them what it did not say.
 */
import * as v from 'valibot'
import type { SyncRunRow } from '../../metadata/rows/upstream.ts'
import type { SyncExplanation, SyncFailure, SyncPlan, SyncStatus } from '../../sync/syncs.ts'
import { countsSchema, defined, isoTime } from '../schemas.ts'

/** How the first FastRegistry wrote "never". */
const never = '0001-01-01T00:00:00Z'

export const detailSchema = v.object({
  name: v.string(),
  type: v.string(),
  url: v.string(),
  mode: v.string(),
  schedule: v.optional(v.string()),
  state: v.string(),
  last_run: v.optional(v.string()),
  last_result: v.optional(v.string()),
  next_run: v.optional(v.string()),
  running_job: v.optional(v.string()),
})

const failureSchema = v.object({
  repository: v.string(),
  tag: v.optional(v.string()),
  digest: v.optional(v.string()),
  reason: v.string(),
  message: v.string(),
  attempts: v.number(),
  next_retry: v.optional(v.string()),
})

const budgetSchema = v.object({ limit: v.optional(v.number()), remaining: v.optional(v.number()) })

export const statusSchema = v.object({
  Name: v.string(),
  Running: v.boolean(),
  LastRun: v.string(),
  Progress: v.nullable(
    v.object({
      TotalRepos: v.number(),
      SyncedRepos: v.number(),
      FailedRepos: v.number(),
      TotalTags: v.number(),
      SyncedTags: v.number(),
      FailedTags: v.number(),
      BytesTotal: v.number(),
      BytesSynced: v.number(),
      StartTime: v.string(),
    }),
  ),
  Source: v.record(v.string(), v.unknown()),
  ...detailSchema.entries,
  phase: v.optional(v.string()),
  result: v.optional(v.string()),
  message: v.optional(v.string()),
  listing_complete: v.boolean(),
  counts: countsSchema,
  bytes: countsSchema,
  failures: v.array(failureSchema),
  current: v.array(v.object({ repository: v.string(), tag: v.string() })),
  rate: v.number(),
  eta_seconds: v.optional(v.number()),
  last_ok: v.optional(v.string()),
  upstream_expiring: v.optional(v.object({ tags: v.number(), first: v.string() })),
  budget: v.optional(budgetSchema),
})

const planItemSchema = v.object({
  repository: v.string(),
  tag: v.string(),
  action: v.string(),
  reason: v.string(),
  upstream_expires: v.optional(v.string()),
})

/** What a dry run says. */
export const planEntries = {
  plan: v.optional(v.string()),
  bytes: v.optional(v.number()),
  requests: v.optional(v.number()),
  items: v.optional(v.array(planItemSchema)),
  omitted: v.optional(v.number()),
  free_bytes: v.optional(v.number()),
  budget: v.optional(budgetSchema),
}

export const runSchema = v.object({
  started: v.string(),
  ended: v.optional(v.string()),
  job: v.optional(v.string()),
  by: v.string(),
  result: v.optional(v.string()),
  message: v.optional(v.string()),
  listing_complete: v.boolean(),
  counts: countsSchema,
})

export const explanationSchema = v.object({
  repository: v.string(),
  tag: v.string(),
  local: v.optional(v.string()),
  selected: v.boolean(),
  rule: v.string(),
  upstream_digest: v.optional(v.string()),
  local_digest: v.optional(v.string()),
  owned: v.boolean(),
  outcome: v.optional(v.string()),
  reason: v.optional(v.string()),
  message: v.optional(v.string()),
  attempts: v.number(),
  next_retry: v.optional(v.string()),
  upstream_expires: v.optional(v.string()),
})

export function toDetail(status: SyncStatus): v.InferInput<typeof detailSchema> {
  const { name, type, url, mode, schedule, state, lastResult, runningJob } = status
  return defined({
    name,
    type,
    url,
    mode,
    schedule,
    state,
    last_run: isoTime(status.lastRunAt),
    last_result: lastResult,
    next_run: isoTime(status.nextRunAt),
    running_job: runningJob,
  })
}

export function toStatus(status: SyncStatus): v.InferInput<typeof statusSchema> {
  const { progress, runningJob, phase, message, counts, current, rate, budget } = status
  return defined({
    Name: status.name,
    Running: runningJob !== undefined,
    LastRun: isoTime(status.lastRunAt) ?? never,
    Progress: progressOf(progress),
    Source: { ...status.source },
    ...toDetail(status),
    phase,
    result: runningJob === undefined ? status.lastResult : undefined,
    message,
    listing_complete: status.isListingComplete,
    counts: { ...counts },
    bytes: {
      downloaded: progress?.downloadedBytes ?? 0,
      linked: progress?.linkedBytes ?? 0,
      joined: progress?.joinedBytes ?? 0,
    },
    failures: status.failures.map(toFailure),
    current: current.map(({ repository, tag }) => ({ repository, tag })),
    rate,
    eta_seconds: status.etaSeconds,
    last_ok: isoTime(status.lastOkAt),
    upstream_expiring: expiringOf(status.expiring),
    budget: budget === undefined ? undefined : { ...budget },
  })
}

function expiringOf(expiring: SyncStatus['expiring']) {
  if (expiring === undefined) return undefined
  return { tags: expiring.tags, first: isoTime(expiring.firstAt) }
}

function progressOf(progress: SyncStatus['progress']) {
  if (progress === undefined) return null
  return {
    TotalRepos: progress.totalRepositories,
    SyncedRepos: progress.syncedRepositories,
    FailedRepos: progress.failedRepositories,
    TotalTags: progress.totalTags,
    SyncedTags: progress.syncedTags,
    FailedTags: progress.failedTags,
    BytesTotal: progress.bytesTotal,
    BytesSynced: progress.bytesSynced,
    StartTime: isoTime(progress.startedAt),
  }
}

function toFailure({ nextRetryAt, ...rest }: SyncFailure): v.InferInput<typeof failureSchema> {
  return defined({ ...rest, next_retry: isoTime(nextRetryAt) })
}

export function toPlan(it: SyncPlan) {
  const { items, freeBytes, budget, ...rest } = it
  return defined({
    ...rest,
    items: items.map(({ upstreamExpiresAt, ...item }) =>
      defined({ ...item, upstream_expires: isoTime(upstreamExpiresAt) }),
    ),
    free_bytes: freeBytes,
    budget: budget === undefined ? undefined : { ...budget },
  })
}

export function toRun(row: SyncRunRow): v.InferInput<typeof runSchema> {
  const { startedAt, endedAt, isListingComplete, counts, ...rest } = row
  return defined({
    started: isoTime(startedAt),
    ended: isoTime(endedAt),
    ...rest,
    listing_complete: isListingComplete,
    counts: { ...counts },
  })
}

export function toExplanation(it: SyncExplanation): v.InferInput<typeof explanationSchema> {
  const { repository, tag, local, rule, outcome, reason, message, attempts } = it
  return defined({
    repository,
    tag,
    local,
    selected: it.isSelected,
    rule,
    upstream_digest: it.upstreamDigest,
    local_digest: it.localDigest,
    owned: it.isOwned,
    outcome,
    reason,
    message,
    attempts,
    next_retry: isoTime(it.nextRetryAt),
    upstream_expires: isoTime(it.upstreamExpiresAt),
  })
}
