/**
 * @module The breaks of what people and programs read from the admin API and from lists: events that
 * are complete, indexes that are true, rights by repository, bounded turns.
 */
import { vitest } from '../breaks.mjs'

const events = vitest('unit', 'test/unit/metadata/event-log.test.ts')
const lists = vitest('unit', 'test/unit/distribution/tag-list.test.ts')
const rights = vitest('http', 'test/http/admin/rights.test.ts')
const surface = vitest('http', 'test/http/sync/surface.test.ts')

export const BREAKS = [
  {
    what: 'tags: names that are kept hear of no push',
    file: 'src/repositories/tag-names.ts',
    find: '      kept.changed.add(tag.value)\n',
    replace: '',
    guard: lists,
  },
  {
    what: 'tags: numbers in names are letters',
    file: 'src/repositories/natural-order.ts',
    find: 'if (byLength !== 0) return byLength',
    replace: '',
    guard: lists,
  },
  {
    what: 'tags: what a search has found is true for ever',
    file: 'src/repositories/tag-names.ts',
    find: '    kept.found.clear()\n  }',
    replace: '  }',
    guard: lists,
  },
  {
    what: 'events that are numbered by their time',
    file: 'src/metadata/derived-rows.ts',
    find: 'const number = this.#events.number + 1',
    replace: 'const number = Math.max(event.at, 1)',
    guard: events,
  },
  {
    what: 'a copy that goes on with the numbers of its model',
    file: 'src/metadata/event-log.ts',
    find: 'return byTime > sequence ? byTime : sequence + numbersSinceBackup',
    replace: 'return byTime > numbersSinceBackup ? sequence : sequence',
    guard: events,
  },
  {
    what: 'ids of jobs by the clock alone',
    file: 'src/metadata/row-ids.ts',
    find: 'this.#last, isOwn ? newest : newest + 1)',
    replace: 'isOwn ? 0 : newest * 0)',
    guard: events,
  },
  {
    what: 'a cursor that is too old goes on with what is left',
    file: 'src/admin/events/endpoints.ts',
    find: 'if (after >= oldest - 1 && after <= last) return',
    replace: 'if (oldest > 0 && after <= last) return',
    guard: vitest('http', 'test/http/admin/events.test.ts'),
  },
  {
    what: 'a stream outlives its password',
    file: 'src/admin/events/stream.ts',
    find: 'const now = await asker.renew().catch(() => undefined)',
    replace: 'const now = await asker.renew().catch(() => asker)',
    guard: vitest('unit', 'test/unit/admin/event-stream.test.ts'),
  },
  {
    what: 'a pull that moves no tag among the last pulled',
    file: 'src/metadata/derived-rows.ts',
    find: "this.#place(repository, 'pulled', digest, before ?? 0, at ?? 0)",
    replace: "if (before === at) this.#place(repository, 'pulled', digest, 0, 0)",
    guard: lists,
  },
  {
    what: 'an endpoint that names no need is open',
    file: 'src/admin/endpoint.ts',
    find: "const { need = 'admin', params,",
    replace: "const { need = 'any', params,",
    guard: rights,
  },
  {
    what: 'a list of referrers shows annotations of any size',
    file: 'src/distribution/referrer-entry.ts',
    find: 'return json.byteLength > referrerAnnotationsBytesMax ?',
    replace: 'return json.byteLength > 1000 * referrerAnnotationsBytesMax ?',
    guard: vitest('http', 'test/http/registry/referrers.test.ts'),
  },
  {
    what: 'a large n is refused',
    file: 'src/http/query.ts',
    find: '\\d+$/.test(count)',
    replace: '\\d{1,15}$/.test(count)',
    guard: vitest('http', 'test/http/registry/paging.test.ts'),
  },
  {
    what: 'requests of the admin API are counted under no route',
    file: 'src/http/routes.ts',
    find: 'Object.keys(ROUTES) as RouteKind[]',
    replace: "Object.keys(ROUTES).filter((it) => it !== 'admin') as RouteKind[]",
    guard: vitest('http', 'test/http/registry/service.test.ts'),
  },
  {
    what: 'a status that reports a collection as it was last written down',
    file: 'src/server/cleanup.ts',
    find: 'toJob(id, jobs.get(id)!)',
    replace: "toJob(id, (jobs && metadata.get('jobs', id))!)",
    guard: vitest('unit', 'test/unit/server/cleanup.test.ts'),
  },
  {
    what: 'a hook that any secret opens',
    file: 'src/admin/sync/hook.ts',
    find: "if (isRight === true && secret !== '') return",
    replace: "if (isRight !== undefined && secret !== '') return",
    guard: surface,
  },
  {
    what: 'wrong secrets of hooks without an end',
    file: 'src/admin/sync/hook.ts',
    find: 'turns.failed(actor)',
    replace: 'turns.require(actor)',
    guard: surface,
  },
  {
    what: 'the body of a hook is read before its secret',
    file: 'src/admin/admin-api.ts',
    find: 'await endpoint.admit?.(known as never, context)\n  const { body, foreignBody } = endpoint\n  return {\n    ...known,\n    body: body === undefined ? undefined : await readJson(body, foreignBody, request),\n  }',
    replace:
      'const { body, foreignBody } = endpoint\n  const read = body === undefined ? undefined : await readJson(body, foreignBody, request)\n  await endpoint.admit?.(known as never, context)\n  return { ...known, body: read }',
    guard: surface,
  },
  {
    what: 'below the path of hooks everybody is an administrator',
    file: 'src/http/access/needs.ts',
    find: 'OWN_SECRET_BELOW.some((head) => path.startsWith(head))',
    replace: "path.startsWith('/admin/sync/')",
    guard: surface,
  },
  {
    what: 'a trigger by GET, as the first FastRegistry took it',
    file: 'src/admin/sync-endpoints.ts',
    find: "method: 'POST',\n      path: '/admin/sync/trigger/{source}',",
    replace: "method: 'GET',\n      path: '/admin/sync/trigger/{source}',",
    guard: surface,
  },
  {
    what: 'a pause by whoever may do anything at all',
    file: 'src/admin/sync-endpoints.ts',
    find: "path: '/admin/sync/pause/{source}',\n",
    replace: "path: '/admin/sync/pause/{source}',\n      need: 'any',\n",
    guard: surface,
  },
  {
    what: 'a stream of progress outlives its password',
    file: 'src/admin/sync/progress.ts',
    find: 'const renewed = await asker.renew().catch(() => undefined)',
    replace: 'const renewed = await asker.renew().catch(() => asker)',
    guard: vitest('unit', 'test/unit/admin/sync/progress.test.ts'),
  },
  {
    what: 'streams of progress without a bound',
    file: 'src/admin/sync/progress.ts',
    find: 'if (this.#open >= progressListenersMax) {',
    replace: 'if (this.#open >= 1000 * progressListenersMax) {',
    guard: vitest('unit', 'test/unit/admin/sync/progress.test.ts'),
  },
  {
    what: 'a hook of a pull makes an upstream be asked',
    file: 'src/sync/hook-body.ts',
    find: "if (action !== 'push' && action !== 'delete') return []",
    replace: "if (action === '') return []",
    guard: vitest('unit', 'test/unit/sync/hook-body.test.ts'),
  },
  {
    what: 'a run that copied a part is done',
    file: 'src/cli/commands/sync.ts',
    find: '= { ok: 0, partial: 3 }',
    replace: '= { ok: 0, partial: 0 }',
    guard: vitest('http', 'test/http/sync/cli.test.ts'),
  },
  {
    what: 'series of metrics by whatever an upstream answers',
    file: 'src/observability/metrics/sync.ts',
    find: 'const isKnown = Number.isInteger(status) && status >= 100 && status < 600',
    replace: 'const isKnown = status > 0',
    guard: vitest('unit', 'test/unit/server/sync-metrics.test.ts'),
  },
]
