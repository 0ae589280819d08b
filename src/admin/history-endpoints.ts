/**
 * @module `/admin/events`: what happened, from the rows that the changes themselves wrote, and the
 * same live (server-sent events). `/admin/pins`: digests that no rule and no delete may touch.
 */
import * as v from 'valibot'
import { type History, timeKey } from '../distribution/history.ts'
import type { Clock } from '../runtime/clock.ts'
import { sweptEvents } from '../storage/apply-sweep.ts'
import type { MetadataStore } from '../storage/ports.ts'
import type { EventRow, PinRow } from '../storage/schema-cleanup.ts'
import { type Endpoint, EventStream, endpoint, Reply } from './endpoint.ts'
import { notFound } from './problem.ts'
import {
  defined,
  digestSchema,
  isoTime,
  nextSchema,
  pageQuery,
  repositorySchema,
  tagSchema,
} from './schemas.ts'

export interface HistorySources {
  readonly metadata: MetadataStore
  readonly history: History
  readonly clock: Clock
}

const eventSchema = v.object({
  id: v.string(),
  at: v.string(),
  action: v.string(),
  repository: v.string(),
  by: v.string(),
  tag: v.optional(v.string()),
  digest: v.optional(v.string()),
  from: v.optional(v.string()),
  why: v.optional(v.string()),
})

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

/** Events read in one turn while a query filters them. */
const eventsPerTurn = 500
/** Live events that a slow listener may be behind; then the stream ends and it reads the history. */
const liveEventsMax = 1_000
const listenersMax = 64
const keepAliveMs = 15_000

const toEvent = (id: string, row: EventRow): v.InferInput<typeof eventSchema> =>
  defined({ id, ...row, at: isoTime(row.at) })

const toPin = (digest: string, name: string, row: PinRow): v.InferInput<typeof pinSchema> =>
  defined({
    digest,
    name,
    ...row,
    createdAt: isoTime(row.createdAt),
    expiresAt: isoTime(row.expiresAt),
  })

export function historyEndpoints(sources: HistorySources): Endpoint[] {
  const { metadata, history, clock } = sources
  const listeners = new Set<(id: string, row: EventRow) => void>()
  metadata.onApplied(({ changes, sweep }, outcome) => {
    if (listeners.size === 0) return
    if (sweep !== undefined) {
      for (const [id, row] of sweptEvents(sweep, outcome.swept)) {
        for (const listener of listeners) listener(id, row)
      }
    }
    for (const change of changes) {
      if (change.in !== 'events' || change.change !== 'put') continue
      for (const listener of listeners) listener(change.key, change.row)
    }
  })
  return [
    endpoint({
      method: 'GET',
      path: '/admin/events',
      group: 'history',
      summary:
        'what happened, oldest first: by repository, tag, digest, action, who, between two times',
      query: v.object({
        ...pageQuery,
        since: v.optional(v.pipe(v.string(), v.isoTimestamp('expected an ISO 8601 time'))),
        repository: v.optional(repositorySchema),
        action: v.optional(v.pipe(v.string(), v.maxLength(64))),
        by: v.optional(v.pipe(v.string(), v.maxLength(256))),
        until: v.optional(v.pipe(v.string(), v.isoTimestamp('expected an ISO 8601 time'))),
        tag: v.optional(tagSchema),
        digest: v.optional(digestSchema),
      }),
      answer: v.object({ events: v.array(eventSchema), next: nextSchema }),
      handle: async ({ query }) => {
        const { repository, action, by, since, until, tag, digest } = query
        const end = until === undefined ? undefined : timeKey(Date.parse(until))
        const limit = query.limit
        const events: v.InferInput<typeof eventSchema>[] = []
        let last = query.after ?? (since === undefined ? undefined : timeKey(Date.parse(since)))
        while (true) {
          const rows = metadata.entries('events', [], last, eventsPerTurn)
          for (const { key, row } of rows) {
            if (end !== undefined && key >= end) return { events }
            const fits =
              (repository === undefined || row.repository === repository) &&
              (action === undefined || row.action === action) &&
              (by === undefined || row.by === by) &&
              (tag === undefined || row.tag === tag) &&
              (digest === undefined || row.digest === digest)
            if (fits && events.length === limit) return { events, next: last! }
            last = key
            if (fits) events.push(toEvent(key, row))
          }
          if (rows.length < eventsPerTurn) return { events }
          await new Promise((resolve) => setImmediate(resolve))
        }
      },
    }),
    endpoint({
      method: 'GET',
      path: '/admin/events/stream',
      group: 'history',
      summary: 'the same as it happens (server-sent events)',
      handle: (_input, { signal }) => {
        if (listeners.size >= listenersMax) throw notFound('too many listeners; read /admin/events')
        return new EventStream('text/event-stream', liveEvents(listeners, signal))
      },
    }),
    endpoint({
      method: 'GET',
      path: '/admin/pins',
      group: 'pins',
      summary: 'pins of a digest, or all of them in the order of digests',
      query: v.object({ digest: v.optional(digestSchema) }),
      answer: v.object({ pins: v.array(pinSchema) }),
      handle: ({ query: { digest } }) => {
        const prefix = digest === undefined ? [] : [digest]
        const rows = metadata.entries('pins', prefix, undefined, 10_000)
        return { pins: rows.map(({ key, row }) => toPin(key[0], key[1], row)) }
      },
    }),
    endpoint({
      method: 'PUT',
      path: '/admin/pins/{digest}/{name}',
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
      handle: async ({ params: { digest, name }, body }, { actor }) => {
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
            history.write({ ...event, why: note }),
          ],
        })
        return toPin(digest, name, row)
      },
    }),
    endpoint({
      method: 'DELETE',
      path: '/admin/pins/{digest}/{name}',
      group: 'pins',
      summary: 'takes a pin away',
      params: pinParams,
      answer: pinSchema,
      handle: async ({ params: { digest, name } }, { actor }) => {
        const row = metadata.get('pins', [digest, name])
        if (row === undefined) throw notFound('there is no such pin')
        const at = clock.now()
        const repository = row.repository ?? ''
        await metadata.commit({
          checks: [],
          changes: [
            { change: 'delete', in: 'pins', key: [digest, name] },
            history.write({ at, action: 'unpin', repository, by: actor, digest }),
          ],
        })
        return new Reply(200, toPin(digest, name, row))
      },
    }),
  ]
}

/** Waits for events and sends a comment while there are none, so that proxies keep the line open. */
async function* liveEvents(
  listeners: Set<(id: string, row: EventRow) => void>,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const waiting: string[] = []
  let isTooSlow = false
  let wake = () => {}
  const listener = (id: string, row: EventRow) => {
    if (waiting.length >= liveEventsMax) isTooSlow = true
    else
      waiting.push(`id: ${id}\nevent: ${row.action}\ndata: ${JSON.stringify(toEvent(id, row))}\n\n`)
    wake()
  }
  listeners.add(listener)
  const onAbort = () => wake()
  signal.addEventListener('abort', onAbort)
  try {
    yield ': events\n\n'
    while (!signal.aborted && !isTooSlow) {
      const next = waiting.shift()
      if (next !== undefined) {
        yield next
        continue
      }
      const isQuiet = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(true), keepAliveMs)
        timer.unref()
        wake = () => {
          clearTimeout(timer)
          resolve(false)
        }
      })
      if (isQuiet) yield ': still here\n\n'
    }
  } finally {
    listeners.delete(listener)
    signal.removeEventListener('abort', onAbort)
  }
}
