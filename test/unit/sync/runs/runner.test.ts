/** @module When a source runs again after a refused credential or an outage, and what hooks may ask meanwhile. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Jobs } from '../../../../src/jobs/jobs.ts'
import { systemRandom } from '../../../../src/runtime/random.ts'
import { SyncError } from '../../../../src/sync/port.ts'
import { SyncRunner } from '../../../../src/sync/runs/runner.ts'
import { UpstreamError } from '../../../../src/upstream/error.ts'
import { RunScene } from '../../../support/run-scene.ts'
import { load } from '../../config/load-text.ts'

const hook = { by: 'hook', repositories: ['org/app'] }

let scene: RunScene
let runner: SyncRunner

beforeEach(async () => {
  const keys = `name: one, type: quay, url: "https://a.test", organizations: [org], interval: 10s`
  scene = new RunScene((await load(`sync:\n  sources:\n    - { ${keys} }\n`)).sync.sources[0]!)
  scene.upstream.push('org/app', 'v1', 1)
  const { metadata, clock, parts } = scene
  // Without its own loop: nothing runs but what is asked for.
  runner = new SyncRunner({ ...parts, jobs: new Jobs(metadata, clock), random: systemRandom })
})
afterEach(() => runner.stop())

async function run(): Promise<void> {
  const started = await runner.trigger({ by: 'test' })
  if (started.kind !== 'started') throw new Error(started.kind)
  await started.ended
}

const waitMs = () => runner.nextRunAt! - scene.clock.now()
const warnings = () => scene.logLines.filter((line) => line.includes('"level":40'))

test('a hook asks nothing while a refused credential is left alone', async () => {
  expect(await runner.look(hook)).toBe(true)
  scene.upstream.fault = () => {
    throw new SyncError('credentials', 'refused')
  }
  await run()
  scene.upstream.asked.length = 0
  expect(await runner.look(hook)).toBe(false)
  expect(scene.upstream.asked).toEqual([])
  scene.clock.advance(6 * 3_600_000)
  // It asks once, and that counts as a refusal, too.
  const before = runner.row.refusals
  expect(await runner.look(hook)).toBe(true)
  expect(runner.row.refusals).toBe(before! + 1)
  expect(await runner.look(hook)).toBe(false)
  expect(waitMs()).toBeGreaterThan(300_000)
  expect(runner.isRunning).toBe(false)
})

test('a restart with another credential does not wait for hours', async () => {
  scene.upstream.fault = () => {
    throw new SyncError('credentials', 'refused')
  }
  for (let time = 0; time < 6; time += 1) await run()
  expect(waitMs()).toBeGreaterThan(3_600_000)
  await runner.stop()
  const { metadata, clock, parts } = scene
  runner = new SyncRunner({ ...parts, jobs: new Jobs(metadata, clock), random: systemRandom })
  runner.start()
  expect(waitMs()).toBe(300_000)
  expect(runner.row.refusals).toBe(6)
})

test('an outage is told once, and runs begin later and later', async () => {
  scene.upstream.fault = () => {
    throw new UpstreamError('refused', 'connection refused')
  }
  const waits: number[] = []
  for (let time = 0; time < 8; time += 1) {
    await run()
    waits.push(waitMs())
    expect(await runner.look(hook)).toBe(false)
  }
  expect(waits).toEqual(waits.toSorted((one, other) => one - other))
  expect(waits.at(-1)).toBe(300_000)
  expect(warnings()).toHaveLength(1)
  scene.upstream.fault = () => undefined
  await run()
  expect(waitMs()).toBeLessThanOrEqual(11_000)
  expect(await runner.look(hook)).toBe(true)
})
