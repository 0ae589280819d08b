/**
 * @module The admin API of synchronisation over real sockets, on syncs that do what the test says: bodies and codes
 * of the first FastRegistry, what only an administrator may, the trail, progress as it happens.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { SyncError } from '../../../src/sync/port.ts'
import { UpstreamError } from '../../../src/upstream/error.ts'
import { basic, htpasswd } from '../../support/access.ts'
import { auditLines } from '../../support/audit-trail.ts'
import { EventReader } from '../../support/event-stream.ts'
import {
  FakeSyncs,
  idleStatus,
  noneCounted,
  runId,
  someProgress,
  startedAt,
} from '../../support/fake-syncs.ts'
import { describeRegistry, until } from '../../support/in-process.ts'

const syncs = new FakeSyncs()
vi.mock(import('../../../src/server/admin.ts'), async (original) => {
  const all = await original()
  return { ...all, endpointsOfSyncs: () => all.endpointsOfSyncs(syncs) }
})

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-sync-surface-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const users = { root: 'r', ann: 'a' }
const htpasswd_file = join(folder, 'htpasswd')
writeFileSync(htpasswd_file, htpasswd(users))
const auditFile = join(folder, 'audit.log')

const config = {
  auth: { type: 'htpasswd', htpasswd_file },
  access: [
    { repositories: ['**'], users: ['root'], actions: ['pull', 'push', 'delete', 'list', 'admin'] },
    { repositories: ['**'], users: ['ann'], actions: ['pull', 'push', 'delete', 'list'] },
  ],
  audit: { file: auditFile },
}
const root = basic('root', 'r')
const ann = basic('ann', 'a')

beforeEach(() => {
  syncs.statuses.clear()
  syncs.asked.length = 0
  for (const name of ['one', 'two']) syncs.statuses.set(name, idleStatus(name))
})

describeRegistry('the surface of sync', { config, engines: ['uws'] }, (registry) => {
  const ask = (method: string, path: string, body?: unknown, headers = root) =>
    registry().client.request(method, path, {
      headers: { ...headers, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })

  test('lists sources in the order of the configuration', async () => {
    syncs.set('two', {
      lastRunAt: startedAt,
      lastResult: 'partial',
      nextRunAt: startedAt + 900_000,
    })
    const { status, json } = await ask('GET', '/admin/sync/jobs')
    expect(status).toBe(200)
    expect(json).toMatchObject({ jobs: ['one', 'two'] })
    expect((json as { details: unknown[] }).details[1]).toEqual({
      name: 'two',
      type: 'quay',
      url: 'https://two.example',
      mode: 'continuous',
      schedule: '*/15 * * * *',
      state: 'idle',
      last_run: '2026-03-01T10:00:00.000Z',
      last_result: 'partial',
      next_run: '2026-03-01T10:15:00.000Z',
    })
  })

  test('a status before the first run has the words of the first FastRegistry', async () => {
    const { json } = await ask('GET', '/admin/sync/status/one')
    expect(json).toMatchObject({
      Name: 'one',
      Running: false,
      LastRun: '0001-01-01T00:00:00Z',
      Progress: null,
      state: 'idle',
      failures: [],
    })
  })

  test('a status of a run has its numbers, old words and new ones', async () => {
    syncs.set('one', {
      state: 'running',
      phase: 'copying',
      runningJob: runId,
      lastRunAt: startedAt,
      progress: someProgress,
      isListingComplete: true,
      counts: { ...noneCounted, copied: 30, failed: 4 },
      failures: [
        {
          repository: 'org/app',
          tag: 'v1',
          reason: 'timeout',
          message: 'no byte for 60 s',
          attempts: 2,
          nextRetryAt: startedAt + 60_000,
        },
      ],
      current: [{ repository: 'org/app', tag: 'v2' }],
      rate: 1_000,
      etaSeconds: 1_500,
      budget: { limit: 100, remaining: 76 },
    })
    const { json } = await ask('GET', '/admin/sync/status/one')
    expect(json).toMatchObject({
      Name: 'one',
      Running: true,
      LastRun: '2026-03-01T10:00:00.000Z',
      Progress: {
        TotalRepos: 3,
        SyncedRepos: 2,
        FailedRepos: 1,
        TotalTags: 40,
        SyncedTags: 30,
        FailedTags: 4,
        BytesTotal: 2_000_000,
        BytesSynced: 500_000,
        StartTime: '2026-03-01T10:00:00.000Z',
      },
      Source: { name: 'one' },
      state: 'running',
      phase: 'copying',
      running_job: runId,
      listing_complete: true,
      counts: { copied: 30, failed: 4, pruned: 0 },
      bytes: { downloaded: 400_000, linked: 70_000, joined: 30_000 },
      failures: [
        {
          repository: 'org/app',
          tag: 'v1',
          reason: 'timeout',
          message: 'no byte for 60 s',
          attempts: 2,
          next_retry: '2026-03-01T10:01:00.000Z',
        },
      ],
      current: [{ repository: 'org/app', tag: 'v2' }],
      rate: 1_000,
      eta_seconds: 1_500,
      budget: { limit: 100, remaining: 76 },
    })
    expect(json).not.toHaveProperty('result')
  })

  describe('a trigger', () => {
    test('starts a run, without a body as before', async () => {
      const answer = await registry().client.request('POST', '/admin/sync/trigger/one', {
        headers: root,
      })
      expect(answer.status).toBe(200)
      expect(answer.json).toEqual({ message: 'sync triggered', job: 'one', id: runId })
      expect(answer.headers['location']).toBe(`/admin/jobs/${runId}`)
      const request = { by: 'root', isFull: false, isForced: false, plansPrune: false }
      expect(syncs.asked).toEqual([['trigger', 'one', request]])
    })

    test('passes on what it is asked for', async () => {
      const body = {
        repositories: ['org/*'],
        tags: ['v1'],
        full: true,
        force: true,
        prune_plan: true,
      }
      expect((await ask('POST', '/admin/sync/trigger/one', body)).status).toBe(200)
      expect(syncs.asked[0]![2]).toEqual({
        by: 'root',
        repositories: ['org/*'],
        tags: ['v1'],
        isFull: true,
        isForced: true,
        plansPrune: true,
      })
    })

    test('is refused in the words of the first FastRegistry while it runs', async () => {
      syncs.set('one', { state: 'running', runningJob: runId })
      const answer = await ask('POST', '/admin/sync/trigger/one')
      expect(answer.status).toBe(400)
      expect(answer.json).toMatchObject({ error: 'job already running' })
    })

    test('of a paused source waits', async () => {
      syncs.set('one', { state: 'paused' })
      const answer = await ask('POST', '/admin/sync/trigger/one')
      expect(answer.status).toBe(200)
      expect(answer.json).toEqual({ message: 'sync is paused and waits for resume', job: 'one' })
      expect(answer.headers['location']).toBeUndefined()
    })

    test.each([
      [{ tags: [] }],
      [{ tags: 'v1' }],
      [{ tags: [''] }],
      [{ repositories: [7] }],
      [{ full: 'yes' }],
      [{ forced: true }],
    ])('%j is not understood', async (body) => {
      expect((await ask('POST', '/admin/sync/trigger/one', body)).status).toBe(400)
      expect(syncs.asked).toEqual([])
    })

    test('as a dry run answers with what it would do', async () => {
      const items = [{ repository: 'org/app', tag: 'v1', action: 'copy', reason: 'new' }]
      syncs.plan = { plan: 'p1', bytes: 10, requests: 3, items }
      const answer = await ask('POST', '/admin/sync/trigger/one', { dry_run: true })
      expect([answer.status, answer.json]).toEqual([
        200,
        { plan: 'p1', bytes: 10, requests: 3, items },
      ])
      expect(syncs.asked[0]![0]).toBe('dryRun')
    })

    test.each([
      [new UpstreamError('refused', 'no connection'), 'refused'],
      [new SyncError('credentials', 'the token has ended'), 'credentials'],
    ])('as a dry run without an upstream is 502', async (error, reason) => {
      syncs.plan = error
      const answer = await ask('POST', '/admin/sync/trigger/one', { dry_run: true })
      expect(answer.status).toBe(502)
      expect(answer.json).toMatchObject({ error: error.message, context: { reason } })
    })
  })

  test('cancel, pause and resume do what they say', async () => {
    expect((await ask('POST', '/admin/sync/cancel/one')).status).toBe(409)
    syncs.set('one', { state: 'running', runningJob: runId })
    expect((await ask('POST', '/admin/sync/cancel/one')).status).toBe(202)
    expect((await ask('POST', '/admin/sync/pause/two')).json).toEqual({
      message: 'sync paused',
      job: 'two',
    })
    expect((await ask('GET', '/admin/sync/status/two')).json).toMatchObject({ state: 'paused' })
    expect((await ask('POST', '/admin/sync/resume/two')).json).toMatchObject({ job: 'two' })
    expect(syncs.asked.map(([what]) => what)).toEqual(['cancel', 'cancel', 'pause', 'resume'])
  })

  test('runs are told with the newest first', async () => {
    const counts = { copied: 3 }
    syncs.rows.set('one', [
      {
        startedAt,
        endedAt: startedAt + 5,
        job: runId,
        by: 'schedule',
        result: 'ok',
        isListingComplete: true,
        counts,
      },
    ])
    expect((await ask('GET', '/admin/sync/runs/one')).json).toEqual({
      runs: [
        {
          started: '2026-03-01T10:00:00.000Z',
          ended: '2026-03-01T10:00:00.005Z',
          job: runId,
          by: 'schedule',
          result: 'ok',
          listing_complete: true,
          counts,
        },
      ],
    })
  })

  test('explains one tag', async () => {
    const path = '/admin/sync/explain/one?repository=org/app&tag=v1'
    syncs.explanation = undefined
    expect((await ask('GET', path)).status).toBe(404)
    syncs.explanation = {
      repository: 'org/app',
      tag: 'v1',
      local: 'mirror/app',
      isSelected: false,
      rule: 'tags.exclude',
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
    expect((await ask('GET', path)).json).toEqual({
      repository: 'org/app',
      tag: 'v1',
      local: 'mirror/app',
      selected: false,
      rule: 'tags.exclude',
      owned: false,
      attempts: 0,
    })
    expect((await ask('GET', '/admin/sync/explain/one?repository=org/app')).status).toBe(400)
    syncs.explanation = new UpstreamError('timeout', 'too slow')
    expect((await ask('GET', path)).status).toBe(502)
  })

  const writes = ['trigger', 'cancel', 'pause', 'resume'].map((what) => `/admin/sync/${what}/one`)
  const reads = [
    '/admin/sync/jobs',
    '/admin/sync/status/one',
    '/admin/sync/status/one/stream',
    '/admin/sync/runs/one',
    '/admin/sync/explain/one?repository=a&tag=b',
  ]

  test.each([
    ...writes.map((path) => ['POST', path] as const),
    ...reads.map((path) => ['GET', path] as const),
  ])('%s %s is for administrators, of sources that are there', async (method, path) => {
    expect((await ask(method, path, undefined, ann)).status).toBe(403)
    expect((await ask(method, path, undefined, {} as typeof root)).status).toBe(401)
    expect(syncs.asked).toEqual([])
    if (path.includes('jobs')) return
    const absent = await ask(method, path.replace('/one', '/none'))
    expect(absent.status).toBe(404)
    expect(absent.json).toMatchObject({ error: 'job not found' })
  })

  test.each(writes)('%s takes POST alone, and no page of another site', async (path) => {
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const answer = await ask(method, path)
      expect(answer.status).toBe(405)
      expect(answer.headers['allow']).toBe('POST')
    }
    const other = { ...root, Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' }
    expect((await ask('POST', path, {}, other)).status).toBe(403)
    expect(syncs.asked).toEqual([])
  })

  test('what was changed is in the trail', async () => {
    syncs.set('one', { state: 'running', runningJob: runId })
    for (const path of writes.slice(1)) await ask('POST', path)
    await ask('POST', '/admin/sync/trigger/two')
    const expected = [...writes.slice(1), '/admin/sync/trigger/two']
    const pathsOf = () =>
      auditLines(auditFile)
        .filter(({ decision, user }) => decision === 'done' && user === 'root')
        .map(({ path }) => path)
    await until(() => expected.every((path) => pathsOf().includes(path)))
  })

  test('progress is told as it happens, to the end of the run', async () => {
    syncs.set('one', { state: 'running', runningJob: runId, progress: someProgress })
    const reader = new EventReader(registry().port, '/admin/sync/status/one/stream', root)
    expect((await reader.untilEvents(1))[0]).toMatchObject({
      event: 'progress',
      data: { Name: 'one', Progress: { SyncedTags: 30 } },
    })
    syncs.set('one', { progress: { ...someProgress, syncedTags: 40 } })
    expect((await reader.untilEvents(2))[1]!.data).toMatchObject({ Progress: { SyncedTags: 40 } })
    syncs.set('one', { state: 'idle', runningJob: undefined, lastResult: 'ok' })
    const events = await reader.untilEvents(4)
    expect(events.at(-1)).toMatchObject({ event: 'end', data: { result: 'ok' } })
    await until(() => reader.hasEnded)
  })
})

describeRegistry('a hook', { config, engines: ['uws', 'node'] }, (registry) => {
  const body = JSON.stringify({ repository: 'org/app', updated_tags: ['v1'] })
  const path = '/admin/sync/hook/one'
  const send = (target: string, headers: Record<string, string> = {}, text = body) =>
    registry().client.request('POST', target, { headers, body: text })
  const bearer = (secret: string) => ({ Authorization: `Bearer ${secret}` })

  beforeEach(() => {
    syncs.secrets.clear()
    syncs.secrets.set('one', 'open-sesame')
  })

  test('is taken with the secret of the source, in the header or in the query', async () => {
    const answer = await send(path, bearer('open-sesame'))
    expect([answer.status, answer.json]).toEqual([202, { message: 'noted', changes: 1 }])
    expect((await send(`${path}?secret=open-sesame`)).status).toBe(202)
    const hint = ['hint', 'one', [{ repository: 'org/app', tag: 'v1' }]]
    expect(syncs.asked).toEqual([hint, hint])
  })

  test('needs no login, and a login is no secret', async () => {
    expect((await send(path, root)).status).toBe(401)
    expect((await send(`${path}?secret=open-sesame`, basic('ann', 'wrong'))).status).toBe(202)
  })

  test.each([
    ['no secret', path, {}],
    ['a wrong one', path, bearer('open-sesam')],
    ['an empty one', `${path}?secret=`, {}],
    ['a wrong one in the query', `${path}?secret=wrong`, {}],
    ['one without an end', path, bearer('x'.repeat(5_000))],
  ])('with %s is 401, and nothing is read of it', async (_name, target, headers) => {
    const answer = await send(target, headers as Record<string, string>, 'no JSON')
    expect(answer.status).toBe(401)
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="sync hook"')
    expect(answer.text).not.toContain('sesame')
    expect(syncs.asked).toEqual([])
  })

  test('of a source without a secret, or of none, is 404', async () => {
    for (const name of ['two', 'none']) {
      const answer = await send(`/admin/sync/hook/${name}`, bearer('open-sesame'))
      expect(answer.status).toBe(404)
      expect(answer.json).toMatchObject({ error: 'job not found' })
    }
  })

  test('opens nothing else', async () => {
    for (const other of [
      '/admin/sync/hook/../jobs',
      '/admin/sync/hook/one/x',
      '/admin/sync/hook/',
    ]) {
      expect([401, 404]).toContain((await send(other, bearer('open-sesame'))).status)
    }
    const answer = await registry().client.get(path, bearer('open-sesame'))
    expect([answer.status, answer.headers['allow']]).toEqual([405, 'POST'])
    expect((await registry().client.get('/admin/sync/jobs', bearer('open-sesame'))).status).toBe(
      401,
    )
  })

  test.each([
    ['of another form', '{"hello": 1}', 400],
    ['that is no object', '[]', 400],
    ['that is no JSON', '{', 400],
    ['that is too large', `{"repository": "org/app", "x": "${'y'.repeat(256 * 1024)}"}`, 413],
    ['with names that are none', '{"repository": "../x"}', 202],
    ['of a deep form', `{"events": ${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 202],
  ])('with a body %s hints at nothing', async (_name, text, status) => {
    expect((await send(path, bearer('open-sesame'), text)).status).toBe(status)
    expect(syncs.asked).toEqual([])
    expect(registry().faults).toEqual([])
  })

  test('takes bodies of any content type', async () => {
    const type = 'application/vnd.docker.distribution.events.v2+json'
    const events = [{ action: 'push', target: { repository: 'org/app', tag: 'v1' } }]
    const headers = { ...bearer('open-sesame'), 'Content-Type': type }
    expect((await send(path, headers, JSON.stringify({ events }))).status).toBe(202)
  })

  test('leaves no secret in the log and in the trail', async () => {
    const answer = await send(`${path}?secret=open-sesame`)
    expect(answer.status).toBe(202)
    await send(`${path}?secret=wrong-sesame`)
    await until(() => registry().logLines.some((line) => line.includes('"status":401')))
    expect(registry().logLines.some((line) => line.includes(`"path":"${path}"`))).toBe(true)
    expect(registry().logLines.join('\n')).not.toContain('sesame')
    const refused = () => auditLines(auditFile).filter(({ reason }) => reason === 'hook-secret')
    await until(() => refused().length > 0)
    expect(refused()[0]).toMatchObject({ decision: 'refused', path, status: 401 })
    expect(JSON.stringify(auditLines(auditFile))).not.toContain('sesame')
  })

  // The last one: this address has to wait after it.
  test('is put off after many wrong secrets, also with the right one', async () => {
    let status = 401
    for (let count = 0; status === 401 && count < 40; count++) {
      status = (await send(path, bearer('wrong'))).status
    }
    expect(status).toBe(503)
    const answer = await send(path, bearer('open-sesame'))
    expect(answer.status).toBe(503)
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    expect(syncs.asked).toEqual([])
  })
})
