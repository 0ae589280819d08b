/**
 * @module `/admin/sync/plans`: what syncs would delete because upstream has it no longer, and applying that. The
 * same shape as `/admin/gc/plans`.
 */
import * as v from 'valibot'
import type { Jobs } from '../jobs/jobs.ts'
import type { SyncPlanRow } from '../metadata/rows/upstream.ts'
import { PlanRefusal } from '../sync/prune/apply.ts'
import type { PrunePlans } from '../sync/prune/plans.ts'
import { type Endpoint, endpoint, Reply } from './endpoint.ts'
import { jobSchema, toJob } from './job-endpoints.ts'
import { conflict, notFound, orNotFound } from './problem.ts'
import {
  countsSchema,
  cursorOf,
  defined,
  isoTime,
  nextSchema,
  pageQuery,
  planParams,
} from './schemas.ts'

export interface SyncPlanSources {
  readonly jobs: Jobs
  readonly plans: PrunePlans
  /** Throws a `PlanRefusal`. */
  readonly apply: (
    plan: string,
    by: string,
  ) => Promise<{ readonly id: string; readonly ended: Promise<void> }>
}

const planSchema = v.object({
  id: v.string(),
  source: v.string(),
  createdAt: v.string(),
  by: v.string(),
  kind: v.literal('sync-prune'),
  state: v.picklist(['ready', 'applying', 'applied', 'stopped', 'superseded']),
  /** Why it waits for an operator. */
  reasons: v.array(v.string()),
  counts: countsSchema,
  appliedAt: v.optional(v.string()),
  appliedBy: v.optional(v.string()),
  outcome: v.optional(countsSchema),
  message: v.optional(v.string()),
})

const itemSchema = v.object({
  kind: v.literal('tag'),
  repository: v.string(),
  tag: v.string(),
  digest: v.string(),
  rule: v.picklist(['gone', 'unselected', 'repository-gone']),
  upstreamRepository: v.string(),
})

function toPlan(id: string, row: SyncPlanRow): v.InferInput<typeof planSchema> {
  const { fingerprint: _fingerprint, createdAt, appliedAt, reasons, ...rest } = row
  return defined({
    id,
    kind: 'sync-prune' as const,
    ...rest,
    reasons: [...reasons],
    createdAt: isoTime(createdAt),
    appliedAt: isoTime(appliedAt),
  })
}

export function syncPlanEndpoints({ jobs, plans, apply }: SyncPlanSources): Endpoint[] {
  const found = (id: string) => orNotFound(plans.get(id), 'there is no such plan')
  return [
    endpoint({
      method: 'GET',
      path: '/admin/sync/plans',
      group: 'synchronisation',
      summary: 'plans of tags that syncs would delete, newest first',
      answer: v.object({ plans: v.array(planSchema) }),
      handle: () => ({ plans: plans.list().map(({ id, row }) => toPlan(id, row)) }),
    }),
    endpoint({
      method: 'GET',
      path: '/admin/sync/plans/{plan}',
      group: 'synchronisation',
      summary: 'one plan with its sums, and why it waits',
      params: planParams,
      answer: planSchema,
      handle: ({ params: { plan } }) => toPlan(plan, found(plan)),
    }),
    endpoint({
      method: 'GET',
      path: '/admin/sync/plans/{plan}/items',
      group: 'synchronisation',
      summary: 'the tags that the plan deletes, each with its rule',
      params: planParams,
      query: v.strictObject({ limit: pageQuery.limit, after: cursorOf(/^\d{8}$/) }),
      answer: v.object({ items: v.array(itemSchema), next: nextSchema }),
      handle: ({ params: { plan }, query }) => {
        found(plan)
        const { items, next } = plans.items(plan, query.after, query.limit)
        const shown = items.map(({ repository, local, ...rest }) => ({
          kind: 'tag' as const,
          ...rest,
          repository: local,
          upstreamRepository: repository,
        }))
        return defined({ items: shown, next })
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/sync/plans/{plan}/apply',
      group: 'synchronisation',
      summary: 'deletes what the plan says; what is back upstream or changed here since stays',
      params: planParams,
      body: v.strictObject({ wait: v.optional(v.boolean('expected true or false'), false) }),
      answer: v.object({ message: v.string(), job: jobSchema, plan: v.string() }),
      handle: async ({ params: { plan }, body: { wait } }, { actor }) => {
        const started = await apply(plan, actor).catch((error: unknown) => {
          if (!(error instanceof PlanRefusal)) throw error
          throw error.isUnknown ? notFound(error.message) : conflict(error.message)
        })
        if (wait) await started.ended
        const job = toJob(started.id, jobs.get(started.id)!)
        return new Reply(wait ? 200 : 202, { message: 'plan is applied', job, plan })
      },
    }),
  ]
}
