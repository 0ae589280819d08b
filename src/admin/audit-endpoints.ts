/**
 * @module `/admin/audit`: searches the audit file, newest first. It has changes and refusals of the
 * file in use; what was moved away (SIGHUP) is not looked at. Shows the fields of a record one by
 * one and nothing else that may stand in the file.
 */

import * as v from 'valibot'
import { type AuditFields, searchAudit } from '../observability/audit-search.ts'
import { assertNever } from '../registry/assert-never.ts'
import { type Endpoint, endpoint } from './endpoint.ts'
import { AdminProblem, badRequest, notFound } from './problem.ts'
import { nextSchema, pageQuery } from './schemas.ts'

export interface AuditSources {
  /** Path of the file, or `stdout`; undefined: there is no audit trail. */
  readonly file: string | undefined
  /** Resolves when what was written so far has reached the file. */
  flush(): Promise<void>
}

/** Bytes of the file that one request reads; `next` goes on from there. */
const scanBytesMax = 64 * 1024 * 1024

const entrySchema = v.object({
  time: v.pipe(v.string(), v.isoTimestamp()),
  action: v.string(),
  decision: v.picklist(['done', 'refused']),
  user: v.optional(v.string()),
  via: v.optional(v.string()),
  address: v.optional(v.string()),
  repository: v.optional(v.string()),
  reference: v.optional(v.string()),
  digest: v.optional(v.string()),
  requestId: v.optional(v.string()),
  status: v.optional(v.number()),
  rule: v.optional(v.number()),
  reason: v.optional(v.string()),
  path: v.optional(v.string()),
  count: v.optional(v.number()),
  since: v.optional(v.string()),
})

const timeSchema = v.optional(v.pipe(v.string(), v.isoTimestamp('expected an ISO 8601 time')))
const textSchema = v.optional(v.pipe(v.string(), v.maxLength(512)))

const querySchema = v.strictObject({
  ...pageQuery,
  user: textSchema,
  action: textSchema,
  decision: v.optional(v.picklist(['done', 'refused'], 'expected done or refused')),
  repository: textSchema,
  address: textSchema,
  requestId: textSchema,
  since: timeSchema,
  until: timeSchema,
})

/** Fields that a query may name: the record must have that very value. */
const exactFields = ['user', 'action', 'decision', 'repository', 'address', 'requestId'] as const

export function auditEndpoints({ file, flush }: AuditSources): Endpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/admin/audit',
      group: 'history',
      summary:
        'the audit file, newest first: by user, action, decision, repository, address, requestId, between two times; a page may be empty and have a next one',
      query: querySchema,
      answer: v.object({ entries: v.array(entrySchema), next: nextSchema }),
      handle: async ({ query }, { signal }) => {
        const path = searchable(file)
        await flush()
        const since = query.since === undefined ? undefined : Date.parse(query.since)
        const pick = picker(query, since)
        const { after, limit } = query
        const bounds = { after, limit, bytesMax: scanBytesMax, since }
        const found = await searchAudit(path, { ...bounds, pick, signal })
        switch (found.kind) {
          case 'unknown-cursor':
            throw badRequest('query.after: expected the next of an earlier answer')
          case 'rotated':
            throw new AdminProblem('ADMIN_ROTATED')
          case 'page': {
            const { entries, next } = found
            return { entries: [...entries], ...(next === undefined ? {} : { next }) }
          }
          default:
            return assertNever(found)
        }
      },
    }),
  ]
}

function searchable(file: string | undefined): string {
  if (file === undefined) {
    throw notFound('there is no audit trail; set audit.file to the path of a file')
  }
  if (file === 'stdout') {
    throw notFound(
      'the audit trail goes to standard output, where it cannot be searched; set audit.file to the path of a file',
    )
  }
  return file
}

type Query = v.InferOutput<typeof querySchema>
type Entry = v.InferOutput<typeof entrySchema>

/** Tells the records that a query asks for. Compares before it validates: most lines are others. */
function picker(
  query: Query,
  since: number | undefined,
): (fields: AuditFields) => Entry | undefined {
  const until = query.until === undefined ? Number.POSITIVE_INFINITY : Date.parse(query.until)
  const from = since ?? Number.NEGATIVE_INFINITY
  const wanted = exactFields.flatMap((name) =>
    query[name] === undefined ? [] : [[name, query[name]] as const],
  )
  return (fields) => {
    if (wanted.some(([name, value]) => fields[name] !== value)) return undefined
    const at = Date.parse(String(fields['time']))
    if (at < from || at >= until) return undefined
    const result = v.safeParse(entrySchema, fields)
    return result.success ? result.output : undefined
  }
}
