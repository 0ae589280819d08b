/**
 * @module `/admin/events`: what happened, from the rows that the changes themselves wrote, a page at a
 * time or as it happens (long poll, server-sent events). The id of an event is its number: who has
 * read up to it has missed nothing before it.
 */
import * as v from 'valibot'
import type { Asker } from '../../auth/asker.ts'
import type { EventRow } from '../../metadata/schema.ts'
import { type Endpoint, EventStream, endpoint } from '../endpoint.ts'
import { sees } from '../needs.ts'
import { AdminProblem, badRequest } from '../problem.ts'
import {
  defined,
  digestSchema,
  isoTime,
  pageQuery,
  repositorySchema,
  tagSchema,
} from '../schemas.ts'
import { liveEvents } from './stream.ts'
import type { EventFilter, EventTail, NumberedEvent } from './tail.ts'

export interface EventSources {
  readonly tail: EventTail
  /** How often a stream says that it is there, and asks whether it may be, ms. */
  readonly keepAliveMs?: number
}

const eventSchema = v.object({
  id: v.number(),
  at: v.string(),
  action: v.string(),
  repository: v.string(),
  by: v.string(),
  tag: v.optional(v.string()),
  digest: v.optional(v.string()),
  from: v.optional(v.string()),
  why: v.optional(v.string()),
  operation: v.optional(v.string()),
})

const numberSchema = v.pipe(
  v.string(),
  v.regex(/^\d{1,16}$/, 'expected the number of an event'),
  v.transform(Number),
  v.maxValue(Number.MAX_SAFE_INTEGER, 'expected the number of an event'),
)

const timeSchema = v.pipe(v.string(), v.isoTimestamp('expected an ISO 8601 time'))

const filterQuery = {
  after: v.optional(numberSchema),
  repository: v.optional(repositorySchema),
  action: v.optional(v.pipe(v.string(), v.maxLength(64))),
  by: v.optional(v.pipe(v.string(), v.maxLength(256))),
  tag: v.optional(tagSchema),
  digest: v.optional(digestSchema),
}

const pageSchema = v.strictObject({
  ...filterQuery,
  limit: pageQuery.limit,
  order: v.optional(v.picklist(['asc', 'desc'], 'expected asc or desc'), 'asc'),
  since: v.optional(timeSchema),
  until: v.optional(timeSchema),
  wait: v.optional(
    v.pipe(v.string(), v.regex(/^\d{1,9}s?$/, 'expected seconds'), v.transform(Number.parseFloat)),
  ),
})

const streamSchema = v.strictObject(filterQuery)

/** Streams at a time, and long polls at a time. */
const listenersMax = 64
const keepAliveMs = 15_000
/** A longer wait is cut to this, seconds: proxies give up at 60. */
const waitSecondsMax = 50

type Event = v.InferInput<typeof eventSchema>

export function eventEndpoints({
  tail,
  keepAliveMs: every = keepAliveMs,
}: EventSources): Endpoint[] {
  const count = { streams: 0, polls: 0 }
  return [
    endpoint({
      method: 'GET',
      path: '/admin/events',
      need: 'any',
      group: 'history',
      summary:
        'what happened, oldest first (order=desc: newest first): by repository, tag, digest, action, who, between two times; after=NUMBER goes on, wait=SECONDS waits for the next one; last says where to go on',
      query: pageSchema,
      answer: v.object({
        events: v.array(eventSchema),
        next: v.optional(v.number()),
        last: v.number(),
      }),
      handle: async ({ query }, { asker, signal }) => {
        const { after, limit, order, wait } = query
        const filter = filterOf(query, asker)
        if (order === 'desc') {
          if (wait !== undefined) throw badRequest('query.wait: only with order=asc')
          const { last } = tail
          const { events, last: looked, hasMore } = await tail.backward(filter, after, limit)
          const next = hasMore ? looked : undefined
          return defined({ events: events.map((it) => toEvent(it, asker)), next, last })
        }
        requireKnown(tail, after)
        const page = () => tail.forward(filter, after, limit)
        const found = wait === undefined ? await page() : await polled(page, wait, signal)
        const last = Math.max(found.last ?? 0, after ?? 0)
        const next = found.hasMore ? last : undefined
        return defined({ events: found.events.map((it) => toEvent(it, asker)), next, last })
      },
    }),
    endpoint({
      method: 'GET',
      path: '/admin/events/stream',
      need: 'any',
      group: 'history',
      summary:
        'the same as it happens (server-sent events), from now on or after Last-Event-ID (or after=NUMBER)',
      query: streamSchema,
      handle: ({ query }, { asker, signal, lastEventId }) => {
        const after = query.after ?? numberOf(lastEventId)
        requireKnown(tail, after)
        if (count.streams >= listenersMax) throw tooMany()
        count.streams += 1
        const pieces = liveEvents({
          tail,
          filterOf: (now) => filterOf(query, now),
          asker,
          toText: (event, now) => toText(event, now),
          after: after ?? tail.last,
          keepAliveMs: every,
          signal,
          onEnd: () => {
            count.streams -= 1
          },
        })
        return new EventStream('text/event-stream', pieces)
      },
    }),
  ]

  /** Asks for the page again whenever something happens, until there is something in it. */
  async function polled(
    page: () => ReturnType<EventTail['forward']>,
    seconds: number,
    signal: AbortSignal,
  ) {
    if (count.polls >= listenersMax) throw tooMany()
    count.polls += 1
    try {
      const end = performance.now() + Math.min(seconds, waitSecondsMax) * 1_000
      while (true) {
        const seen = tail.last
        const found = await page()
        const left = end - performance.now()
        if (found.events.length > 0 || found.hasMore || left <= 0 || signal.aborted) return found
        await tail.wait(seen, left, signal)
      }
    } finally {
      count.polls -= 1
    }
  }
}

interface Query {
  readonly repository?: string | undefined
  readonly action?: string | undefined
  readonly by?: string | undefined
  readonly tag?: string | undefined
  readonly digest?: string | undefined
  readonly since?: string | undefined
  readonly until?: string | undefined
}

function filterOf(query: Query, asker: Asker): EventFilter {
  const { repository, action, by, tag, digest, since, until } = query
  return {
    repository,
    since: since === undefined ? undefined : Date.parse(since),
    until: until === undefined ? undefined : Date.parse(until),
    fits: (row) =>
      (repository === undefined || row.repository === repository) &&
      (action === undefined || row.action === action) &&
      (by === undefined || row.by === by) &&
      (tag === undefined || row.tag === tag) &&
      (digest === undefined || row.digest === digest) &&
      (asker.isAdmin || (row.repository !== '' && sees(asker, row.repository))),
  }
}

/** Actions whose `from` is another repository. */
const FROM_REPOSITORY: ReadonlySet<string> = new Set(['mount', 'copy', 'rename-repository'])

function toEvent({ number, row }: NumberedEvent, asker: Asker): Event {
  const { clock: _clock, from, at, ...rest } = row
  const isTold = from === undefined || !FROM_REPOSITORY.has(row.action) || sees(asker, from)
  return defined({ id: number, ...rest, at: isoTime(at), from: isTold ? from : undefined })
}

function toText(event: NumberedEvent, asker: Asker): string {
  const data = JSON.stringify(toEvent(event, asker))
  return `id: ${event.number}\nevent: ${event.row.action satisfies EventRow['action']}\ndata: ${data}\n\n`
}

/** Throws ADMIN_GONE where what follows the number is gone, or where it was never given here. */
function requireKnown(tail: EventTail, after: number | undefined): void {
  if (after === undefined) return
  const { last, oldest } = tail
  if (after >= oldest - 1 && after <= last) return
  const why = after > last ? 'is none of this store' : 'has been followed by events that are gone'
  const message = `the event ${after} ${why}; read what is there now and go on from there: the oldest event that is kept is ${oldest}, the last one ${last}`
  throw new AdminProblem('ADMIN_GONE', { message, context: { oldest, last } })
}

/** `Last-Event-ID`: a browser sends what it was given, an empty one when it was given none. */
function numberOf(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  const number = v.safeParse(numberSchema, text)
  if (!number.success) throw badRequest('Last-Event-ID: expected the number of an event')
  return number.output
}

function tooMany(): AdminProblem {
  const message = `more than ${listenersMax} wait for events already; try again, or read /admin/events`
  return new AdminProblem('ADMIN_BUSY', { message })
}
