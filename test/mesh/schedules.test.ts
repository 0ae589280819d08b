/**
 * @module Two whole registries on one log, with the same schedule of collections: each time one job, on one of them, and
 * both show it. When one is stopped the other goes on.
 */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { until } from '../support/in-process.ts'
import { EtcdCluster, etcdVersion, needEtcd } from '../support/mesh/etcd.ts'
import { MeshRegistries } from '../support/mesh/mesh-registries.ts'

needEtcd()

// A configuration has no times closer than a minute: here that is every two seconds.
vi.mock('../../src/runtime/schedule.ts', async (original) => {
  const real = await original<typeof import('../../src/runtime/schedule.ts')>()
  const fast = (expression: string) => (expression === '* * * * *' ? '*/2 * * * * *' : expression)
  const startSchedule: typeof real.startSchedule = (expression, ...rest) =>
    real.startSchedule(fast(expression), ...rest)
  const lastTime: typeof real.lastTime = (expression, ...rest) =>
    real.lastTime(fast(expression), ...rest)
  return { ...real, startSchedule, lastTime }
})

const everyMs = 2_000
const gc = { enabled: true, schedule: '* * * * *', grace: '0s' }

interface Job {
  readonly id: string
  readonly kind: string
  readonly state: string
  readonly by: string
  readonly member: number
  readonly createdAt: string
  readonly endedAt?: string
}

let etcd: EtcdCluster
let mesh: MeshRegistries
let startedAt: number

beforeAll(async () => {
  if (etcdVersion === undefined) return
  etcd = await EtcdCluster.start()
  mesh = await MeshRegistries.start({ endpoints: etcd.endpoints, cluster: 'schedules' }, 2, {
    config: { storage: { gc } },
  })
  startedAt = Date.now()
})
afterAll(async () => {
  await mesh?.stop()
  await etcd?.stop()
})

const client = (at: number) => mesh.registries[at]!.client

async function jobs(at: number): Promise<readonly Job[]> {
  const { json } = await client(at).get('/admin/jobs?limit=500')
  return (json as { jobs: Job[] }).jobs.filter(({ kind }) => kind === 'gc')
}

async function ofSchedule(at: number): Promise<readonly Job[]> {
  return (await jobs(at)).filter(({ by }) => by === 'schedule')
}

function post(at: number, path: string, body: object) {
  return client(at).request('POST', path, {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
}

/** No job of a collection began before the one before it had ended. */
function expectInTurn(all: readonly Job[]): void {
  for (const [at, job] of all.entries()) {
    const before = all[at - 1]
    if (before !== undefined) expect(before.endedAt! <= job.createdAt, before.id).toBe(true)
  }
}

test('each time of the schedule is one job, on one node, which both show', async () => {
  await until(async () => (await ofSchedule(0)).length >= 5)
  const times = Math.ceil((Date.now() - startedAt) / everyMs) + 1
  const all = await ofSchedule(0)
  expect(all.length).toBeLessThanOrEqual(times)
  expectInTurn(all)
  for (const job of all.slice(0, -1)) {
    expect([job.state, [1, 2].includes(job.member)]).toEqual(['done', true])
  }
  const last = all.at(-2)!
  expect((await client(1).get(`/admin/jobs/${last.id}`)).json).toEqual(
    (await client(0).get(`/admin/jobs/${last.id}`)).json,
  )
  const by = all.map(({ member }) => member)
  console.log(`MEASURED schedules: ${all.length} jobs of at most ${times} times, by ${by}`)
})

test('of two who ask at once one waits for the other', async () => {
  for (let round = 0; round < 5; round += 1) {
    const answers = await Promise.all([0, 1].map((at) => post(at, '/admin/gc', { dryRun: true })))
    const statuses = answers.map(({ status }) => status)
    expect(
      statuses.every((status) => status === 202 || status === 409),
      `${statuses}`,
    ).toBe(true)
  }
  await until(async () => (await jobs(0)).every(({ endedAt }) => endedAt !== undefined))
  expectInTurn(await jobs(1))
})

test('a plan is shown by all, and its items and its application are asked of any', async () => {
  let made = await post(0, '/admin/gc', { dryRun: true, wait: true })
  await until(async () => {
    if (made.status !== 409) return true
    made = await post(0, '/admin/gc', { dryRun: true, wait: true })
    return false
  })
  const { plan } = made.json as { plan: string }
  expect((await client(1).get(`/admin/gc/plans/${plan}`)).json).toMatchObject({ member: 1 })
  const items = await client(0).get(`/admin/gc/plans/${plan}/items`)
  expect(items.status).toBe(200)
  expect((await client(1).get(`/admin/gc/plans/${plan}/items`)).json).toEqual(items.json)
  let applied = await post(1, `/admin/gc/plans/${plan}/apply`, { wait: true })
  await until(async () => {
    // A time of the schedule may have begun meanwhile.
    if (applied.status !== 409) return true
    applied = await post(1, `/admin/gc/plans/${plan}/apply`, { wait: true })
    return false
  })
  expect(applied.status).toBe(200)
})

test('when one is stopped the other goes on', async () => {
  const before = (await ofSchedule(1)).length
  await mesh.registries[0]!.stop()
  await until(async () => (await ofSchedule(1)).length >= before + 3)
  const all = await ofSchedule(1)
  expectInTurn(all)
  expect(all.slice(-2).map(({ member }) => member)).toEqual([2, 2])
  expect(mesh.faults).toEqual([])
})
