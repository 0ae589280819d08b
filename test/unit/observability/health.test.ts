import { expect, test } from 'vitest'
import { Health, type HealthCheck, HealthProblem } from '../../../src/observability/health.ts'

const fine: HealthCheck = { name: 'metadata', check: async () => {} }
const failing = (error: unknown): HealthCheck => ({
  name: 'disk',
  check: () => Promise.reject(error),
})
const running = { isStopping: () => false, notes: () => ({}) }

function healthOf(...checks: HealthCheck[]): Health {
  const health = new Health(checks, { monotonic: () => 0 })
  health.started()
  return health
}

const path = '/secret/place'
const withCode = (code: string) => Object.assign(new Error(`${code}: access '${path}'`), { code })

test.each([
  ['a missing folder', withCode('ENOENT'), 'is gone'],
  ['a read-only disk', withCode('EROFS'), 'takes no writes (read-only)'],
  ['a full disk', withCode('ENOSPC'), 'is full'],
  ['no right', withCode('EACCES'), 'takes no writes (no right to)'],
  ['a code that nobody knows', withCode('EWHAT'), 'fails'],
  ['an error of a library', new Error(`cannot open ${path}`), 'fails'],
  ['no error at all', path, 'fails'],
  ['nothing', undefined, 'fails'],
  ['a problem of ours', new HealthProblem('takes no writes'), 'takes no writes'],
])('%s is told in words, without a path', async (_what, error, words) => {
  const health = healthOf(fine, failing(error))
  expect(await health.report()).toEqual({
    status: 'unhealthy',
    checks: { metadata: 'ok', disk: words },
  })
  const ready = await health.ready(running)
  expect(ready.status).toBe('not ready')
  expect(ready.checks['disk']).toBe(words)
  expect(JSON.stringify(ready)).not.toContain(path)
})

test('it is not ready before it has started, nor while it stops', async () => {
  const health = new Health([fine], { monotonic: () => 0 })
  expect(await health.ready(running)).toEqual({
    status: 'not ready',
    checks: { server: 'starting', metadata: 'ok' },
  })
  health.started()
  expect((await health.ready(running)).status).toBe('ready')
  const stopping = await health.ready({ ...running, isStopping: () => true })
  expect(stopping).toMatchObject({ status: 'not ready', checks: { server: 'stopping' } })
})

test('what is only told is no reason to send nothing', async () => {
  const notes = () => ({ room: 'short of disk space', recovery: 'running' })
  expect(await healthOf(fine).ready({ ...running, notes })).toEqual({
    status: 'ready',
    checks: { server: 'ok', metadata: 'ok', room: 'short of disk space', recovery: 'running' },
  })
})

test.each([
  ['degraded', { status: 'degraded' }, { status: 'degraded' }],
  ['not-ready', { status: 'degraded' }, { status: 'not ready' }],
  ['unhealthy', { status: 'unhealthy' }, { status: 'not ready' }],
] as const)('what is %s is that, beside what is well', async (weight, report, ready) => {
  const words = { metadata: 'ok', disk: 'has not caught up' }
  const health = healthOf(fine, failing(new HealthProblem('has not caught up', weight)))
  expect(await health.report()).toEqual({ ...report, checks: words })
  expect(await health.ready(running)).toEqual({ ...ready, checks: { server: 'ok', ...words } })
})

test('the heaviest problem decides', async () => {
  const light = { ...failing(new HealthProblem('less', 'degraded')), name: 'mesh' }
  const health = healthOf(light, failing(new HealthProblem('none')), fine)
  expect((await health.report()).status).toBe('unhealthy')
  expect((await health.ready(running)).status).toBe('not ready')
})
