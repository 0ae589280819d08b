/** @module One source on two nodes of a mesh: one of them runs it, and either goes on with what the other has left. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Jobs } from '../../../../src/jobs/jobs.ts'
import type { Lead, LeadSource } from '../../../../src/jobs/leads.ts'
import { Ticks } from '../../../../src/jobs/ticks.ts'
import type { Change } from '../../../../src/metadata/transaction.ts'
import type { Clock } from '../../../../src/runtime/clock.ts'
import { SyncJournal } from '../../../../src/sync/journal.ts'
import { SyncRunner } from '../../../../src/sync/runs/runner.ts'
import { RunScene } from '../../../support/run-scene.ts'
import { load } from '../../config/load-text.ts'

let scene: RunScene
let index: number
const nodes: Node[] = []

function put(change: object): void {
  const one = { change: 'put', ...change } as Change
  scene.metadata.applyBatch([{ checks: [], changes: [one] }])
}

/** A node that has the source, and its leads as the log would give them. */
class Node implements LeadSource {
  readonly run: { readonly member: number; readonly boot: number }
  readonly jobs: Jobs
  readonly runner: SyncRunner
  readonly journal: SyncJournal
  readonly #held = new Map<string, AbortController>()
  /** Called once for each look of the loop. */
  onSleep: (ms: number) => Promise<void> = () => new Promise(() => undefined)

  /** `aheadMs`: of its wall clock. */
  constructor(member: number, aheadMs = 0) {
    this.run = { member, boot: 1 }
    const { metadata, parts } = scene
    const clock: Clock = {
      now: () => scene.clock.now() + aheadMs,
      monotonic: () => scene.clock.monotonic(),
    }
    this.jobs = new Jobs(metadata, clock, this)
    const storeOf = (source: string) => this.jobs.storeOf(`sync:${source}`)
    this.journal = new SyncJournal(metadata, storeOf)
    this.runner = new SyncRunner({
      ...parts,
      clock,
      metadata: storeOf('one'),
      journal: this.journal,
      jobs: this.jobs,
      ticks: new Ticks(clock, () => this.run),
      // No jitter.
      random: { bytes: (count) => new Uint8Array(count) },
      sleep: (ms, signal) =>
        new Promise((resolve) => {
          const end = () => {
            signal?.removeEventListener('abort', end)
            resolve()
          }
          signal?.addEventListener('abort', end)
          void this.onSleep(ms).then(end)
        }),
    })
    this.session(1)
    nodes.push(this)
  }

  session(presentAt: number): void {
    const rest = { seq: 1, reads: 'strict', beat: 1, visible: 1, durable: 1 }
    const { member, boot } = this.run
    put({ in: 'sessions', key: String(member), row: { boot, presentAt, ...rest } })
  }

  async take(job: string): Promise<Lead | undefined> {
    const row = scene.metadata.get('leads', job)
    const holder = row && scene.metadata.get('sessions', String(row.member))
    if (row !== undefined && holder!.presentAt > 0) return undefined
    index += 1
    put({ in: 'leads', key: job, row: { ...this.run, index } })
    const stop = new AbortController()
    this.#held.set(job, stop)
    return { check: { check: 'lead', in: 'leads', job, ...this.run, index }, signal: stop.signal }
  }

  give({ check }: Lead): void {
    this.#held.get(check.job)?.abort()
    if (scene.metadata.get('leads', check.job)?.index !== check.index) return
    const gone = { change: 'delete', in: 'leads', key: check.job } as const
    scene.metadata.applyBatch([{ checks: [], changes: [gone] }])
  }

  /** It dies, as the others see it: what it does from now on is refused. */
  die(): void {
    this.session(0)
  }
}

async function source(keys: string): Promise<void> {
  const all = `name: one, type: quay, url: "https://a.test", organizations: [org], ${keys}`
  scene = new RunScene((await load(`sync:\n  sources:\n    - { ${all} }\n`)).sync.sources[0]!)
  scene.upstream.push('org/app', 'v1', 1)
}

beforeEach(() => {
  index = 10
})
afterEach(async () => {
  for (const { runner } of nodes.splice(0)) await runner.stop()
})

/** Holds the run until it is released. */
function held(): { readonly begun: Promise<void>; release(): void } {
  let release!: () => void
  let begin!: () => void
  const until = new Promise<void>((resolve) => {
    release = resolve
  })
  const begun = new Promise<void>((resolve) => {
    begin = resolve
  })
  scene.upstream.fault = () => {
    begin()
    return until as never
  }
  return { begun, release }
}

const turns = async (count = 50) => {
  for (let at = 0; at < count; at += 1) await new Promise((resolve) => setImmediate(resolve))
}

describe('a source that runs on one node', () => {
  test('is not begun on another, which shows its job', async () => {
    await source('interval: 10s')
    const [one, other] = [new Node(1), new Node(2)]
    const { release } = held()
    const started = await one.runner.trigger({ by: 'me' })
    if (started.kind !== 'started') throw new Error(started.kind)
    expect(await other.runner.trigger({ by: 'me' })).toEqual({ kind: 'running' })
    expect(other.runner.state).toBe('running')
    expect(other.runner.runningJob).toBe(started.id)
    expect(other.runner.nextRunAt).toBeUndefined()
    const hook = { by: 'hook', repositories: ['org/app'] }
    expect(await other.runner.look(hook)).toBe(false)
    release()
    await started.ended
    expect(other.runner.runningJob).toBeUndefined()
    expect(other.runner.nextRunAt! - scene.clock.now()).toBeGreaterThan(9_000)
    expect(await other.runner.look(hook)).toBe(true)
  })

  test('is gone on with when the node dies, and what the dead one does is refused', async () => {
    await source('interval: 10s')
    const [one, other] = [new Node(1), new Node(2)]
    const { begun, release } = held()
    const started = await one.runner.trigger({ by: 'me' })
    if (started.kind !== 'started') throw new Error(started.kind)
    await begun
    one.die()
    scene.upstream.fault = () => undefined
    scene.clock.advance(1)
    expect(other.runner.nextRunAt).toBe(scene.clock.now())
    other.runner.start()
    while (scene.journal.runs('one', 1)[0]?.result !== 'ok') await turns(1)
    const before = scene.metadata.get('syncStates', 'one')
    release()
    await started.ended
    expect(one.jobs.get(started.id)?.state).toBe('stopped')
    expect(scene.metadata.get('syncStates', 'one')).toEqual(before)
    expect(scene.journal.runs('one').map(({ result }) => result)).toEqual(['ok', 'cancelled'])
  })

  test('ends when it is paused on another', async () => {
    await source('interval: 10s')
    const [one, other] = [new Node(1), new Node(2)]
    let look!: () => void
    one.onSleep = () =>
      new Promise((resolve) => {
        look = resolve
      })
    const { begun, release } = held()
    const started = await one.runner.trigger({ by: 'me' })
    if (started.kind !== 'started') throw new Error(started.kind)
    await begun
    await other.runner.pause()
    look()
    await turns()
    release()
    await started.ended
    expect(scene.journal.runs('one', 1)[0]?.message).toBe('it was paused')
    expect(scene.metadata.get('syncStates', 'one')).toMatchObject({ isPaused: true, hasTick: true })
    expect(await one.runner.trigger({ by: 'me' })).toEqual({ kind: 'remembered' })
  })
})

describe('a time of a schedule', () => {
  test('is run by one node, and the others wait for the next', async () => {
    await source('schedule: "0 * * * *"')
    const all = [new Node(1), new Node(2), new Node(3)]
    for (const { runner } of all) runner.start()
    const runs = () => scene.journal.runs('one').length
    for (const node of all) node.onSleep = () => turns(1)
    await turns()
    expect(runs()).toBe(0)
    scene.clock.advance(3_600_000)
    while (runs() === 0) await turns(1)
    await turns(200)
    expect(runs()).toBe(1)
    expect(scene.metadata.get('ticks', 'sync:one')?.at).toBe(
      Math.floor(scene.clock.now() / 3_600_000) * 3_600_000,
    )
    for (const { runner } of all) {
      expect(runner.nextRunAt! - scene.clock.now()).toBeGreaterThan(60_000)
    }
  })

  test('is found taken by a node whose clock is behind', async () => {
    await source('schedule: "0 * * * *"')
    const [ahead, behind] = [new Node(1, 30_000), new Node(2)]
    for (const node of [ahead, behind]) {
      node.onSleep = () => turns(1)
      node.runner.start()
    }
    const hourMs = 3_600_000
    scene.clock.advance(hourMs - (scene.clock.now() % hourMs) - 20_000)
    while (scene.journal.runs('one').length === 0) await turns(1)
    await turns(100)
    // It is the hour there, too.
    scene.clock.advance(21_000)
    await turns(200)
    expect(scene.journal.runs('one')).toHaveLength(1)
    expect(behind.runner.nextRunAt! - scene.clock.now()).toBeGreaterThan(60_000)
  })
})

test('notes of a run whose lead is lost are dropped, and those of others are written', async () => {
  await source('interval: 10s')
  const one = new Node(1)
  const row = { local: 'l', outcome: 'copied', at: 1, attempts: 0 } as const
  await one.jobs.under('sync:one', async () => {
    await one.journal.noteTag({ source: 'one', repository: 'r', tag: 'void' }, row as never)
    await one.journal.noteTag({ source: 'two', repository: 'r', tag: 'kept' }, row as never)
    one.die()
    await one.journal.flush()
  })
  expect(scene.metadata.get('syncTags', ['one', 'r', 'void'])).toBeUndefined()
  expect(one.journal.tag({ source: 'one', repository: 'r', tag: 'void' })).toBeUndefined()
  expect(scene.metadata.get('syncTags', ['two', 'r', 'kept'])).toBeDefined()
})
