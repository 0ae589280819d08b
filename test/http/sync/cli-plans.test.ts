/**
 * @module `fastregistry sync plan|apply` against answers that the test gives: pages of items, a job to its end.
 */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { runHere } from '../../support/cli.ts'

const job = {
  id: 'j1',
  kind: 'sync-prune',
  by: 'root',
  createdAt: '',
  counts: { 'removed-tag': 2 },
}
const item = (tag: string) => ({
  kind: 'tag',
  repository: 'mirror/app',
  upstreamRepository: 'org/app',
  tag,
  digest: `sha256:${tag}`,
  rule: 'gone',
})

const answers = new Map<string, { status: number; json: object }>()
const asked: string[] = []
let server: Server

beforeAll(async () => {
  server = createServer((request, response) => {
    const line = `${request.method} ${request.url}`
    asked.push(line)
    const { status, json } = answers.get(line) ?? { status: 404, json: { error: 'no such thing' } }
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(json))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterAll(() => new Promise((resolve) => server.close(resolve)))
beforeEach(() => {
  asked.length = 0
  answers.clear()
})

const run = (line: string) => runHere(`sync ${line}`, (server.address() as AddressInfo).port)

test('lists plans with why they wait', async () => {
  const reasons = ['it is the first plan of the source', 'more than 20%']
  const plan = { id: 'p1', source: 'one', state: 'ready', createdAt: '2026-03-01', reasons }
  answers.set('GET /admin/sync/plans', { status: 200, json: { plans: [plan] } })
  const { code, out } = await run('plan')
  expect(code).toBe(0)
  expect(out).toMatch(
    /^PLAN +SOURCE[\s\S]*\np1 +one +ready +2026-03-01 +it is the first .*, more than 20%$/,
  )
})

test('shows every page of a plan', async () => {
  const path = 'GET /admin/sync/plans/p1/items?limit=1000'
  answers.set(path, { status: 200, json: { items: [item('v1')], next: '00000000' } })
  answers.set(`${path}&after=00000000`, { status: 200, json: { items: [item('v2')] } })
  expect((await run('plan p1')).out).toMatch(/mirror\/app:v1 +sha256:v1 +gone[\s\S]*mirror\/app:v2/)
  expect(
    (await run('plan p1 --json')).out.split('\n').map((it) => JSON.parse(it) as object),
  ).toEqual([item('v1'), item('v2')])
})

test.each([
  ['done', 0],
  ['failed', 1],
  ['stopped', 1],
])('applies a plan and waits for its job, which ends as %s', async (state, code) => {
  const running = { message: 'plan is applied', plan: 'p1', job: { ...job, state: 'running' } }
  answers.set('POST /admin/sync/plans/p1/apply', { status: 202, json: running })
  answers.set('GET /admin/jobs/j1', { status: 200, json: { ...job, state } })
  expect(await run('apply p1')).toMatchObject({
    code,
    out: expect.stringMatching(`^${state}`) as string,
  })
  expect(asked).toEqual(['POST /admin/sync/plans/p1/apply', 'GET /admin/jobs/j1'])
})

test('a plan that is not there is one line, an id is never a path', async () => {
  expect(await run('plan none')).toMatchObject({ code: 1, errors: 'fastregistry: no such thing' })
  await run('apply ../../gc')
  expect(asked.at(-1)).toBe('POST /admin/sync/plans/..%2F..%2Fgc/apply')
})
