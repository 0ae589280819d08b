/**
 * @module `/admin/jobs`: what runs and what ran, its progress, an end before its time.
 */
import * as v from 'valibot'
import type { Jobs } from '../jobs/jobs.ts'
import type { MetadataReader } from '../metadata/port.ts'
import type { JobRow } from '../metadata/rows/jobs.ts'
import { type Endpoint, endpoint, Reply } from './endpoint.ts'
import { conflict, notFound } from './problem.ts'
import { countsSchema, cursorOf, defined, isoTime, nextSchema, pageQuery } from './schemas.ts'

export const jobSchema = v.object({
  id: v.string(),
  kind: v.string(),
  state: v.picklist(['running', 'done', 'failed', 'cancelled', 'stopped']),
  by: v.string(),
  createdAt: v.string(),
  endedAt: v.optional(v.string()),
  plan: v.optional(v.string()),
  counts: countsSchema,
  message: v.optional(v.string()),
  /** In a mesh: the node that runs it, or ran it. */
  member: v.optional(v.number()),
})

export function toJob(id: string, row: JobRow): v.InferInput<typeof jobSchema> {
  const { createdAt, endedAt, boot: _boot, ...rest } = row
  return defined({ id, ...rest, createdAt: isoTime(createdAt), endedAt: isoTime(endedAt) })
}

const params = v.object({ job: v.pipe(v.string(), v.maxLength(128)) })

export function jobEndpoints(jobs: Jobs, metadata: MetadataReader): Endpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/admin/jobs',
      group: 'jobs',
      summary: 'jobs in the order of their start, the last ones first with newest=true',
      query: v.strictObject({
        limit: pageQuery.limit,
        after: cursorOf(/^\d{15}-[0-9a-z]{16}$/),
        newest: v.optional(v.picklist(['true', 'false'])),
      }),
      answer: v.object({ jobs: v.array(jobSchema), next: nextSchema }),
      handle: ({ query }) => {
        const limit = query.limit
        const ids =
          query.newest === 'true'
            ? metadata.keysBackward('jobs', [], query.after, limit + 1)
            : metadata.keys('jobs', [], query.after, limit + 1)
        const page = ids.slice(0, limit)
        const next = ids.length > limit ? page.at(-1) : undefined
        return defined({
          jobs: page.flatMap((id) => {
            const row = jobs.get(id)
            return row === undefined ? [] : [toJob(id, row)]
          }),
          next,
        })
      },
    }),
    endpoint({
      method: 'GET',
      path: '/admin/jobs/{job}',
      group: 'jobs',
      summary: 'one job with its progress',
      params,
      answer: jobSchema,
      handle: ({ params: { job } }) => {
        const row = jobs.get(job)
        if (row === undefined) throw notFound('there is no such job')
        return toJob(job, row)
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/jobs/{job}/cancel',
      group: 'jobs',
      summary: 'asks a running job to stop where it stands',
      params,
      answer: jobSchema,
      handle: ({ params: { job } }) => {
        const row = jobs.get(job)
        if (row === undefined) throw notFound('there is no such job')
        if (!jobs.cancel(job)) {
          const isElsewhere = row.state === 'running' && row.member !== undefined
          const where = `it runs on node ${row.member} of the mesh: ask that one`
          throw conflict(`the job does not run here, ${isElsewhere ? where : `it is ${row.state}`}`)
        }
        return new Reply(202, toJob(job, row))
      },
    }),
  ]
}
