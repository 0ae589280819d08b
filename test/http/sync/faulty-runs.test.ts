/**
 * @module Runs from a Quay that fails: a defined outcome for each fault, the rest of the source copied all the same,
 * nothing wrong stored, nothing gone.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { SyncRequest, SyncStatus } from '../../../src/sync/syncs.ts'
import { dispose, type InProcessRegistry, startInProcess, until } from '../../support/in-process.ts'
import { QuayStandIn } from '../../support/quay/stand-in.ts'
import type { QuayClass, QuayFault } from '../../support/quay/switches.ts'
import { LONG_AGO, pushToQuay, signInQuay } from '../../support/sync-server.ts'

const open: (() => Promise<unknown>)[] = []
let quay: QuayStandIn

beforeEach(async () => {
  quay = await new QuayStandIn().start()
  open.push(() => quay.stop())
})
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

async function start(source: Readonly<Record<string, unknown>> = {}): Promise<InProcessRegistry> {
  const common = { name: 'quay', type: 'quay', url: quay.url, mode: 'manual' }
  const registry = await startInProcess({
    engine: 'node',
    config: { sync: { sources: [{ ...common, organizations: ['org'], ...source }] } },
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

async function digestHere({ client }: InProcessRegistry, repository: string, tag: string) {
  const answer = await client.head(`/v2/${repository}/manifests/${tag}`)
  return answer.status === 200 ? String(answer.headers['docker-content-digest']) : undefined
}

/** Fails what is asked of one class, and of one path, so often. */
function failing(
  fault: QuayFault,
  { of, part = '', times = Number.POSITIVE_INFINITY }: Failing,
): void {
  let left = times
  quay.switches.fault = (its, { url }) => {
    if (its !== of || url?.includes(part) !== true || left === 0) return undefined
    left -= 1
    return fault
  }
}

interface Failing {
  readonly of: QuayClass
  readonly part?: string
  readonly times?: number
}

/** Whatever the run is told of: the source as a whole, or a part of it. */
const reasonsOf = ({ message = '', failures }: SyncStatus) =>
  [message, ...failures.map(({ reason }) => reason)].join(' ')

describe('a host', () => {
  test('that is not there fails the run, and the next one is whole', async () => {
    const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
    const registry = await start()
    const there = quay.model
    await quay.stop()
    const failed = await run(registry)
    expect(failed).toMatchObject({ lastResult: 'failed', isListingComplete: false })
    expect(failed.message).toContain('unreachable')
    expect(there.repositories.get('org/app')?.tagAt('v1', quay.now)?.digest).toBe(one)
    expect(await digestHere(registry, 'org/app', 'v1')).toBeUndefined()
  })

  test('without the TLS that is configured is no host to trust', async () => {
    const registry = await start({ url: quay.url.replace('http:', 'https:') })
    const { lastResult, message } = await run(registry)
    expect(lastResult).toBe('failed')
    expect(message).toMatch(/tls|unreachable/)
  })

  test.each([
    ['520', { kind: 'status', status: 520 }],
    ['a page of a proxy', { kind: 'page' }],
    ['429 without Retry-After', { kind: 'limited' }],
  ] as const)('that answers %s twice is asked again', async (_name, fault) => {
    const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
    const registry = await start()
    failing(fault, { of: 'api', times: 2 })
    expect(await run(registry)).toMatchObject({ lastResult: 'ok', counts: { copied: 1 } })
    expect(await digestHere(registry, 'org/app', 'v1')).toBe(one)
  })

  test.each([
    ['520', { kind: 'status', status: 520 }],
    ['a page of a proxy', { kind: 'page' }],
  ] as const)('that answers nothing but %s fails the run', async (_name, fault) => {
    const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
    const registry = await start({ prune: { enabled: true } })
    await run(registry)
    failing(fault, { of: 'api' })
    const failed = await run(registry, { isFull: true })
    expect(failed).toMatchObject({ lastResult: 'failed', counts: { pruned: 0 } })
    expect(failed.message).toContain('upstream-error')
    expect(await digestHere(registry, 'org/app', 'v1')).toBe(one)
  })

  test('that wants to be left alone for long is waited for, and says so', async () => {
    pushToQuay(quay, 'org/app', 'v1', ['a'])
    const registry = await start()
    failing({ kind: 'limited', headers: { 'Retry-After': '600' } }, { of: 'manifests' })
    const started = await registry.syncs.trigger('quay', { by: 'test' })
    await until(() => registry.syncs.status('quay')!.state === 'waiting')
    expect(registry.syncs.status('quay')).toMatchObject({
      message: 'waiting for quota',
      counts: { failed: 0 },
    })
    registry.syncs.cancel('quay')
    if (started.kind === 'started') await started.ended
    expect(registry.syncs.status('quay')!.lastResult).toBe('cancelled')
  })
})

describe('a repository', () => {
  test.each([401, 403])('that is refused (%i) is denied, and the others go on', async (status) => {
    quay.auth.oauthTokens.set('good', { user: 'alice', scopes: ['repo:read'] })
    const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
    pushToQuay(quay, 'org/other', 'v1', ['a'])
    const registry = await start({ token: 'good' })
    failing({ kind: 'status', status }, { of: 'api', part: '/org/other/' })
    const ended = await run(registry)
    expect(ended).toMatchObject({ lastResult: 'partial', isListingComplete: true })
    expect(ended.failures).toMatchObject([{ repository: 'org/other', reason: 'denied' }])
    expect(await digestHere(registry, 'org/app', 'v1')).toBe(one)
    // The credential is good: the schedule goes on.
    expect(ended.message ?? '').not.toContain('credentials')
  })

  test('that turns private in the middle keeps what is here', async () => {
    const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
    const two = pushToQuay(quay, 'org/other', 'v1', ['b'])
    const registry = await start({ prune: { enabled: true } })
    await run(registry)
    quay.switches.onRepositoryPage = () => quay.model.setPublic('org/app', false)
    for (let pass = 0; pass < 3; pass += 1) {
      quay.model.setPublic('org/app', true)
      const { failures, lastResult } = await run(registry, { isFull: true })
      expect(lastResult).toBe('partial')
      expect(failures).toMatchObject([{ repository: 'org/app', reason: 'denied' }])
    }
    expect(await digestHere(registry, 'org/app', 'v1')).toBe(one)
    expect(await digestHere(registry, 'org/other', 'v1')).toBe(two)
  })

  test('whose list is empty where it had content is suspicious, and is asked twice', async () => {
    const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
    const two = pushToQuay(quay, 'org/other', 'v1', ['b'])
    const registry = await start({ prune: { enabled: true } })
    await run(registry)
    const body = '{"tags":[],"page":1,"has_additional":false}'
    failing({ kind: 'body', body }, { of: 'api', part: '/org/app/' })
    for (let pass = 0; pass < 3; pass += 1) {
      quay.forget()
      const { failures, lastResult } = await run(registry, { isFull: true })
      expect(lastResult).toBe('partial')
      expect(failures).toMatchObject([{ repository: 'org/app', reason: 'suspicious-listing' }])
      expect(quay.asked.filter(({ url }) => url.includes('/org/app/'))).toHaveLength(2)
    }
    expect(await digestHere(registry, 'org/app', 'v1')).toBe(one)
    expect(await digestHere(registry, 'org/other', 'v1')).toBe(two)
  })

  test('whose pages repeat themselves has no whole list, and loses nothing', async () => {
    const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
    const registry = await start({ prune: { enabled: true } })
    await run(registry)
    const body = JSON.stringify({ tags: [{ name: 'v9', start_ts: 5 }], has_additional: true })
    failing({ kind: 'body', body }, { of: 'api', part: '/org/app/' })
    for (let pass = 0; pass < 3; pass += 1) {
      const { failures } = await run(registry, { isFull: true })
      expect(failures).toMatchObject([{ repository: 'org/app', reason: 'incomplete-listing' }])
    }
    expect(await digestHere(registry, 'org/app', 'v1')).toBe(one)
  })
})

describe('an organization', () => {
  test('that is not there fails the run', async () => {
    const registry = await start({ organizations: ['none'] })
    const { lastResult, message } = await run(registry)
    expect(lastResult).toBe('failed')
    expect(message).toContain('organization-not-found')
  })

  test('whose pages lead in a circle has no whole list, and what was listed is copied', async () => {
    const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
    const registry = await start()
    const page = { repositories: [{ namespace: 'org', name: 'app' }], next_page: 'again' }
    quay.switches.fault = (of, { url }) =>
      of === 'api' && url?.includes('/repository?') === true
        ? { kind: 'body', body: JSON.stringify(page) }
        : undefined
    const ended = await run(registry)
    expect(ended).toMatchObject({ isListingComplete: false })
    expect(ended.lastResult).not.toBe('ok')
    expect(ended.message).toContain('incomplete-listing')
    await until(async () => (await digestHere(registry, 'org/app', 'v1')) === one)
  })
})

test('names that are none are skipped and counted, and are asked for nowhere', async () => {
  const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
  const names = ['app', 'UPPER', '../api', 'a b', '', 'x'.repeat(300), 'a//b', 'a/../b']
  const page = { repositories: names.map((name) => ({ namespace: 'org', name })) }
  const tags = ['../../x', '-v', 'v 1', 'x'.repeat(129), '', 'v1'].map((name) => ({
    name,
    manifest_digest: one,
    start_ts: LONG_AGO,
  }))
  quay.switches.fault = (of, { url = '' }) => {
    if (of !== 'api') return undefined
    if (url.includes('/repository?')) return { kind: 'body', body: JSON.stringify(page) }
    return { kind: 'body', body: JSON.stringify({ tags, has_additional: false }) }
  }
  const registry = await start()
  const ended = await run(registry)
  expect(ended).toMatchObject({ lastResult: 'ok', counts: { copied: 1, failed: 0 }, failures: [] })
  expect(ended.counts.skipped).toBeGreaterThanOrEqual(5 + 3)
  expect(await digestHere(registry, 'org/app', 'v1')).toBe(one)
  const asked = quay.asked.filter(
    ({ url }) => !url.includes('org/app') && !url.includes('?namespace'),
  )
  expect(asked.map(({ url }) => url).filter((url) => !url.startsWith('/v2/auth'))).toEqual([])
})

test('a source of mode once that is refused has failed, and runs when it is asked to', async () => {
  const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
  const registry = await start({ mode: 'once', token: 'soon' })
  await until(() => {
    const { lastResult, state } = registry.syncs.status('quay')!
    return lastResult !== undefined && state === 'idle'
  })
  const { lastResult, message, nextRunAt } = registry.syncs.status('quay')!
  expect([lastResult, nextRunAt]).toEqual(['failed', undefined])
  expect(message).toContain('credentials')
  quay.auth.oauthTokens.set('soon', { user: 'alice', scopes: ['repo:read'] })
  expect((await run(registry)).lastResult).toBe('ok')
  expect(await digestHere(registry, 'org/app', 'v1')).toBe(one)
})

test('what upstream lets end is counted, and does not end here for that', async () => {
  const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
  pushToQuay(quay, 'org/app', 'v2', ['b'])
  const endTs = quay.now + 3_600
  quay.model.repositories.get('org/app')!.setTag('v1', one, LONG_AGO + 5, { endTs })
  const registry = await start()
  expect(await run(registry)).toMatchObject({ expiring: { tags: 1, firstAt: endTs * 1_000 } })
  const answer = await registry.client.get('/admin/sync/status/quay')
  expect(answer.json).toMatchObject({
    upstream_expiring: { tags: 1, first: new Date(endTs * 1_000).toISOString() },
  })
})

describe('a token', () => {
  test('that ends in the middle of a run is the credential', async () => {
    quay.auth.oauthTokens.set('good', { user: 'alice', scopes: ['repo:read'] })
    for (let number = 0; number < 3; number += 1) {
      pushToQuay(quay, `org/r${number}`, 'v1', [`l${number}`])
      quay.model.setPublic(`org/r${number}`, false)
      quay.model.repositories.get(`org/r${number}`)!.readers.add('alice')
    }
    quay.model.visibilityChanged()
    const registry = await start({ token: 'good' })
    quay.switches.onRepositoryPage = () => {
      quay.auth.oauthTokens.get('good')!.isExpired = true
      quay.auth.endTokens()
    }
    const ended = await run(registry)
    expect(reasonsOf(ended)).toContain('credentials')
    expect(ended.counts.copied).toBe(0)
  })
})

describe('a tag', () => {
  test('that moves between the list and the fetch is what it is by then', async () => {
    const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
    const registry = await start()
    const app = quay.model.repositories.get('org/app')!
    let two = ''
    quay.switches.fault = (of, { url }) => {
      if (of !== 'manifests' || url?.includes(one) !== true || two !== '') return undefined
      two = pushToQuay(quay, 'org/app', 'v1', ['b'], LONG_AGO + 5)
      app.manifests.delete(one)
      return undefined
    }
    expect(await run(registry)).toMatchObject({ lastResult: 'ok', counts: { copied: 1 } })
    expect(await digestHere(registry, 'org/app', 'v1')).toBe(two)
  })

  test('that goes between the list and the fetch is gone, which is no failure', async () => {
    const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
    pushToQuay(quay, 'org/app', 'v2', ['b'])
    const registry = await start()
    const app = quay.model.repositories.get('org/app')!
    quay.switches.fault = (of, { url }) => {
      if (of !== 'manifests' || url?.includes(one) !== true) return undefined
      app.deleteTag('v1', quay.now)
      app.manifests.delete(one)
      return undefined
    }
    const ended = await run(registry)
    expect(ended).toMatchObject({ lastResult: 'ok', counts: { copied: 1, gone: 1, failed: 0 } })
    expect(await digestHere(registry, 'org/app', 'v1')).toBeUndefined()
  })

  test('whose bytes are others is corrupt, is counted, and is not visible', async () => {
    pushToQuay(quay, 'org/app', 'v1', ['a'])
    const other = pushToQuay(quay, 'org/tool', 'v1', ['b'])
    const registry = await start()
    failing({ kind: 'wrong-bytes' }, { of: 'storage', part: '/org/app/' })
    const { failures, lastResult } = await run(registry)
    expect(lastResult).toBe('partial')
    expect(failures).toMatchObject([{ repository: 'org/app', reason: 'corrupt-upstream' }])
    expect(failures[0]!.nextRetryAt).toBeGreaterThan(Date.now())
    expect(await digestHere(registry, 'org/app', 'v1')).toBeUndefined()
    expect(await digestHere(registry, 'org/tool', 'v1')).toBe(other)
    quay.switches.fault = undefined
    expect(await run(registry)).toMatchObject({ lastResult: 'partial', counts: { copied: 0 } })
    expect(await run(registry, { isForced: true })).toMatchObject({ lastResult: 'ok' })
  })

  test('that upstream set at an earlier time is found by the next full pass', async () => {
    pushToQuay(quay, 'org/app', 'v1', ['a'], LONG_AGO + 10_000)
    const registry = await start()
    await run(registry)
    // Its clock went back: by times this is nothing new.
    const late = pushToQuay(quay, 'org/app', 'v2', ['b'], LONG_AGO)
    expect((await run(registry)).counts.copied).toBe(0)
    expect((await run(registry, { isFull: true })).counts.copied).toBe(1)
    expect(await digestHere(registry, 'org/app', 'v2')).toBe(late)
    // And what comes after the newest is still seen at once.
    const next = pushToQuay(quay, 'org/app', 'v3', ['c'], LONG_AGO + 10_001)
    expect((await run(registry)).counts.copied).toBe(1)
    expect(await digestHere(registry, 'org/app', 'v3')).toBe(next)
  })

  test('whose signatures cannot be asked for is here, is not complete, and is tried again', async () => {
    const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
    const registry = await start()
    failing({ kind: 'status', status: 403 }, { of: 'referrers' })
    const { failures, lastResult } = await run(registry)
    expect(lastResult).toBe('partial')
    expect(failures).toMatchObject([{ tag: 'v1', reason: 'referrers' }])
    expect(failures[0]!.nextRetryAt).toBeGreaterThan(Date.now())
    expect(await digestHere(registry, 'org/app', 'v1')).toBe(one)
    quay.switches.fault = undefined
    expect(await run(registry, { isForced: true })).toMatchObject({
      lastResult: 'ok',
      failures: [],
    })
  })

  test('of which upstream lacks some says so, and is whole once upstream is', async () => {
    const image = pushToQuay(quay, 'org/app', 'v1', ['a'])
    const app = quay.model.repositories.get('org/app')!
    const descriptor = (digest: string) => ({
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest,
      size: app.manifests.get(digest)!.bytes.byteLength,
    })
    const late = pushToQuay(quay, 'org/app', 'late', ['b'])
    const entries = [descriptor(image), descriptor(late)]
    const missing = app.manifests.get(late)!
    app.deleteTag('late', LONG_AGO + 1)
    const index = app.putManifest({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: entries,
    })
    app.setTag('all', index, LONG_AGO)
    app.manifests.delete(late)
    const registry = await start()
    expect(await run(registry)).toMatchObject({ lastResult: 'ok', counts: { copied: 2 } })
    const { signal } = new AbortController()
    const said = await registry.syncs.explain('quay', 'org/app', 'all', signal)
    expect(said).toMatchObject({ outcome: 'copied', reason: 'sparse' })
    expect((await run(registry, { isFull: true })).counts.copied).toBe(0)
    app.manifests.set(late, missing)
    expect(await run(registry, { isFull: true })).toMatchObject({ counts: { copied: 1 } })
    expect(await digestHere(registry, 'org/app', late)).toBe(late)
    expect(registry.faults).toEqual([])
  })
})

test('no more is asked for in a second than may be, lists and referrers included', async () => {
  for (let number = 0; number < 25; number += 1) {
    pushToQuay(quay, `org/r${number}`, 'v1', [`l${number}`])
  }
  const perSecond = 30
  const registry = await start({ requests_per_second: perSecond })
  expect((await run(registry)).lastResult).toBe('ok')
  // Storage is not Quay: what it redirects to is not counted.
  const asked = quay.asked.filter(({ of }) => of !== 'storage').map(({ at }) => at)
  expect(asked.length).toBeGreaterThan(3 * perSecond)
  const seconds = (Math.max(...asked) - Math.min(...asked)) / 1_000
  // A second's worth is saved up at the beginning.
  expect(asked.length).toBeLessThanOrEqual(perSecond + perSecond * seconds + 5)
})

test('signatures come without SBOMs where that is wanted, and cost nothing from then on', async () => {
  const one = pushToQuay(quay, 'org/app', 'v1', ['a'])
  const stem = one.replace(':', '-')
  signInQuay(quay, 'org/app', one, LONG_AGO)
  pushToQuay(quay, 'org/app', `${stem}.sbom`, ['an SBOM'])
  pushToQuay(quay, 'org/app', `${stem}.att`, ['an attestation'])
  const registry = await start({ sync_signatures: true, sync_sboms: false })
  expect(await run(registry)).toMatchObject({ lastResult: 'ok', counts: { copied: 1 } })
  const here = ['.sig', '.sbom', '.att'].map((end) => digestHere(registry, 'org/app', stem + end))
  const [signature, ...others] = await Promise.all(here)
  expect(signature).toBeDefined()
  expect(others).toEqual([undefined, undefined])
  quay.forget()
  await run(registry, { isFull: true })
  expect(quay.count('manifests')).toBe(0)
})
