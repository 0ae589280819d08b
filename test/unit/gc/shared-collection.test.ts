/** @module The collection of a mesh: clocks that are apart, pulls that are written late, runs that other nodes left. */
import { existsSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { PullTimes } from '../../../src/distribution/pull-times.ts'
import { spreadMsMax } from '../../../src/gc/clock-guard.ts'
import { RunState, type RunStateRow } from '../../../src/gc/run-state.ts'
import type { PlanRow } from '../../../src/metadata/rows/jobs.ts'
import { type CollectorTest, openCollector } from '../../support/collector.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { asName } from '../../support/registry-client.ts'

const graceMs = 3_600_000
/** By when content without a pull goes. */
const cutoffMs = graceMs + graceMs / 20

let spreadMs: number
let on: CollectorTest

beforeEach(async () => {
  spreadMs = 0
  const shared = {
    run: () => ({ member: 1, boot: 2 }),
    spreadMs: () => spreadMs,
    pullsLagMs: 600_000,
  }
  on = await openCollector({ shared, gc: { graceMs } })
})
afterEach(() => on.close())

/** The clock was set on by hand. */
const run = () => on.run({ acceptClock: true })

const isThere = (digest: string) =>
  on.metadata.get('manifests', [asName('team/app'), digest as never]) !== undefined

describe('clocks of nodes', () => {
  test('that are apart make everything younger by as much', async () => {
    const { digest } = await on.putImage('team/app', undefined, 'a')
    spreadMs = 20_000
    on.clock.offsetMs += cutoffMs + 15_000
    expect((await run()).state).toBe('done')
    expect(isThere(digest)).toBe(true)
    on.clock.offsetMs += 6_000
    await run()
    expect(isThere(digest)).toBe(false)
  })

  test('that are too far apart stop it, whatever an operator says, until they are set right', async () => {
    spreadMs = spreadMsMax + 1
    await expect(on.run()).rejects.toMatchObject({
      kind: 'CLOCK_IN_DOUBT',
      message: expect.stringContaining('30 s apart'),
    })
    await expect(on.run({ acceptClock: true })).rejects.toMatchObject({ kind: 'CLOCK_IN_DOUBT' })
    spreadMs = spreadMsMax
    expect((await on.run()).state).toBe('done')
  })

  test('that come apart in its middle stop it there', async () => {
    for (let at = 0; at < 200; at += 1) await on.putImage('team/app', undefined, `${at}`)
    on.clock.offsetMs += 2 * cutoffMs
    on.onStep.call = () => {
      spreadMs = 40_000
    }
    const job = await run()
    expect([job.state, job.message]).toEqual(['stopped', expect.stringContaining('40 s apart')])
  })
})

test('a pull may be younger by what its writing lags', async () => {
  const { digest } = await on.putImage('team/app', undefined, 'a')
  on.clock.offsetMs += 2 * cutoffMs
  const row = on.clock.now()
  const key = [asName('team/app'), digest] as const
  await on.metadata.commit({ checks: [], changes: [{ change: 'put', in: 'pulls', key, row }] })
  on.clock.offsetMs += cutoffMs + 500_000
  await run()
  expect(isThere(digest)).toBe(true)
  on.clock.offsetMs += 110_000
  await run()
  expect(isThere(digest)).toBe(false)
})

describe('a run that another node has left', () => {
  const plan: PlanRow = {
    createdAt: 1,
    by: 'x',
    kind: 'collection',
    state: 'applying',
    counts: {},
    bytes: 0,
    unapproved: [],
    rules: [],
    member: 2,
    boot: 9,
  }
  const left: RunStateRow = {
    job: 'left',
    kind: 'run',
    isScheduled: true,
    by: 'schedule',
    plan: 'plan',
    phase: 'sweep',
    cursor: { stage: 'done', after: undefined },
    fileBytes: 0,
    offset: 0,
    now: 1,
  }
  const job = (member: number) =>
    ({ kind: 'gc', state: 'running', by: 'x', createdAt: 1, counts: {}, member, boot: 1 }) as const

  async function leave(member: number): Promise<void> {
    await new RunState(on.metadata).write(left)
    await on.plans.put('plan', plan)
    const row = job(member)
    const change = { change: 'put', in: 'jobs', key: 'left', row } as const
    await on.metadata.commit({ checks: [], changes: [change] })
  }

  test('is not gone on with here, where its plan is not', async () => {
    await leave(2)
    expect(on.collector.interruptedJob).toBeUndefined()
    await on.collector.resume()
    expect(on.jobs.running('gc')).toBeUndefined()
  })

  test('is gone on with where it was', async () => {
    await leave(1)
    expect(on.collector.interruptedJob).toBe('left')
  })

  test('is over with the next run, and so is its plan', async () => {
    await leave(2)
    await on.run()
    expect(on.plans.get('plan')?.state).toBe('stopped')
    expect(new RunState(on.metadata).read()).toBeUndefined()
  })
})

test('a plan says whose it is, and only there it is applied', async () => {
  const job = await on.run({ kind: 'plan' })
  const row = on.plans.get(job.plan!)!
  expect(row).toMatchObject({ member: 1, boot: 2, state: 'ready' })
  await on.plans.put('other', { ...row, member: 2 })
  await expect(on.run({ kind: 'apply', plan: 'other' })).rejects.toMatchObject({
    kind: 'PLAN_UNKNOWN',
    message: expect.stringContaining('node 2'),
  })
  expect(on.plans.get('other')?.state).toBe('ready')
  expect((await on.run({ kind: 'apply', plan: job.plan! })).state).toBe('done')
})

test('files of plans whose rows are gone go, and young ones stay', async () => {
  const old = on.plans.newId()
  writeFileSync(on.plans.path(old), '')
  writeFileSync(on.plans.path('another'), '')
  on.clock.offsetMs += 24 * 3_600_000 + 1_000
  const [young, known] = [on.plans.newId(), on.plans.newId()]
  for (const id of [young, known]) writeFileSync(on.plans.path(id), '')
  await on.plans.prune()
  const left = [old, 'another', young, known].map((id) => existsSync(on.plans.path(id)))
  expect(left).toEqual([false, true, true, true])
})

test('times of pulls are written again when they are old enough, each name by its own', async () => {
  const metadata = new MemoryMetadataStore()
  const clock = new FakeClock()
  const pulls = new PullTimes(metadata, clock, 600_000)
  const pull = async (reference: string) => {
    pulls.note({
      repository: asName('team/app'),
      reference,
      digest: 'sha256:a' as never,
      notedIn: 0,
    })
    await pulls.write()
    return ['sha256:a', 'v1', 'v2'].map((it) => metadata.get('pulls', [asName('team/app'), it]))
  }
  const first = clock.now()
  expect(await pull('v1')).toEqual([first, first, undefined])
  clock.advance(599_999)
  const commits = metadata.commitCount
  expect(await pull('v1')).toEqual([first, first, undefined])
  expect(metadata.commitCount).toBe(commits)
  const second = clock.now()
  expect(await pull('v2')).toEqual([first, first, second])
  clock.advance(1)
  const third = clock.now()
  expect(await pull('v1')).toEqual([third, third, second])
})
