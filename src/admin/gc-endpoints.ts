/**
 * @module `/admin/gc`: runs, plans, applying them. `POST /admin/gc` keeps the first FastRegistry's
 * `message` and adds the job.
 */
import * as v from 'valibot'
import type { Collector } from '../gc/collector.ts'
import type { Jobs } from '../gc/jobs.ts'
import type { Plans } from '../gc/plans.ts'
import type { PlanRow } from '../storage/schema-cleanup.ts'
import { type Endpoint, endpoint, Reply } from './endpoint.ts'
import { jobSchema, toJob } from './job-endpoints.ts'
import { badRequest, notFound } from './problem.ts'
import {
  countsSchema,
  defined,
  isoTime,
  nextSchema,
  pageLimitDefault,
  pageQuery,
} from './schemas.ts'

export interface GcSources {
  readonly collector: Collector
  readonly jobs: Jobs
  readonly plans: Plans
  readonly status: () => GcStatus
}

export const gcStatusSchema = v.object({
  enabled: v.boolean(),
  schedule: v.string(),
  nextAt: v.optional(v.string()),
  running: v.optional(v.string()),
  lastJob: v.optional(jobSchema),
  clockDoubt: v.optional(v.string()),
})

export type GcStatus = v.InferInput<typeof gcStatusSchema>

const planSchema = v.object({
  id: v.string(),
  createdAt: v.string(),
  by: v.string(),
  kind: v.picklist(['collection', 'bulk-delete']),
  state: v.picklist(['ready', 'applying', 'applied', 'stopped']),
  appliedAt: v.optional(v.string()),
  counts: countsSchema,
  bytes: v.number(),
  unapproved: v.array(v.string()),
  message: v.optional(v.string()),
})

const itemSchema = v.object({
  kind: v.picklist(['tag', 'manifest', 'link', 'blob', 'manifest-bytes']),
  repository: v.optional(v.string()),
  tag: v.optional(v.string()),
  digest: v.string(),
  bytes: v.number(),
  rule: v.string(),
  reason: v.string(),
  lastUsedAt: v.string(),
  lastPulledAt: v.optional(v.string()),
})

const runBody = v.strictObject({
  dryRun: v.optional(v.boolean('expected true or false'), false),
  wait: v.optional(v.boolean('expected true or false'), false),
  acceptClock: v.optional(v.boolean('expected true or false'), false),
})

const runAnswer = v.object({
  message: v.string(),
  job: jobSchema,
  plan: v.optional(v.string()),
})

const planParams = v.object({
  plan: v.pipe(v.string(), v.regex(/^[0-9a-z-]{1,64}$/, 'not a plan id')),
})

function toPlan(id: string, row: PlanRow): v.InferInput<typeof planSchema> {
  const { rules: _rules, createdAt, appliedAt, ...rest } = row
  return defined({
    id,
    ...rest,
    unapproved: [...row.unapproved],
    createdAt: isoTime(createdAt),
    appliedAt: isoTime(appliedAt),
  })
}

export function gcEndpoints({ collector, jobs, plans, status }: GcSources): Endpoint[] {
  const answer = async (
    started: { readonly id: string; readonly ended: Promise<void> },
    waits: boolean,
    message: string,
  ) => {
    if (waits) await started.ended
    const job = toJob(started.id, jobs.get(started.id)!)
    const body = defined({ message, job, plan: job.plan })
    return new Reply(waits ? 200 : 202, body)
  }
  const find = (id: string): PlanRow => {
    const row = plans.get(id)
    if (row === undefined) throw notFound('there is no such plan')
    return row
  }
  return [
    endpoint({
      method: 'GET',
      path: '/admin/gc',
      group: 'collection',
      summary: 'whether the collection runs, its last and its next run',
      answer: gcStatusSchema,
      handle: status,
    }),
    endpoint({
      method: 'POST',
      path: '/admin/gc',
      group: 'collection',
      summary: 'runs the collection now; dryRun makes a plan only, wait answers at the end',
      body: runBody,
      answer: runAnswer,
      handle: async ({ body: { dryRun, wait, acceptClock } }, { actor }) => {
        const kind = dryRun ? 'plan' : 'run'
        const started = await collector.start({ kind, by: actor, acceptClock })
        // Those words are what the first FastRegistry answered, with 200.
        const reply = await answer(started, wait, 'GC triggered')
        return new Reply(200, reply.body)
      },
    }),
    endpoint({
      method: 'GET',
      path: '/admin/gc/plans',
      group: 'collection',
      summary: 'plans, newest first',
      answer: v.object({ plans: v.array(planSchema) }),
      handle: () => ({ plans: plans.list().map(({ id, row }) => toPlan(id, row)) }),
    }),
    endpoint({
      method: 'GET',
      path: '/admin/gc/plans/{plan}',
      group: 'collection',
      summary: 'one plan with its sums',
      params: planParams,
      answer: planSchema,
      handle: ({ params: { plan } }) => toPlan(plan, find(plan)),
    }),
    endpoint({
      method: 'GET',
      path: '/admin/gc/plans/{plan}/items',
      group: 'collection',
      summary: 'what the plan removes, in order, each with its rule and reason',
      params: planParams,
      query: v.object(pageQuery),
      answer: v.object({ items: v.array(itemSchema), next: nextSchema }),
      handle: async ({ params: { plan }, query }) => {
        find(plan)
        const offset = Number(query.after ?? 0)
        if (!Number.isSafeInteger(offset) || offset < 0)
          throw badRequest('query.after: not a cursor')
        const page = await plans.items(plan, offset, query.limit ?? pageLimitDefault).catch(() => {
          throw badRequest('query.after: not a cursor of this plan')
        })
        const items = page.items.map(({ at, pulledAt, ...item }) => {
          const {
            approval: _approval,
            place: _place,
            ...shown
          } = item as typeof item & {
            approval?: string
            place?: string
          }
          return defined({ ...shown, lastUsedAt: isoTime(at), lastPulledAt: isoTime(pulledAt) })
        })
        return defined({ items, next: page.next?.toString() }) as never
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/gc/plans/{plan}/apply',
      group: 'collection',
      summary: 'removes exactly what the plan says; what changed since is skipped',
      params: planParams,
      body: v.omit(runBody, ['dryRun']),
      answer: runAnswer,
      handle: async ({ params: { plan }, body: { wait, acceptClock } }, { actor }) => {
        const started = await collector.start({ kind: 'apply', plan, by: actor, acceptClock })
        return answer(started, wait, 'plan is applied')
      },
    }),
  ]
}
