/**
 * @module `/admin/gc`: runs, plans, applying them. `POST /admin/gc` keeps the first FastRegistry's
 * `message` and adds the job.
 */
import * as v from 'valibot'
import type { Collector } from '../gc/collector.ts'
import type { BulkRequest } from '../gc/plan/bulk-delete.ts'
import type { Plans } from '../gc/plan/plans.ts'
import type { ExplainedItem } from '../gc/worker/messages.ts'
import type { Jobs } from '../jobs/jobs.ts'
import type { PlanRow } from '../metadata/rows/jobs.ts'
import { parseRepositoryName, type RepositoryName } from '../registry/name.ts'
import { parsePattern } from '../registry/pattern.ts'
import { type Endpoint, endpoint, Reply } from './endpoint.ts'
import { jobSchema, toJob } from './job-endpoints.ts'
import { requireOn, SEES } from './needs.ts'
import { badRequest, notFound, orNotFound } from './problem.ts'
import {
  countsSchema,
  cursorOf,
  defined,
  isoTime,
  nextSchema,
  pageQuery,
  planParams,
} from './schemas.ts'

export interface GcSources {
  readonly collector: Collector
  readonly jobs: Jobs
  readonly plans: Plans
  readonly status: () => GcStatus
  readonly planBulk: (request: Omit<BulkRequest, 'now'>) => Promise<string>
  readonly explain: (
    repository: RepositoryName,
    only: string | undefined,
    signal: AbortSignal,
  ) => Promise<readonly ExplainedItem[]>
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
  /** In a mesh: the node that made it, and has its items. */
  member: v.optional(v.number()),
})

const itemSchema = v.object({
  kind: v.picklist(['tag', 'manifest', 'link', 'blob']),
  repository: v.optional(v.string()),
  tag: v.optional(v.string()),
  digest: v.string(),
  bytes: v.number(),
  rule: v.string(),
  reason: v.string(),
  lastUsedAt: v.string(),
  lastPulledAt: v.optional(v.string()),
})

const patternsSchema = v.pipe(
  v.array(
    v.pipe(
      v.string('expected a pattern'),
      v.check((text) => parsePattern(text).ok, 'expected a glob, or /a regular expression/'),
    ),
    'expected a list of patterns',
  ),
  v.minLength(1, 'expected at least one pattern'),
  v.maxLength(100, 'expected at most 100 patterns'),
)

const verdictSchema = v.object({
  kind: v.picklist(['tag', 'manifest']),
  name: v.string(),
  stays: v.boolean(),
  rule: v.optional(v.string()),
  reason: v.string(),
  goesAt: v.optional(v.string()),
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

function toPlan(id: string, row: PlanRow): v.InferInput<typeof planSchema> {
  const { rules: _rules, boot: _boot, createdAt, appliedAt, ...rest } = row
  return defined({
    id,
    ...rest,
    unapproved: [...row.unapproved],
    createdAt: isoTime(createdAt),
    appliedAt: isoTime(appliedAt),
  })
}

export function gcEndpoints(sources: GcSources): Endpoint[] {
  const { collector, jobs, plans, status, planBulk, explain } = sources
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
  const found = (id: string) => orNotFound(plans.get(id), 'there is no such plan')
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
      method: 'POST',
      path: '/admin/gc/plans',
      group: 'collection',
      summary: 'plans the deletion of tags by pattern; nothing goes before it is applied',
      body: v.strictObject({
        repositories: patternsSchema,
        tags: patternsSchema,
        pushedBefore: v.optional(v.pipe(v.string(), v.isoTimestamp('expected an ISO 8601 time'))),
      }),
      answer: planSchema,
      handle: async ({ body: { repositories, tags, pushedBefore } }, { actor }) => {
        const before = pushedBefore === undefined ? undefined : Date.parse(pushedBefore)
        const id = await planBulk({ repositories, tags, pushedBefore: before, by: actor })
        return new Reply(201, toPlan(id, found(id)))
      },
    }),
    endpoint({
      method: 'GET',
      path: '/admin/explain',
      need: 'any',
      group: 'collection',
      summary:
        'why a repository, tag or digest stays or goes, and when: repository[:tag|@digest]; needs list or pull there',
      query: v.strictObject({ of: v.pipe(v.string('expected a name'), v.maxLength(600)) }),
      answer: v.object({ repository: v.string(), verdicts: v.array(verdictSchema) }),
      handle: ({ query: { of } }, { asker, signal }) => {
        const { name, wanted } = parseOf(of)
        requireOn(asker, SEES, name)
        return explainReference(name, wanted, explain, signal)
      },
    }),
    endpoint({
      method: 'GET',
      path: '/admin/gc/plans/{plan}',
      group: 'collection',
      summary: 'one plan with its sums',
      params: planParams,
      answer: planSchema,
      handle: ({ params: { plan } }) => toPlan(plan, found(plan)),
    }),
    endpoint({
      method: 'GET',
      path: '/admin/gc/plans/{plan}/items',
      group: 'collection',
      summary: 'what the plan removes, in order, each with its rule and reason',
      params: planParams,
      query: v.strictObject({ limit: pageQuery.limit, after: cursorOf(/^\d{1,15}$/) }),
      answer: v.object({ items: v.array(itemSchema), next: nextSchema }),
      handle: async ({ params: { plan }, query }) => {
        plans.requireHere(found(plan))
        const offset = Number(query.after ?? 0)
        if (!Number.isSafeInteger(offset) || offset < 0)
          throw badRequest('query.after: not a cursor')
        const page = await plans.items(plan, offset, query.limit).catch(() => {
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

function parseOf(of: string): { readonly name: RepositoryName; readonly wanted?: string } {
  const [, text = '', tag, digest] = /^([^:@]+)(?::([^@]+)|@(.+))?$/.exec(of) ?? []
  const name = parseRepositoryName(text)
  if (!name.ok) throw badRequest('query.of: expected repository[:tag|@digest]')
  const wanted = tag ?? digest
  return wanted === undefined ? { name: name.value } : { name: name.value, wanted }
}

async function explainReference(
  name: RepositoryName,
  wanted: string | undefined,
  explain: GcSources['explain'],
  signal: AbortSignal,
) {
  const found = await explain(name, wanted, signal)
  if (found.length === 0 && wanted !== undefined) throw notFound('there is no such tag or manifest')
  const verdicts = found.map(({ goesAt, ...rest }) => defined({ ...rest, goesAt: isoTime(goesAt) }))
  return { repository: name, verdicts }
}
