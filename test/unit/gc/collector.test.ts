/**
 * @module What stops a collection, what slows it down, and what it leaves alone: clocks that jump,
 * too much at once, two at once, mirrors, build caches.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  type CollectorTest,
  type CollectorTestOptions,
  openCollector,
} from '../../support/collector.ts'
import { asName } from '../../support/registry-client.ts'

const yearMs = 365 * 24 * 3_600_000

let it: CollectorTest
const open = async (options: CollectorTestOptions = {}) => {
  it = await openCollector(options)
}
afterEach(() => it.close())

const countOf = (database: 'manifests' | 'blobs' | 'tags') =>
  it.metadata.keys(database, [], undefined, 10_000).length

/** Manifests that nothing points at, and their blobs. */
async function putGarbage(count: number): Promise<void> {
  const numbers = Array.from({ length: count }, (_, number) => number)
  await Promise.all(
    numbers.map((number) => it.putImage('team/app', undefined, `garbage ${number}`)),
  )
}

describe('a clock that is set', () => {
  beforeEach(() => open({ gc: { graceMs: 3_600_000, undeleteWindowMs: 3_600_000 } }))

  test.each([
    ['forwards', yearMs],
    ['backwards', -yearMs],
  ])(
    'a year %s makes nothing old: runs are refused until somebody confirms it',
    async (way, by) => {
      await putGarbage(5)
      it.clock.offsetMs = by
      await expect(it.run()).rejects.toThrow(`the clock went ${way} by 8760 h`)
      await expect(it.run({ isScheduled: true })).rejects.toThrow('acceptClock')
      await expect(it.run({ kind: 'plan' } as never)).rejects.toThrow('acceptClock')
      expect(countOf('manifests')).toBe(5)
      const job = await it.run({ acceptClock: true })
      expect(job.state).toBe('done')
      // Confirmed, what is a year old is old; seen from a year before, everything is young.
      expect(countOf('manifests')).toBe(by > 0 ? 0 : 5)
    },
  )
})

test('a clock that jumps in the middle of a run stops it there', async () => {
  await open({ gc: { undeleteWindowMs: 3_600_000 } })
  await putGarbage(400)
  it.onStep.call = () => {
    it.clock.offsetMs = yearMs
  }
  const job = await it.run()
  expect(job.state).toBe('stopped')
  expect(job.message).toContain('the clock went forwards')
  expect(countOf('blobs')).toBeGreaterThan(300)
  it.onStep.call = undefined
  it.clock.offsetMs = 0
  expect((await it.run()).state).toBe('done')
  expect(countOf('blobs')).toBe(0)
})

describe('max_delete_percent', () => {
  beforeEach(async () => {
    await open({ gc: { maxDeletePercent: 50 } })
    await putGarbage(6)
    await it.putImage('team/app', 'v1', 'kept')
  })

  test('stops a scheduled run that would remove more, and leaves its plan', async () => {
    const job = await it.run({ isScheduled: true })
    expect(job.state).toBe('stopped')
    expect(job.message).toMatch(/would remove 8\d % of the stored bytes/)
    expect(countOf('manifests')).toBe(7)
    expect(it.plans.get(job.plan!)).toMatchObject({ state: 'ready', counts: { manifest: 6 } })
    const applied = await it.run({ kind: 'apply', plan: job.plan! } as never)
    expect(applied.counts['removed-manifest']).toBe(6)
    expect(countOf('manifests')).toBe(1)
  })

  test('does not stop a run that was asked for by hand', async () => {
    expect((await it.run()).state).toBe('done')
    expect(countOf('manifests')).toBe(1)
  })
})

describe('pace', () => {
  test('bytes_per_second holds', async () => {
    await open({ gc: { bytesPerSecond: 400_000 } })
    const text = 'x'.repeat(2_000)
    const numbers = Array.from({ length: 150 }, (_, number) => number)
    await Promise.all(numbers.map((number) => it.putBlob('team/app', `${number}${text}`)))
    const startedAt = performance.now()
    const job = await it.run()
    const seconds = (performance.now() - startedAt) / 1_000
    const bytes = job.counts['bytesRemoved']!
    expect(bytes).toBeGreaterThan(300_000)
    // Timers fire in whole milliseconds; without a pace it is ten times as fast.
    expect(bytes / seconds).toBeLessThan(440_000)
  })

  test('a step is as long as max_pause_ms allows', async () => {
    await open({ gc: { maxPauseMs: 1 } })
    await putGarbage(300)
    await it.run()
    const short = it.steps.count
    await it.close()
    await open({ gc: { maxPauseMs: 1_000 } })
    await putGarbage(300)
    await it.run()
    expect(it.steps.count).toBeLessThan(short)
  })
})

test('two runs at once: the second is refused, and the first goes on', async () => {
  await open()
  await putGarbage(50)
  const first = it.run()
  const second = it.run()
  await expect(second).rejects.toThrow(/a collection is (running|starting) already/)
  expect((await first).state).toBe('done')
  expect(countOf('manifests')).toBe(0)
})

test('an unknown plan is 404, and a plan is applied once', async () => {
  await open()
  await putGarbage(2)
  const unknown = it.run({ kind: 'apply', plan: 'nonsense' } as never)
  await expect(unknown).rejects.toMatchObject({ status: 404 })
  const { plan } = await it.run({ kind: 'plan' } as never)
  const request = { kind: 'apply', plan: plan! } as never
  expect((await it.run(request)).counts['removed-manifest']).toBe(2)
  await expect(it.run(request)).rejects.toMatchObject({ status: 409 })
})

test('mirrored repositories are left to their mirror, also when they became one since', async () => {
  let mirrored = new Set(['mirror/app'])
  await open({ isMirrored: (repository) => mirrored.has(repository) })
  await it.putImage('mirror/app', undefined, 'theirs')
  await it.putImage('team/app', undefined, 'ours')
  const { plan } = await it.run({ kind: 'plan' } as never)
  expect(it.plans.get(plan!)?.counts).toMatchObject({ manifest: 1, link: 2, blob: 2 })
  mirrored = new Set(['mirror/app', 'team/app'])
  const job = await it.run({ kind: 'apply', plan: plan! } as never)
  expect(job.counts['removed-manifest']).toBeUndefined()
  expect(it.skipped.map(({ why }) => why)).toContain('the repository belongs to a mirror')
  expect(countOf('manifests')).toBe(2)
})

describe('build caches', () => {
  const cacheType = 'application/vnd.buildkit.cacheconfig.v0'

  test('a superseded one is as old as its push, an image as its last tag', async () => {
    await open({ gc: { graceMs: 3_600_000 } })
    const cache = await it.putImage('team/cache', 'main', 'cache 1', cacheType)
    const image = await it.putImage('team/app', 'main', 'image 1')
    // Within the drift that the clock guard allows, past the grace time together.
    it.clock.offsetMs = 59 * 60_000
    await it.putImage('team/cache', 'main', 'cache 2', cacheType)
    await it.putImage('team/app', 'main', 'image 2')
    it.clock.offsetMs = 70 * 60_000
    const job = await it.run({ acceptClock: true })
    expect(job.counts['removed-manifest']).toBe(1)
    const row = (repository: string, { digest }: { digest: typeof cache.digest }) =>
      it.metadata.get('manifests', [asName(repository), digest])
    expect(row('team/cache', cache)).toBeUndefined()
    expect(row('team/app', image)).toBeDefined()
  })
})

test('the index of candidates is empty where everything is in use', async () => {
  await open()
  const { blobs } = await it.putImage('team/app', 'v1', 'kept')
  await it.putBlob('team/other', 'layer kept')
  await it.putBlob('team/app', 'of no use')
  await it.run()
  expect(it.metadata.get('blobs', blobs[1])).toBeDefined()
  expect(it.metadata.get('links', [asName('team/other'), blobs[1]])).toBeUndefined()
  await it.run()
  expect(it.metadata.keys('candidates', [], undefined, 10)).toEqual([])
})
