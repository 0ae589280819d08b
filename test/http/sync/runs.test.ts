/**
 * @module Runs of a sync, from the stand-in of Quay into a registry: what a first run brings, what a second
 * one costs, and what comes of tags that move, go, or are pushed here.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { SyncRequest, SyncStatus } from '../../../src/sync/syncs.ts'
import { dispose, type InProcessRegistry, startInProcess, until } from '../../support/in-process.ts'
import { QuayStandIn } from '../../support/quay/stand-in.ts'
import { LONG_AGO, pushToQuay, signInQuay, temporaryFolder } from '../../support/sync-server.ts'

const open: (() => Promise<unknown>)[] = []
let quay: QuayStandIn

beforeEach(async () => {
  quay = await new QuayStandIn().start()
  open.push(() => quay.stop())
})
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

async function start(
  source: Readonly<Record<string, unknown>> = {},
  folder?: string,
): Promise<InProcessRegistry> {
  const registry = await startInProcess({
    engine: 'node',
    config: {
      sync: {
        sources: [
          {
            name: 'quay',
            type: 'quay',
            url: quay.url,
            organizations: ['org'],
            mode: 'manual',
            ...source,
          },
        ],
      },
    },
    ...(folder === undefined ? {} : { folder }),
  })
  open.push(() => dispose(registry))
  return registry
}

async function run(
  { syncs }: InProcessRegistry,
  request: Partial<SyncRequest> = {},
): Promise<SyncStatus> {
  const started = await syncs.trigger('quay', { by: 'test', ...request })
  if (started.kind !== 'started') throw new Error(started.kind)
  await started.ended
  return syncs.status('quay')!
}

async function digestHere(
  { client }: InProcessRegistry,
  repository: string,
  tag: string,
): Promise<string | undefined> {
  const answer = await client.head(`/v2/${repository}/manifests/${tag}`)
  return answer.status === 200 ? String(answer.headers['docker-content-digest']) : undefined
}

/** API and manifest requests since the last `forget`. */
const asked = () => quay.count('api') + quay.count('manifests') + quay.count('tags')

test('the first run brings every tag with what is attached, the second costs one request', async () => {
  const one = pushToQuay(quay, 'org/app', 'v1', ['a', 'b'])
  const two = pushToQuay(quay, 'org/app', 'v2', ['a', 'c'])
  const other = pushToQuay(quay, 'org/tool', 'latest', ['a'])
  signInQuay(quay, 'org/app', two, LONG_AGO + 10)
  const registry = await start()

  const first = await run(registry)
  expect(first).toMatchObject({
    lastResult: 'ok',
    state: 'idle',
    isListingComplete: true,
    failures: [],
    counts: { copied: 3, failed: 0 },
    progress: { totalRepositories: 2, syncedRepositories: 2, totalTags: 3, syncedTags: 3 },
  })
  expect(first.counts.referrers_updated).toBeGreaterThan(0)
  expect(await digestHere(registry, 'org/app', 'v1')).toBe(one)
  expect(await digestHere(registry, 'org/app', 'v2')).toBe(two)
  expect(await digestHere(registry, 'org/tool', 'latest')).toBe(other)
  expect(await digestHere(registry, 'org/app', `${two.replace(':', '-')}.sig`)).toBeDefined()
  // The layer that all of them have came once.
  expect(quay.count('storage')).toBe(new Set(['a', 'b', 'c', '{}', 'signature']).size)

  quay.forget()
  const second = await run(registry)
  expect(second).toMatchObject({
    lastResult: 'ok',
    counts: { copied: 0, unchanged: 0 },
    progress: { totalRepositories: 2, totalTags: 0 },
  })
  expect(quay.count('manifests')).toBe(0)
  expect(asked()).toBe(1)
  expect(registry.faults).toEqual([])
})

test('bytes that are to come are known before the first of them', async () => {
  pushToQuay(quay, 'org/app', 'v1', ['a'.repeat(100), 'b'.repeat(200)])
  const registry = await start()
  const seen: unknown[] = []
  quay.switches.fault = (of) => {
    const { progress } = registry.syncs.status('quay')!
    if (of === 'storage') seen.push(progress?.bytesTotal, progress?.bytesSynced)
    return undefined
  }
  const { progress } = await run(registry)
  expect(new Set(seen)).toEqual(new Set([302, 0]))
  expect(progress).toMatchObject({ bytesTotal: 302, bytesSynced: 302 })
})

test('one changed tag costs a page of tags and what it is made of', async () => {
  pushToQuay(quay, 'org/app', 'v1', ['a'])
  pushToQuay(quay, 'org/app', 'v2', ['b'])
  for (let number = 0; number < 20; number += 1) pushToQuay(quay, `org/r${number}`, 'v1', ['a'])
  const registry = await start()
  await run(registry)
  quay.forget()
  const moved = pushToQuay(quay, 'org/app', 'v2', ['c'], LONG_AGO + 3_600)
  const { counts, lastResult } = await run(registry)
  expect({ lastResult, copied: counts.copied }).toEqual({ lastResult: 'ok', copied: 1 })
  expect(await digestHere(registry, 'org/app', 'v2')).toBe(moved)
  expect(asked()).toBeLessThanOrEqual(1 + 4)
})

test.each([
  ['follow', 'copied', 'ok', true],
  ['keep', 'kept', 'ok', false],
  ['fail', 'conflict', 'partial', false],
] as const)('a tag that upstream moves: %s', async (onChange, outcome, result, isMoved) => {
  const first = pushToQuay(quay, 'org/app', 'v1', ['a'])
  const registry = await start({ on_change: onChange })
  await run(registry)
  const second = pushToQuay(quay, 'org/app', 'v1', ['b'], LONG_AGO + 3_600)
  const { counts, lastResult } = await run(registry)
  expect({ lastResult, count: counts[outcome] }).toEqual({ lastResult: result, count: 1 })
  expect(await digestHere(registry, 'org/app', 'v1')).toBe(isMoved ? second : first)
})

test('a tag that was pushed here is a conflict, recorded once, and stays', async () => {
  const registry = await start()
  await registry.client.pushImage('org/app', 'v1')
  const mine = await digestHere(registry, 'org/app', 'v1')
  pushToQuay(quay, 'org/app', 'v1', ['a'])
  const { counts, lastResult } = await run(registry)
  expect({ lastResult, conflict: counts.conflict }).toEqual({ lastResult: 'ok', conflict: 1 })
  await run(registry, { isFull: true })
  expect(await digestHere(registry, 'org/app', 'v1')).toBe(mine)
  const answer = await registry.client.get('/admin/events?repository=org/app')
  const actions = [...answer.body.toString().matchAll(/"sync-conflict"/g)]
  expect(actions).toHaveLength(1)
})

test('another filter lets everything be looked at again', async () => {
  pushToQuay(quay, 'org/app', 'v1', ['a'])
  const other = pushToQuay(quay, 'org/app', 'w1', ['b'])
  const registry = await start({ tags: { include: ['v*'] } })
  await run(registry)
  expect(await digestHere(registry, 'org/app', 'w1')).toBeUndefined()
  await registry.stop()
  const again = await start({}, registry.folder)
  const { counts } = await run(again)
  expect(counts.copied).toBe(1)
  expect(await digestHere(again, 'org/app', 'w1')).toBe(other)
})

test('a refused token deletes nothing and puts the next try off', async () => {
  quay.auth.oauthTokens.set('good', { user: 'alice', scopes: ['repo:read'] })
  const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
  const registry = await start({ token: 'good', mode: 'continuous', interval: '10s' })
  await until(() => {
    const { lastResult, state } = registry.syncs.status('quay')!
    return lastResult === 'ok' && state === 'idle'
  })
  quay.auth.oauthTokens.clear()
  await run(registry)
  const status = registry.syncs.status('quay')!
  expect(status.lastResult).toBe('failed')
  expect(status.message).toContain('credentials')
  expect(status.nextRunAt! - Date.now()).toBeGreaterThan(60_000)
  expect(await digestHere(registry, 'org/app', 'v1')).toBe(one)
})

test('fewer tags than asked for move none of them', async () => {
  pushToQuay(quay, 'org/app', 'v1', ['a'])
  const two = pushToQuay(quay, 'org/tool', 'v1', ['a'])
  pushToQuay(quay, 'org/tool', 'v2', ['b'])
  const registry = await start({ tags: { min: 2 } })
  const { failures, lastResult, progress } = await run(registry)
  expect(lastResult).toBe('partial')
  expect(progress).toMatchObject({ syncedRepositories: 1, failedRepositories: 1 })
  expect(failures).toMatchObject([{ repository: 'org/app', reason: 'minimum' }])
  expect(await digestHere(registry, 'org/app', 'v1')).toBeUndefined()
  expect(await digestHere(registry, 'org/tool', 'v1')).toBe(two)
})

test('of two repositories that would lie at one name, the second is not fetched', async () => {
  const one = pushToQuay(quay, 'org/two/app', 'v1', ['a'])
  pushToQuay(quay, 'two/app', 'v1', ['other bytes'])
  pushToQuay(quay, 'two/tool', 'v1', ['a'])
  const registry = await start({ organizations: ['org', 'two'], strip: 'org/' })
  const { failures, progress } = await run(registry)
  expect(progress).toMatchObject({ syncedRepositories: 2, failedRepositories: 1 })
  expect(failures).toMatchObject([{ repository: 'two/app', reason: 'collision' }])
  expect(await digestHere(registry, 'two/app', 'v1')).toBe(one)
  expect(quay.asked.filter(({ url }) => url.includes('/two/app') && !url.includes('org/'))).toEqual(
    [],
  )
})

test('an empty list where there was content is no word on the content', async () => {
  const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
  const registry = await start()
  await run(registry)
  quay.model.setPublic('org/app', false)
  const { lastResult, message } = await run(registry)
  expect(lastResult).toBe('failed')
  expect(message).toContain('suspicious-listing')
  expect(await digestHere(registry, 'org/app', 'v1')).toBe(one)
})

test('while paused, also after a restart, a trigger is remembered', async () => {
  const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
  const registry = await start()
  await registry.syncs.pause('quay')
  await registry.restart()
  expect(registry.syncs.status('quay')!.state).toBe('paused')
  expect((await registry.syncs.trigger('quay', { by: 'test' })).kind).toBe('remembered')
  expect(await digestHere(registry, 'org/app', 'v1')).toBeUndefined()
  await registry.syncs.resume('quay')
  await until(() => registry.syncs.status('quay')!.lastResult === 'ok')
  expect(await digestHere(registry, 'org/app', 'v1')).toBe(one)
})

test('a cancelled run lets its tags end and begins no other', async () => {
  for (let number = 0; number < 30; number += 1)
    pushToQuay(quay, 'org/app', `v${number}`, [`l${number}`])
  const registry = await start({ concurrency: 1 })
  let blobs = 0
  quay.switches.fault = (of) => {
    if (of === 'storage') blobs += 1
    if (blobs === 5) registry.syncs.cancel('quay')
    return undefined
  }
  const { counts, state, lastResult } = await run(registry)
  expect({ state, lastResult }).toEqual({ state: 'cancelled', lastResult: 'cancelled' })
  expect(counts.copied).toBeGreaterThan(0)
  expect(counts.copied).toBeLessThan(10)
  expect(counts.failed).toBe(0)
})

test('a stop in the middle of a run goes on with the next start and fetches no blob twice', async () => {
  for (let number = 0; number < 20; number += 1)
    pushToQuay(quay, 'org/app', `v${number}`, [`l${number}`])
  const registry = await start({ concurrency: 2 })
  let blobs = 0
  let stopping: Promise<void> | undefined
  quay.switches.fault = (of) => {
    if (of === 'storage') blobs += 1
    if (blobs === 8) stopping ??= registry.stop()
    return undefined
  }
  await registry.syncs.trigger('quay', { by: 'test' })
  await until(() => stopping !== undefined)
  await stopping
  await registry.start()
  await until(() => registry.syncs.status('quay')!.lastResult === 'ok')
  for (let number = 0; number < 20; number += 1) {
    expect(await digestHere(registry, 'org/app', `v${number}`)).toBeDefined()
  }
  // Those that were on their way in the stop may come again: one for each place.
  expect(quay.count('storage')).toBeLessThanOrEqual(21 + 2)
  expect(registry.faults).toEqual([])
})

test('what a hook names is looked at after two seconds, without a job', async () => {
  pushToQuay(quay, 'org/app', 'v1', ['a'])
  const registry = await start()
  registry.syncs.hint('quay', [{ repository: 'org/app', tag: 'v1' }, { repository: 'no/app' }])
  await until(async () => (await digestHere(registry, 'org/app', 'v1')) !== undefined)
  expect(registry.syncs.runs('quay')).toEqual([])
})

test('a dry run says what a run would do and writes nothing', async () => {
  pushToQuay(quay, 'org/app', 'v1', ['a'])
  const registry = await start()
  const { signal } = new AbortController()
  const plan = await registry.syncs.dryRun('quay', { by: 'test' }, signal)
  expect(plan.items).toEqual([
    { repository: 'org/app', tag: 'v1', action: 'copy', reason: 'selected' },
  ])
  expect(plan.bytes).toBe(3)
  expect(await digestHere(registry, 'org/app', 'v1')).toBeUndefined()
  const before = await registry.syncs.explain('quay', 'org/app', 'v1', signal)
  expect(before).toMatchObject({ isSelected: true, rule: 'selected', isOwned: false })
  await run(registry)
  const after = await registry.syncs.explain('quay', 'org/app', 'v1', signal)
  expect(after).toMatchObject({ isOwned: true, outcome: 'copied' })
})

test('a dry run lists what a prune would miss, what ends upstream, and what cannot be asked', async () => {
  const digest = pushToQuay(quay, 'org/app', 'v1', ['a'])
  pushToQuay(quay, 'org/app', 'v2', ['b'])
  pushToQuay(quay, 'org/app', 'v3', ['c'])
  pushToQuay(quay, 'org/tool', 'v1', ['a'])
  const registry = await start({ prune: { enabled: true } })
  await run(registry)
  const app = quay.model.repositories.get('org/app')!
  app.deleteTag('v2', quay.now)
  app.setTag('v3', digest, quay.now, { endTs: quay.now + 3_600 })
  pushToQuay(quay, 'org/secret', 'v1', ['a'])
  const { signal } = new AbortController()
  quay.switches.fault = (of, { url }) =>
    of === 'api' && url?.includes('/org/secret/') === true
      ? { kind: 'status', status: 401 }
      : undefined
  const plan = () => registry.syncs.dryRun('quay', { by: 'test', isFull: true }, signal)
  const expiring = { upstreamExpiresAt: (quay.now + 3_600) * 1_000 }
  const first = await plan()
  expect(first.items).toEqual([
    { repository: 'org/app', tag: 'v3', action: 'move', reason: 'selected', ...expiring },
    {
      repository: 'org/app',
      tag: 'v2',
      action: 'prune',
      reason: 'gone: missed by 0 of 2 full passes',
    },
    { repository: 'org/secret', tag: '', action: 'failed', reason: 'denied' },
  ])
  const shown = await registry.syncs.explain('quay', 'org/app', 'v3', signal)
  expect(shown).toMatchObject(expiring)
  await run(registry, { isFull: true })
  expect((await plan()).items).toContainEqual({
    repository: 'org/app',
    tag: 'v2',
    action: 'prune',
    reason: 'gone: missed by 1 of 2 full passes',
  })
  // A dry run counts nothing.
  expect((await plan()).items).toHaveLength(2)
})

test('a source with another name goes on with what it knew', async () => {
  pushToQuay(quay, 'org/app', 'v1', ['a'])
  const registry = await start()
  await run(registry)
  await registry.stop()
  const renamed = { name: 'other', previously: 'quay' }
  const again = await start(renamed, registry.folder)
  quay.forget()
  const started = await again.syncs.trigger('other', { by: 'test' })
  if (started.kind !== 'started') throw new Error(started.kind)
  await started.ended
  expect(again.syncs.status('other')).toMatchObject({
    lastResult: 'ok',
    progress: { totalTags: 0 },
  })
  expect(asked()).toBe(1)

  // What it wrote under the old name is its own.
  const moved = pushToQuay(quay, 'org/app', 'v1', ['b'], LONG_AGO + 20)
  const next = await again.syncs.trigger('other', { by: 'test' })
  if (next.kind !== 'started') throw new Error(next.kind)
  await next.ended
  expect(again.syncs.status('other')).toMatchObject({ counts: { copied: 1, conflict: 0 } })
  expect(await digestHere(again, 'org/app', 'v1')).toBe(moved)
})

test('a hook secret is read again when its file changes', async () => {
  const { path, remove } = await temporaryFolder()
  open.push(remove)
  const file = join(path, 'secret')
  await writeFile(file, 'one\n')
  const { syncs } = await start({ hook_secret_file: file })
  expect(await syncs.isHookSecret('quay', 'one')).toBe(true)
  expect(await syncs.isHookSecret('quay', 'two')).toBe(false)
  expect(await syncs.isHookSecret('none', 'one')).toBeUndefined()
  await writeFile(file, 'two\n')
  await until(async () => (await syncs.isHookSecret('quay', 'two')) === true)
  expect(await syncs.isHookSecret('quay', 'one')).toBe(false)
})
