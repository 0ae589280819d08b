/**
 * @module `/admin/pins`: digests that no rule and no delete may touch.
 */

import * as v from 'valibot'
import type { Asker } from '../auth/asker.ts'
import { recordEvent } from '../metadata/edits.ts'
import { lastText } from '../metadata/key-order.ts'
import type { MetadataReader, MetadataStore } from '../metadata/port.ts'
import { inTurns } from '../metadata/scan.ts'
import type { PinRow } from '../metadata/schema.ts'
import type { Digest } from '../registry/digest.ts'
import type { Clock } from '../runtime/clock.ts'
import { type Endpoint, endpoint, Reply } from './endpoint.ts'
import { requireOn, sees } from './needs.ts'
import { notFound } from './problem.ts'
import { defined, digestSchema, isoTime, repositorySchema } from './schemas.ts'

export interface PinSources {
  readonly metadata: MetadataStore
  readonly clock: Clock
}

const pinSchema = v.object({
  digest: v.string(),
  name: v.string(),
  repository: v.optional(v.string()),
  expiresAt: v.optional(v.string()),
  note: v.string(),
  createdAt: v.string(),
  by: v.string(),
})

const pinParams = v.object({
  digest: digestSchema,
  name: v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,128}$/, 'expected letters, digits, . _ -')),
})

const toPin = (digest: string, name: string, row: PinRow): v.InferInput<typeof pinSchema> =>
  defined({
    digest,
    name,
    ...row,
    createdAt: isoTime(row.createdAt),
    expiresAt: isoTime(row.expiresAt),
  })

const MAY_PIN = ['push', 'delete'] as const

/** Pins of one answer. */
const pinsMax = 10_000

/** What an asker may not see is not there for him. */
const isKnown = (asker: Asker, { repository }: PinRow) =>
  asker.isAdmin || (repository !== undefined && sees(asker, repository))

export function pinEndpoints({ metadata, clock }: PinSources): Endpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/admin/pins',
      need: 'any',
      group: 'pins',
      summary: 'pins of a digest, or all of them in the order of digests',
      query: v.strictObject({ digest: v.optional(digestSchema) }),
      answer: v.object({ pins: v.array(pinSchema) }),
      handle: async ({ query: { digest } }, { asker }) => {
        const pins: v.InferInput<typeof pinSchema>[] = []
        for await (const { key, row } of allPins(metadata, digest)) {
          if (isKnown(asker, row)) pins.push(toPin(key[0], key[1], row))
          if (pins.length === pinsMax) break
        }
        return { pins }
      },
    }),
    endpoint({
      method: 'PUT',
      path: '/admin/pins/{digest}/{name}',
      need: [{ anyOf: ['push', 'delete'], at: 'body' }],
      group: 'pins',
      summary: 'pins a digest, or renews the lease: no rule and no delete touches it until then',
      params: pinParams,
      body: v.strictObject({
        repository: v.optional(repositorySchema),
        ttlSeconds: v.optional(
          v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(3_153_600_000)),
        ),
        note: v.optional(v.pipe(v.string(), v.maxLength(1_000)), ''),
      }),
      answer: pinSchema,
      handle: async ({ params: { digest, name }, body }, { actor, asker }) => {
        // A pin that is there protects something else perhaps: renewing it must not end that.
        const before = metadata.get('pins', [digest, name])
        if (before !== undefined) requireOn(asker, MAY_PIN, before.repository)
        const at = clock.now()
        const { repository, ttlSeconds, note } = body
        const row: PinRow = defined({
          repository,
          expiresAt: ttlSeconds === undefined ? undefined : at + ttlSeconds * 1_000,
          note,
          createdAt: at,
          by: actor,
        })
        const event = {
          at,
          action: 'pin',
          repository: repository ?? '',
          by: actor,
          digest,
        } as const
        await metadata.commit({
          checks: [],
          changes: [
            { change: 'put', in: 'pins', key: [digest, name], row },
            recordEvent({ ...event, why: note }),
          ],
        })
        return toPin(digest, name, row)
      },
    }),
    endpoint({
      method: 'DELETE',
      path: '/admin/pins/{digest}/{name}',
      need: 'any',
      group: 'pins',
      summary: 'takes a pin away: push or delete on its repository, admin where it has none',
      params: pinParams,
      answer: pinSchema,
      handle: async ({ params: { digest, name } }, { actor, asker }) => {
        const row = metadata.get('pins', [digest, name])
        if (row === undefined || !isKnown(asker, row)) throw notFound('there is no such pin')
        requireOn(asker, MAY_PIN, row.repository)
        const at = clock.now()
        const repository = row.repository ?? ''
        await metadata.commit({
          checks: [],
          changes: [
            { change: 'delete', in: 'pins', key: [digest, name] },
            recordEvent({ at, action: 'unpin', repository, by: actor, digest }),
          ],
        })
        return new Reply(200, toPin(digest, name, row))
      },
    }),
  ]
}

/** Pins in the order of digests and names, a few a turn. */
async function* allPins(metadata: MetadataReader, digest: Digest | undefined) {
  for (const one of digest === undefined ? pinnedDigests(metadata) : [digest]) {
    yield* inTurns(metadata, 'pins', [one])
  }
}

function* pinnedDigests(metadata: MetadataReader): Generator<Digest> {
  let [next] = metadata.keys('pins', [], undefined, 1)
  while (next !== undefined) {
    const [digest] = next
    yield digest
    // Behind every name of this digest.
    ;[next] = metadata.keys('pins', [], `${digest}${lastText}`, 1)
  }
}
