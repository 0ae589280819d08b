/**
 * @module The kill switch: digests that can be pulled no more, in any repository.
 */
import * as v from 'valibot'
import { recordEvent } from '../../metadata/edits.ts'
import type { MetadataStore } from '../../metadata/port.ts'
import type { Digest } from '../../registry/digest.ts'
import type { Clock } from '../../runtime/clock.ts'
import { revocationsMax } from '../../signing/revoked.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { conflict, notFound } from '../problem.ts'
import { cursorOf, defined, digestSchema, isoTime, nextSchema, pageQuery } from '../schemas.ts'

export interface RevocationSources {
  readonly metadata: MetadataStore
  readonly clock: Clock
  /** `signing.revoked.digests`. */
  readonly configured: readonly Digest[]
}

const revokedSchema = v.object({
  digest: v.string(),
  reason: v.string(),
  by: v.optional(v.string()),
  at: v.optional(v.string()),
  configured: v.boolean(),
})

export function revocationEndpoints({
  metadata,
  clock,
  configured,
}: RevocationSources): Endpoint[] {
  const rowOf = (digest: Digest) => {
    const row = metadata.get('revoked', digest)
    return row && { digest, reason: row.reason, by: row.by, at: isoTime(row.at), configured: false }
  }
  return [
    endpoint({
      method: 'GET',
      path: '/admin/signatures/revoked',
      group: 'signatures',
      summary: 'digests that can be pulled no more: first those of the configuration',
      query: v.strictObject({ limit: pageQuery.limit, after: cursorOf(/^[a-z0-9]+:[a-f0-9]+$/) }),
      answer: v.object({ revoked: v.array(revokedSchema), next: nextSchema }),
      handle: ({ query: { limit, after } }) => {
        const keys = metadata.keys('revoked', [], after, limit + 1)
        const rows = keys.slice(0, limit).flatMap((digest) => rowOf(digest) ?? [])
        const first = after === undefined ? configured : []
        const named = first.map((digest) => ({
          digest,
          reason: 'by the configuration',
          configured: true,
        }))
        const next = keys.length > limit ? keys[limit - 1] : undefined
        return defined({ revoked: [...named, ...rows], next })
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/signatures/revoke',
      group: 'signatures',
      summary:
        'stops a digest, and what an index of that digest lists, in every repository: no pull, no tag, no copy',
      body: v.strictObject({
        digest: digestSchema,
        reason: v.optional(v.pipe(v.string(), v.maxLength(256)), ''),
      }),
      answer: revokedSchema,
      handle: async ({ body: { digest, reason } }, { actor: by }) => {
        const isNew = metadata.get('revoked', digest) === undefined
        if (isNew && metadata.count('revoked') >= revocationsMax) {
          throw conflict(`${revocationsMax} digests are revoked; take some back first`)
        }
        const at = clock.now()
        const event = recordEvent({
          at,
          action: 'revoke',
          repository: '',
          by,
          digest,
          why: reason,
        })
        await metadata.commit({
          checks: [],
          changes: [{ change: 'put', in: 'revoked', key: digest, row: { at, by, reason } }, event],
        })
        return { digest, reason, by, at: isoTime(at), configured: false }
      },
    }),
    endpoint({
      method: 'DELETE',
      path: '/admin/signatures/revoke/{digest}',
      group: 'signatures',
      summary: 'takes that back; a digest of the configuration stays revoked',
      params: v.object({ digest: digestSchema }),
      answer: revokedSchema,
      handle: async ({ params: { digest } }, { actor: by }) => {
        const shown = rowOf(digest)
        if (shown === undefined) throw notFound('this digest is not revoked by the API')
        const event = recordEvent({
          at: clock.now(),
          action: 'unrevoke',
          repository: '',
          by,
          digest,
        })
        await metadata.commit({
          checks: [],
          changes: [{ change: 'delete', in: 'revoked', key: digest }, event],
        })
        return shown
      },
    }),
  ]
}
