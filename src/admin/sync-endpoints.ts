/**
 * @module `/admin/sync`: what each source of the synchronisation does, and a run, an end, a pause of it. Paths and
 * words of the first FastRegistry are kept.
 */
import * as v from 'valibot'
import { assertNever } from '../registry/assert-never.ts'
import type { Clock } from '../runtime/clock.ts'
import { SyncError } from '../sync/port.ts'
import type { SyncRequest, SyncStatus, Syncs } from '../sync/syncs.ts'
import { UpstreamError } from '../upstream/error.ts'
import { type Endpoint, EventStream, endpoint, Reply } from './endpoint.ts'
import { AdminProblem, badRequest, conflict, notFound } from './problem.ts'
import { defined } from './schemas.ts'
import {
  detailSchema,
  explanationSchema,
  planEntries,
  runSchema,
  statusSchema,
  toDetail,
  toExplanation,
  toPlan,
  toRun,
  toStatus,
} from './sync/answers.ts'
import { hookEndpoint } from './sync/hook.ts'
import { ProgressStreams } from './sync/progress.ts'

export interface SyncSources {
  /** Undefined: no source is configured. */
  readonly syncs: Syncs | undefined
  readonly clock: Pick<Clock, 'monotonic'>
  readonly progress?: ProgressStreams
}

const group = 'synchronisation'
const params = v.object({ source: v.string() })
const flag = v.optional(v.boolean('expected true or false'), false)

/** Names that a request may list, and their length. */
const names = v.optional(
  v.pipe(
    v.array(
      v.pipe(
        v.string('expected a name or a pattern'),
        v.nonEmpty('expected a name or a pattern'),
        v.maxLength(512, 'expected at most 512 characters'),
      ),
      'expected a list',
    ),
    v.minLength(1, 'expected at least one'),
    v.maxLength(1_000, 'expected at most 1000'),
  ),
)

const triggerSchema = v.object({
  message: v.optional(v.string()),
  job: v.optional(v.string()),
  id: v.optional(v.string()),
  ...planEntries,
})

const doneSchema = v.object({ message: v.string(), job: v.string() })

const nameSchema = v.pipe(v.string('expected a name'), v.maxLength(512, 'expected a name'))

type Find = (name: string) => { readonly all: Syncs; readonly status: SyncStatus }

export function syncEndpoints(sources: SyncSources): Endpoint[] {
  const { syncs, clock, progress = new ProgressStreams() } = sources
  const find: Find = (name) => {
    if (syncs === undefined) throw notFound('sync not configured')
    const status = syncs.status(name)
    if (status === undefined) throw notFound('job not found')
    return { all: syncs, status }
  }
  return [
    ...readEndpoints(syncs, find, progress),
    ...changeEndpoints(find),
    hookEndpoint(syncs, clock),
  ]
}

function readEndpoints(
  syncs: Syncs | undefined,
  find: Find,
  progress: ProgressStreams,
): Endpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/admin/sync/jobs',
      group,
      summary: 'sources of the synchronisation, their state, their last and their next run',
      answer: v.object({ jobs: v.array(v.string()), details: v.array(detailSchema) }),
      handle: () => {
        const all = (syncs?.names ?? []).flatMap((name) => syncs?.status(name) ?? [])
        return { jobs: all.map(({ name }) => name), details: all.map(toDetail) }
      },
    }),
    endpoint({
      method: 'GET',
      path: '/admin/sync/status/{source}',
      group,
      summary: 'one source: state, progress, counts, failures, next run',
      params,
      answer: statusSchema,
      handle: (input) => toStatus(find(input.params.source).status),
    }),
    endpoint({
      method: 'GET',
      path: '/admin/sync/status/{source}/stream',
      group,
      summary:
        'the same as it changes, at most once a second (server-sent events), until the run has ended',
      params,
      handle: ({ params: { source } }, { asker, signal }) => {
        const { all } = find(source)
        const pieces = progress.open({ status: () => all.status(source), asker, signal })
        return new EventStream('text/event-stream', pieces)
      },
    }),
    endpoint({
      method: 'GET',
      path: '/admin/sync/runs/{source}',
      group,
      summary: 'the last 100 runs of a source, newest first',
      params,
      answer: v.object({ runs: v.array(runSchema) }),
      handle: ({ params: { source } }) => ({ runs: find(source).all.runs(source).map(toRun) }),
    }),
    endpoint({
      method: 'GET',
      path: '/admin/sync/explain/{source}',
      group,
      summary:
        'one tag by the names of upstream: which rule selects it or not, what came of it, when it is tried again',
      params,
      query: v.strictObject({ repository: nameSchema, tag: nameSchema }),
      answer: explanationSchema,
      handle: async ({ params: { source }, query: { repository, tag } }, { signal }) => {
        const { all } = find(source)
        const found = await asked(all.explain(source, repository, tag, signal))
        if (found === undefined) throw notFound('upstream has no such tag')
        return toExplanation(found)
      },
    }),
  ]
}

function changeEndpoints(find: Find): Endpoint[] {
  return [
    endpoint({
      method: 'POST',
      path: '/admin/sync/trigger/{source}',
      group,
      summary:
        'runs a source now; dry_run says what a run would do; full ignores watermarks, force ignores waits after failures',
      params,
      body: v.strictObject({
        dry_run: flag,
        repositories: names,
        tags: names,
        full: flag,
        force: flag,
        prune_plan: flag,
      }),
      answer: triggerSchema,
      handle: async ({ params: { source }, body }, { actor, signal }) => {
        const { all } = find(source)
        const request: SyncRequest = defined({
          by: actor,
          repositories: body.repositories,
          tags: body.tags,
          isFull: body.full,
          isForced: body.force,
          plansPrune: body.prune_plan,
        })
        if (!body.dry_run) return triggered(all, source, request)
        return toPlan(await asked(all.dryRun(source, request, signal)))
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/sync/cancel/{source}',
      group,
      summary: 'ends the run of a source; what was copied stays',
      params,
      answer: doneSchema,
      handle: ({ params: { source } }) => {
        if (!find(source).all.cancel(source)) throw conflict('job not running')
        return new Reply(202, { message: 'sync is being cancelled', job: source })
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/sync/pause/{source}',
      group,
      summary: 'lets a source run no more until it is resumed, also after a restart',
      params,
      answer: doneSchema,
      handle: async ({ params: { source } }) => {
        await find(source).all.pause(source)
        return { message: 'sync paused', job: source }
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/sync/resume/{source}',
      group,
      summary: 'lets a paused source run again',
      params,
      answer: doneSchema,
      handle: async ({ params: { source } }) => {
        await find(source).all.resume(source)
        return { message: 'sync resumed', job: source }
      },
    }),
  ]
}

async function triggered(all: Syncs, source: string, request: SyncRequest) {
  const trigger = await all.trigger(source, request)
  switch (trigger.kind) {
    case 'unknown':
      throw notFound('job not found')
    case 'running':
      throw badRequest('job already running')
    case 'remembered':
      return { message: 'sync is paused and waits for resume', job: source }
    case 'started': {
      const { id } = trigger
      const body = { message: 'sync triggered', job: source, id }
      return new Reply(200, body, [['Location', `/admin/jobs/${id}`]])
    }
    default:
      return assertNever(trigger)
  }
}

/** What a failure of upstream is to whoever asked for it. */
async function asked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    const isKnown = error instanceof SyncError || error instanceof UpstreamError
    if (!isKnown) throw error
    const reason = error instanceof SyncError ? error.reason : error.kind
    throw new AdminProblem('ADMIN_UPSTREAM', { message: error.message, context: { reason } })
  }
}
