/**
 * @module `fastregistry sync` against a running server whose syncs do what the test says: what it prints, its exit
 * codes.
 */
import { beforeEach, expect, test, vi } from 'vitest'
import type { SyncResult } from '../../../src/sync/syncs.ts'
import { runHere } from '../../support/cli.ts'
import {
  FakeSyncs,
  idleStatus,
  noneCounted,
  runId,
  someProgress,
  startedAt,
} from '../../support/fake-syncs.ts'
import { describeRegistry } from '../../support/in-process.ts'

const syncs = new FakeSyncs()
vi.mock(import('../../../src/server/admin.ts'), async (original) => {
  const all = await original()
  return { ...all, endpointsOfSyncs: () => all.endpointsOfSyncs(syncs) }
})

beforeEach(() => {
  syncs.statuses.clear()
  syncs.rows.clear()
  syncs.asked.length = 0
  syncs.statuses.set('one', idleStatus('one'))
})

/** The run ends as it begins, and another one begins at that moment. */
function endWith(result: SyncResult): void {
  syncs.onStarted = (name) => {
    const row = { startedAt, job: runId, by: 'x', result, isListingComplete: true, counts: {} }
    syncs.rows.set(name, [row])
    syncs.set(name, { runningJob: 'another', lastResult: result })
  }
}

describeRegistry('fastregistry sync', { engines: ['uws'] }, (registry) => {
  const run = (line: string) => runHere(`sync ${line}`, registry().port)

  test('lists sources', async () => {
    const { code, out } = await run('list')
    expect(code).toBe(0)
    expect(out).toMatch(
      /^SOURCE +TYPE +URL +STATE[\s\S]*\none +quay +https:\/\/one\.example +idle$/,
    )
    expect(JSON.parse((await run('list --json')).out)).toMatchObject({ jobs: ['one'] })
  })

  test('starts a run, and passes on what it is asked for', async () => {
    syncs.onStarted = () => undefined
    const flags = '--full --force --prune-plan --repositories org/*,x/y --tags v1.*'
    expect(await run(`run one ${flags}`)).toEqual({
      code: 0,
      out: `sync triggered: job ${runId}`,
      errors: '',
    })
    expect(syncs.asked[0]![2]).toMatchObject({
      repositories: ['org/*', 'x/y'],
      tags: ['v1.*'],
      isFull: true,
      isForced: true,
      plansPrune: true,
    })
    expect(await run('run one')).toMatchObject({
      code: 1,
      errors: 'fastregistry: job already running',
    })
    expect(await run('run none')).toMatchObject({ code: 1, errors: 'fastregistry: job not found' })
  })

  test.each([
    ['ok', 0],
    ['partial', 3],
    ['failed', 1],
    ['cancelled', 1],
  ] as const)('waits for a run that ends %s with exit code %d', async (result, code) => {
    endWith(result)
    expect(await run('run one --wait')).toMatchObject({ code, errors: '' })
  })

  test('waits for no run of a paused source', async () => {
    syncs.set('one', { state: 'paused' })
    const errors = 'fastregistry: sync is paused and waits for resume'
    expect(await run('run one --wait')).toMatchObject({ code: 1, errors })
    expect((await run('run one')).code).toBe(0)
  })

  test('follows a run to its end', async () => {
    syncs.set('one', { state: 'running', runningJob: runId, progress: someProgress })
    const looked = vi.spyOn(syncs, 'status')
    const running = run('status one --follow')
    await vi.waitUntil(() => looked.mock.calls.length > 0)
    syncs.set('one', { state: 'idle', runningJob: undefined, lastResult: 'partial' })
    expect(await running).toMatchObject({ code: 3, out: 'one: idle, last run partial' })
  })

  test('a dry run lists what would be done', async () => {
    const items = [{ repository: 'org/app', tag: 'v1', action: 'copy', reason: 'new' }]
    syncs.plan = { plan: 'p', bytes: 12, requests: 3, items }
    const { code, out } = await run('run one --dry-run')
    expect(code).toBe(0)
    expect(out).toMatch(/copy +org\/app:v1 +new *\n1 tags, 12 bytes to fetch, 3 requests$/)
  })

  test('a dry run says what is free, what is left, and what ends upstream', async () => {
    const items = [
      {
        repository: 'org/app',
        tag: 'v1',
        action: 'copy',
        reason: 'new',
        upstreamExpiresAt: Date.UTC(2031, 0, 1),
      },
      { repository: 'org/bad', tag: '', action: 'failed', reason: 'denied' },
    ]
    const rest = { omitted: 5, freeBytes: 10, budget: { limit: 100, remaining: 7 } }
    syncs.plan = { plan: 'p', bytes: 12, requests: 3, items, ...rest }
    const { out } = await run('run one --dry-run')
    expect(out).toContain('2031-01-01T00:00:00')
    expect(out).toMatch(/failed +org\/bad +denied/)
    expect(out).toContain('2 of 7 tags, 12 bytes to fetch, 3 requests')
    expect(out).toContain('10 bytes are free here: too few')
    expect(out).toContain('upstream says that 7 of 100 requests are left')
  })

  test('a status has what was counted and what failed', async () => {
    const failure = {
      repository: 'org/app',
      tag: 'v1',
      reason: 'timeout',
      message: 'slow',
      attempts: 1,
    }
    syncs.set('one', {
      lastResult: 'partial',
      counts: { ...noneCounted, copied: 7, failed: 1 },
      failures: [failure],
      expiring: { tags: 2, firstAt: Date.UTC(2031, 0, 1) },
    })
    const { code, out } = await run('status one')
    expect(code).toBe(0)
    expect(out).toMatch(/^one: idle, last run partial\nupstream lets 2 tags end, the first at 2031/)
    expect(out).toMatch(/\nCOUNTED +NUMBER\ncopied +7\nfailed +1\n/)
    expect(out).toMatch(/org\/app:v1 +timeout +slow/)
    expect(out).not.toContain('pruned')
  })

  test('cancels, pauses, resumes and explains', async () => {
    expect(await run('cancel one')).toMatchObject({
      code: 1,
      errors: 'fastregistry: job not running',
    })
    expect(await run('pause one')).toMatchObject({ code: 0, out: 'sync paused' })
    expect(await run('resume one')).toMatchObject({ code: 0, out: 'sync resumed' })
    syncs.explanation = {
      repository: 'localhost:5000/app',
      tag: 'v1',
      local: undefined,
      isSelected: false,
      rule: 'exclude_repositories',
      upstreamDigest: undefined,
      localDigest: undefined,
      isOwned: false,
      outcome: undefined,
      reason: undefined,
      message: undefined,
      attempts: 0,
      nextRetryAt: undefined,
      upstreamExpiresAt: undefined,
    }
    expect((await run('explain one localhost:5000/app:v1')).out).toMatch(
      /rule +exclude_repositories/,
    )
    expect(syncs.asked.at(-1)).toEqual(['explain', 'one', 'localhost:5000/app', 'v1'])
  })

  test.each([
    'run',
    'run one --storage x',
    'explain one app',
    'run one --dry-run --wait',
    'go one',
  ])('%s is not understood', async (line) => {
    expect((await run(line)).code).toBe(2)
  })
})
