/**
 * @module What enforcement would have refused, and what it refused: tags that moved, and pulls.
 */
import * as v from 'valibot'
import type { MetadataReader } from '../../metadata/port.ts'
import type { EventRow } from '../../metadata/schema.ts'
import type { PullViolationRow } from '../../metadata/verdicts/rows.ts'
import type { PullViolations } from '../../signing/pulls/violations.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import type { EventTail } from '../events/tail.ts'
import { cursorOf, defined, isoTime, nextSchema, pageQuery, repositorySchema } from '../schemas.ts'

export interface ViolationSources {
  readonly metadata: MetadataReader
  readonly tail: EventTail
  readonly violations: Pick<PullViolations, 'write'>
}

const pullSchema = v.object({
  repository: v.string(),
  digest: v.string(),
  policy: v.string(),
  mode: v.picklist(['audit', 'warn', 'enforce']),
  state: v.string(),
  message: v.string(),
  count: v.number(),
  firstAt: v.string(),
  lastAt: v.string(),
  pullers: v.array(
    v.object({
      user: v.optional(v.string()),
      address: v.string(),
      count: v.number(),
      lastAt: v.string(),
    }),
  ),
})

export function violationEndpoints({ metadata, tail, violations }: ViolationSources): Endpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/admin/signatures/violations',
      group: 'signatures',
      summary:
        'tags that moved although a policy in the mode audit or warn was not met, newest first',
      query: v.strictObject({
        limit: pageQuery.limit,
        after: cursorOf(/^\d{1,15}$/),
        repository: v.optional(repositorySchema),
      }),
      answer: v.object({
        violations: v.array(
          v.object({
            repository: v.string(),
            tag: v.string(),
            digest: v.string(),
            at: v.string(),
            by: v.string(),
            message: v.string(),
          }),
        ),
        next: nextSchema,
      }),
      handle: async ({ query: { limit, after, repository } }) => {
        const fits = ({ action }: EventRow) => action === 'signature-missing'
        const filter = { repository, since: undefined, until: undefined, fits }
        const before = after === undefined ? undefined : Number(after)
        const { events, last, hasMore } = await tail.backward(filter, before, limit)
        const found = events.map(({ row }) => ({
          repository: row.repository,
          tag: row.tag ?? '',
          digest: row.digest ?? '',
          at: isoTime(row.at),
          by: row.by,
          message: row.why ?? '',
        }))
        return defined({ violations: found, next: hasMore ? String(last) : undefined })
      },
    }),
    endpoint({
      method: 'GET',
      path: '/admin/signatures/violations/pulls',
      group: 'signatures',
      summary:
        'images that were pulled although a policy was not met, refused or not, with how often and by whom, by name',
      query: v.strictObject({
        limit: pageQuery.limit,
        after: cursorOf(/^[a-z0-9._/-]{1,255}@[a-z0-9]+:[a-f0-9]+$/),
        repository: v.optional(repositorySchema),
      }),
      answer: v.object({ pulls: v.array(pullSchema), next: nextSchema }),
      handle: async ({ query: { limit, after, repository } }) => {
        await violations.write()
        const prefix = repository === undefined ? '' : `${repository}@`
        // Keys of a repository follow its name: `@` stands before the first of them.
        const from = after ?? (prefix === '' ? undefined : prefix)
        const found = metadata
          .entries('pullViolations', [], from, limit + 1)
          .filter(({ key }) => key.startsWith(prefix))
        const next = found.length > limit ? found[limit - 1]!.key : undefined
        return defined({ pulls: found.slice(0, limit).map(toPull), next })
      },
    }),
  ]
}

function toPull({
  key,
  row,
}: {
  readonly key: string
  readonly row: PullViolationRow
}): v.InferInput<typeof pullSchema> {
  const [repository = '', digest = ''] = key.split('@')
  const { firstAt, lastAt, pullers, ...rest } = row
  return {
    repository,
    digest,
    ...rest,
    firstAt: isoTime(firstAt),
    lastAt: isoTime(lastAt),
    pullers: pullers.map((one) =>
      defined({
        ...one,
        user: one.user === '' ? undefined : one.user,
        lastAt: isoTime(one.lastAt),
      }),
    ),
  }
}
