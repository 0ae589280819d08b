/** What readiness makes of the etcd that a node runs. */
import { expect, test, vi } from 'vitest'
import { Health } from '../../../../src/observability/health.ts'
import { systemClock } from '../../../../src/runtime/clock.ts'
import { Gate } from '../../../../src/server/mesh/gate.ts'

const mesh = { reads: 'strict', readLeaseMs: 3_000, staleReads: 'refuse' } as const

function scene(had: boolean | undefined) {
  let now = 0
  vi.spyOn(systemClock, 'monotonic').mockImplementation(() => now)
  const gate = new Gate(mesh, 0)
  const state = { is: 'starting' as string | undefined }
  if (had !== undefined) gate.setEtcd(() => state.is, had)
  const etcd = gate.checks.filter(({ name }) => name === 'etcd')
  const health = new Health(etcd, systemClock)
  health.started()
  const ready = async () => {
    now += 2_000
    const { status, checks } = await health.ready({ isStopping: () => false, notes: () => ({}) })
    return [status, checks['etcd']]
  }
  return { state, ready, pass: (ms: number) => (now += ms) }
}

const notYet = ['not ready', 'the etcd of this node does not serve yet']
const told = ['ready', 'the etcd of this node does not serve; others may']

test('a node whose etcd had a part is ready when it has it again', async () => {
  const { state, ready } = scene(true)
  expect(await ready()).toEqual(notYet)
  state.is = undefined
  expect(await ready()).toEqual(notYet)
  state.is = 'serving'
  expect(await ready()).toEqual(['ready', 'ok'])
  state.is = 'waiting'
  expect(await ready()).toEqual(told)
})

test('it is not waited for for ever', async () => {
  const { ready, pass } = scene(true)
  pass(119_000 - 2_000)
  expect(await ready()).toEqual(notYet)
  pass(2_000)
  expect(await ready()).toEqual(told)
})

test('a node that gets a part of etcd later, and one that runs none, wait for nothing', async () => {
  const { state, ready } = scene(false)
  expect(await ready()).toEqual(told)
  state.is = undefined
  expect(await ready()).toEqual(['ready', 'ok'])
  expect(await scene(undefined).ready()).toEqual(['ready', 'ok'])
})
