/** @module The plans of deletions as the admin API shows and applies them. */
import { beforeEach, expect, test } from 'vitest'
import { AdminApi, type AdminRequest } from '../../../src/admin/admin-api.ts'
import { syncPlanEndpoints } from '../../../src/admin/sync-plan-endpoints.ts'
import { openAsker } from '../../../src/auth/asker.ts'
import type { ApiAnswer } from '../../../src/runtime/api-answer.ts'
import { digestNumber, PruneScene, SOURCE } from '../../support/prune-scene.ts'
import { load } from '../config/load-text.ts'

let scene: PruneScene
let plan: string
let api: AdminApi

async function ask(method: string, target: string, sent = '') {
  const [path = '', query = ''] = target.split('?')
  const request: AdminRequest = {
    id: 'r-1',
    method,
    path,
    query,
    bodyBytes: sent.length,
    scheme: 'http',
    host: '',
    header: (name) => (name === 'content-type' ? 'application/json' : undefined),
    readBody: async (onChunk) => {
      if (sent !== '') onChunk(Buffer.from(sent))
    },
    signal: new AbortController().signal,
  }
  const answer = (await api.handle(request, 'operator', openAsker)) as Extract<
    ApiAnswer,
    { kind: 'json' }
  >
  return { status: answer.status, body: answer.body as Record<string, unknown> }
}

beforeEach(async () => {
  const keys = `name: ${SOURCE}, type: registry, url: "https://a.test", organizations: ["*"]`
  const config = (await load(`sync:\n  sources:\n    - { ${keys} }\n`)).sync.sources[0]!
  scene = new PruneScene(config)
  for (const tag of ['v1', 'v2', 'v3']) scene.upstream.push('app', tag, digestNumber(1))
  await scene.copyAll()
  scene.upstream.has.set('app', new Map([['v3', digestNumber(1)]]))
  await scene.pass()
  plan = (await scene.pass()).waitingPlan!
  const { plans } = scene.prune
  api = new AdminApi(
    syncPlanEndpoints({ jobs: scene.jobs, plans, apply: (id, by) => scene.prune.apply(id, by) }),
    () => false,
  )
})

test('a plan is listed and shown, with why it waits', async () => {
  const { body } = await ask('GET', '/admin/sync/plans')
  expect(body['plans']).toEqual([
    {
      id: plan,
      kind: 'sync-prune',
      source: SOURCE,
      by: `sync:${SOURCE}`,
      state: 'ready',
      createdAt: expect.stringMatching(/^2023-/),
      counts: { tag: 2, repository: 1 },
      reasons: expect.arrayContaining(['it is the first plan of the source']),
    },
  ])
  expect((await ask('GET', `/admin/sync/plans/${plan}`)).body).toMatchObject({ id: plan })
  expect((await ask('GET', '/admin/sync/plans/none')).status).toBe(404)
})

test('its items are pages, by our names and upstream’s', async () => {
  const page = async (query: string) =>
    (await ask('GET', `/admin/sync/plans/${plan}/items?${query}`)).body
  const first = await page('limit=1')
  const item = { kind: 'tag', tag: 'v1', digest: digestNumber(1), rule: 'gone' }
  const names = { repository: 'mirror/app', upstreamRepository: 'app' }
  expect(first['items']).toEqual([{ ...item, ...names }])
  const second = await page(`limit=10&after=${first['next']}`)
  expect(second).toEqual({ items: [{ ...item, ...names, tag: 'v2' }] })
  expect((await ask('GET', `/admin/sync/plans/${plan}/items?after=x`)).status).toBe(400)
})

test('it is applied once, as a job', async () => {
  const path = `/admin/sync/plans/${plan}/apply`
  const { status, body } = await ask('POST', path, '{"wait":true}')
  expect(status).toBe(200)
  expect(body).toMatchObject({
    plan,
    job: { kind: 'sync-prune', state: 'done', by: 'operator', plan },
  })
  expect([...scene.here.keys()]).toEqual(['app:v3'])
  expect((await ask('POST', path)).status).toBe(409)
  expect((await ask('POST', '/admin/sync/plans/none/apply')).status).toBe(404)
})
