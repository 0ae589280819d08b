/**
 * @module `/admin/audit`: the audit trail, newest first, where it goes to a file. The history
 * (`/admin/events`) tells what changed; this one also who was refused, and why.
 */
import * as v from 'valibot'
import {
  type AuditLine,
  type AuditPage,
  type AuditPlace,
  readAuditPage,
} from '../observability/audit-reader.ts'
import { type Endpoint, endpoint } from './endpoint.ts'
import { AdminProblem, badRequest, notFound } from './problem.ts'
import { defined, nextSchema, pageQuery, repositorySchema } from './schemas.ts'

const text = v.optional(v.pipe(v.string(), v.maxLength(256)))
const time = v.optional(v.pipe(v.string(), v.isoTimestamp('expected an ISO 8601 time')))

const lineSchema = v.object({
  time: v.string(),
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
})

/** `file`: where the trail goes; `stdout` or undefined for nowhere: then there is nothing to read. */
export function auditEndpoints(file: string | undefined): Endpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/admin/audit',
      group: 'history',
      summary:
        'the audit trail, newest first: changes and refusals, by user, address, action, decision, repository, request, between two times',
      query: v.object({
        ...pageQuery,
        user: text,
        address: text,
        action: text,
        decision: v.optional(v.picklist(['done', 'refused'])),
        repository: v.optional(repositorySchema),
        requestId: text,
        since: time,
        until: time,
      }),
      answer: v.object({ lines: v.array(lineSchema), next: nextSchema }),
      handle: async ({ query }) => {
        if (file === undefined || file === 'stdout') {
          throw notFound('the audit trail goes to no file; name one with audit.file')
        }
        const { limit, after, since, until, ...wanted } = query
        const before = until === undefined ? undefined : new Date(until).toISOString()
        const page = await read(file, {
          limit,
          from: after === undefined ? undefined : parsePlace(after),
          since: since === undefined ? undefined : new Date(since).toISOString(),
          fits: (line) => (before === undefined || line.time < before) && isLike(line, wanted),
        })
        const next = page.next && `${page.next.inode}-${page.next.offset}`
        return defined({ lines: page.lines.map(toLine), next })
      },
    }),
  ]
}

async function read(file: string, query: Parameters<typeof readAuditPage>[1]): Promise<AuditPage> {
  try {
    const page = await readAuditPage(file, query)
    if (page !== undefined) return page
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw notFound('the audit file is not there yet, or was moved away: see SIGHUP')
  }
  const message = 'the audit file was rotated since that page; begin again without after'
  throw new AdminProblem(410, 'rotated', message)
}

function parsePlace(after: string): AuditPlace {
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(after)
  if (match === null) throw badRequest('after must be the next of an earlier page')
  return { inode: Number(match[1]), offset: Number(match[2]) }
}

function isLike(line: AuditLine, wanted: Readonly<Record<string, string | undefined>>): boolean {
  const fields = line as unknown as Readonly<Record<string, unknown>>
  return Object.entries(wanted).every(([name, value]) => {
    return value === undefined || fields[name] === value
  })
}

/** Named one by one, as they were written: whatever else stands in the file is nobody's business. */
function toLine(line: AuditLine): v.InferInput<typeof lineSchema> {
  const { time, action, decision, user, via, address, repository, reference } = line
  const { digest, requestId, status, rule, reason, path } = line
  const names = { user, via, address, repository, reference, digest, requestId }
  return defined({ time, action, decision, ...names, status, rule, reason, path })
}
