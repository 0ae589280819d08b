/** @module Quay as a source, against its stand-in. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Clock, systemClock } from '../../../src/runtime/clock.ts'
import type { SyncError, SyncUpstream } from '../../../src/sync/port.ts'
import { isCredentialRefused, retryAtOf, toSyncError } from '../../../src/sync/sources/failures.ts'
import { QuaySource } from '../../../src/sync/sources/quay.ts'
import { quayCredentials } from '../../../src/sync/sources/quay-credentials.ts'
import { RegistrySource } from '../../../src/sync/sources/registry.ts'
import { FakeClock, ShiftedClock } from '../../support/fake-clock.ts'
import { QuayStandIn } from '../../support/quay/stand-in.ts'
import { imageManifest, sha256 } from '../../support/registry-client.ts'
import { openUpstream } from '../../support/upstream-client.ts'

const clock = new FakeClock()
const open: (() => Promise<unknown>)[] = []
let quay: QuayStandIn
const config = { mediaType: 'application/x', digest: sha256('{}'), size: 2 }
const image = (mark: string) => imageManifest(config, [], { annotations: { mark } })
const { signal } = new AbortController()

beforeEach(async () => {
  quay = await new QuayStandIn(clock).start()
  open.push(() => quay.stop())
  quay.auth.oauthTokens.set('good', { user: 'alice', scopes: ['repo:read'] })
  quay.auth.oauthTokens.set('old', { user: 'alice', scopes: ['repo:read'], isExpired: true })
  quay.auth.robots.set('org+bot', 'robot-token')
})
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

const secret = (value: string) => ({ kind: 'text', value }) as const

interface Settings {
  readonly token?: string
  readonly organizations?: readonly string[]
  readonly repositories?: readonly string[]
}

async function sourceOf(settings: Settings = {}, time: Clock = systemClock): Promise<QuaySource> {
  const { token, organizations = ['org'], repositories = [] } = settings
  const credentials = quayCredentials({
    token: token === undefined ? undefined : secret(token),
    robot: undefined,
    user: undefined,
  })
  const api = credentials.api === undefined ? [] : [credentials.api]
  const client = await openUpstream(quay.url, { credentials: api, clock: time })
  open.push(client.close)
  const host = new URL(quay.url).host
  const { oauth } = credentials
  return new QuaySource({
    api: client.upstream,
    clock: time,
    host,
    oauth,
    organizations,
    repositories,
  })
}

async function namesOf(source: SyncUpstream): Promise<string[]> {
  const names: string[] = []
  for await (const page of source.repositories(signal)) names.push(...page.map(({ name }) => name))
  return names
}

async function tagsOf(source: SyncUpstream, repository: string, since?: number): Promise<string[]> {
  const tags: string[] = []
  const wanted = since === undefined ? { signal } : { since, signal }
  for await (const page of source.tags(repository, wanted)) tags.push(...page.map(({ tag }) => tag))
  return tags
}

const reasonOf = async (work: Promise<unknown>): Promise<SyncError> =>
  work.then(
    () => {
      throw new Error('it did not fail')
    },
    (error) => toSyncError(error),
  )

function app(tags: number) {
  const repository = quay.model.addRepository('org/app', { readers: ['alice', 'org+bot'] })
  for (let index = 0; index < tags; index += 1) {
    const digest = repository.putManifest(image(String(index)))
    repository.setTag(`t${index}`, digest, quay.now - tags + index)
  }
  return repository
}

describe('the probe', () => {
  test('takes a good token, and nobody', async () => {
    await (await sourceOf({ token: 'good' })).probe(signal)
    await (await sourceOf()).probe(signal)
    expect(quay.count('auth')).toBe(1)
  })

  test.each([
    ['bad', 'OAuth access token could not be validated'],
    ['old', 'OAuth access token has expired'],
  ])('refuses a %s token, which the API takes for nobody', async (token, words) => {
    quay.model.addRepository('org/open', { isPublic: true })
    const source = await sourceOf({ token })
    expect(await namesOf(source)).toEqual(['org/open'])
    const error = await reasonOf(source.probe(signal))
    expect(error.reason).toBe('credentials')
    expect(error.message).toContain(words)
  })

  test('says nothing of a token while the host fails', async () => {
    quay.switches.fault = () => ({ kind: 'status', status: 502 })
    const error = await reasonOf((await sourceOf({ token: 'good' })).probe(signal))
    expect([error.reason, error.isPassing]).toEqual(['upstream-error', true])
  })
})

describe('repositories', () => {
  test('are those of the token and public ones, with the time of their last tag', async () => {
    const repository = app(2)
    quay.model.addRepository('org/open', { isPublic: true })
    quay.model.addRepository('org/chart', { isPublic: true }).kind = 'application'
    quay.model.visibilityChanged()
    const source = await sourceOf({ token: 'good' })
    const pages = []
    for await (const page of source.repositories(signal)) pages.push(...page)
    expect(pages).toEqual([
      { name: 'org/app', changedAt: repository.tagAt('t1', quay.now)!.startTs * 1000 },
      { name: 'org/open', changedAt: 0 },
    ])
  })

  test('cost one request for each hundred, and are each listed once', async () => {
    for (let index = 0; index < 1050; index += 1) {
      quay.model.addRepository(`org/r${index}`, { isPublic: true })
    }
    const names = await namesOf(await sourceOf())
    expect([names.length, new Set(names).size]).toEqual([1050, 1050])
    expect(quay.count('api')).toBe(11)
  })

  test('beside those of organizations are taken by name', async () => {
    quay.model.addRepository('org/open', { isPublic: true })
    const source = await sourceOf({ repositories: ['org/open', 'other/one', 'other/one'] })
    expect(await namesOf(source)).toEqual(['org/open', 'other/one'])
  })

  test('of an organization that is not there are an error', async () => {
    quay.model.addNamespace('org')
    quay.model.addNamespace('bob', 'user')
    expect(await namesOf(await sourceOf({ organizations: ['org', 'bob'] }))).toEqual([])
    const error = await reasonOf(namesOf(await sourceOf({ organizations: ['none'] })))
    expect(error.reason).toBe('organization-not-found')
  })

  test('whose token ends while they are listed are no whole list', async () => {
    for (let index = 0; index < 250; index += 1) {
      quay.model.addRepository(`org/r${index}`, { isPublic: true })
    }
    const time = new ShiftedClock()
    const source = await sourceOf({ token: 'good' }, time)
    await source.probe(signal)
    quay.switches.onRepositoryPage = () => {
      quay.auth.oauthTokens.get('good')!.isExpired = true
      time.advance(60_000)
    }
    const error = await reasonOf(namesOf(source))
    expect(error.reason).toBe('credentials')
  })

  test('whose cursor has ended in the middle are no whole list', async () => {
    for (let index = 0; index < 250; index += 1) {
      quay.model.addRepository(`org/r${index}`, { isPublic: true })
    }
    quay.switches.onRepositoryPage = () => clock.advance(3 * 24 * 3600 * 1000)
    const error = await reasonOf(namesOf(await sourceOf()))
    expect(error.reason).toBe('incomplete-listing')
    expect(quay.count('api')).toBeLessThanOrEqual(3)
  })

  test.each([
    ['a page that is no JSON', 'no json', 'upstream-error'],
    ['a list that is none', '{"repositories":{}}', 'upstream-error'],
    ['no list', '{}', 'upstream-error'],
    ['a cursor that leads to itself', '{"repositories":[],"next_page":"x"}', 'incomplete-listing'],
  ])('fail for %s', async (_what, body, reason) => {
    quay.switches.fault = () => ({ kind: 'body', body })
    expect((await reasonOf(namesOf(await sourceOf()))).reason).toBe(reason)
  })

  test('leave out what is of another namespace, and fields of other types', async () => {
    const entries = [
      { namespace: 'org', name: 'a', last_modified: 'late' },
      { namespace: 'else', name: 'b' },
      { namespace: 'org', name: 7 },
      null,
      'text',
    ]
    quay.switches.fault = () => ({ kind: 'body', body: JSON.stringify({ repositories: entries }) })
    const pages = []
    for await (const page of (await sourceOf()).repositories(signal)) pages.push(...page)
    expect(pages).toEqual([{ name: 'org/a' }])
  })
})

describe('tags', () => {
  test('are the live ones with digest and times, newest first', async () => {
    const repository = app(3)
    repository.deleteTag('t1', quay.now)
    const [digest] = repository.manifests.keys()
    repository.setTag('short', digest!, quay.now, { endTs: quay.now + 60 })
    const pages = []
    for await (const page of (await sourceOf({ token: 'good' })).tags('org/app', { signal }))
      pages.push(...page)
    expect(pages[0]).toEqual({
      tag: 'short',
      digest,
      pushedAt: quay.now * 1000,
      expiresAt: (quay.now + 60) * 1000,
    })
    expect(pages.map(({ tag }) => tag)).toEqual(['short', 't2', 't0'])
    expect(quay.counts).toMatchObject({ manifests: 0, tags: 0 })
    expect(repository.pulls).toBe(0)
  })

  test('end with the page that reaches what is known', async () => {
    app(450)
    const source = await sourceOf({ token: 'good' })
    const tags = await tagsOf(source, 'org/app', (quay.now - 150) * 1000)
    expect([tags.length, tags[0]]).toEqual([200, 't449'])
    expect(quay.count('api')).toBe(2)
    expect(await tagsOf(source, 'org/app')).toHaveLength(450)
  })

  test('that a push moves from page to page are listed once', async () => {
    const repository = app(150)
    quay.switches.onTagPage = (_name, page) => {
      if (page === 1) repository.setTag('new', [...repository.manifests.keys()][0]!, quay.now)
    }
    const tags = await tagsOf(await sourceOf({ token: 'good' }), 'org/app')
    expect([tags.length, new Set(tags).size]).toEqual([150, 150])
  })

  test('of an old version are the same', async () => {
    app(3)
    quay.switches.isOld = true
    expect(await tagsOf(await sourceOf({ token: 'good' }), 'org/app')).toEqual(['t2', 't1', 't0'])
  })

  test('that repeat themselves for ever are no whole list', async () => {
    const body = JSON.stringify({ tags: [{ name: 'a', start_ts: 5 }], has_additional: true })
    quay.switches.fault = () => ({ kind: 'body', body })
    const error = await reasonOf(tagsOf(await sourceOf(), 'org/app'))
    expect(error.reason).toBe('incomplete-listing')
    expect(quay.count('api')).toBe(4)
  })

  test.each([
    ['not shown to nobody', undefined, 'org/secret', 'hidden'],
    ['not shown to the token', 'good', 'org/secret', 'denied'],
    ['not there, as its admin is told', 'good', 'mine/none', 'missing'],
  ])('of a repository that is %s fail', async (_what, token, repository, kind) => {
    quay.model.addRepository('org/secret')
    quay.model.addNamespace('mine', 'organization', ['alice'])
    const source = await sourceOf(token === undefined ? {} : { token })
    await expect(tagsOf(source, repository)).rejects.toMatchObject({ kind })
  })

  test('of a repository that turns private in the middle fail', async () => {
    const repository = quay.model.addRepository('org/open', { isPublic: true })
    const digest = repository.putManifest(image('x'))
    for (let index = 0; index < 150; index += 1) repository.setTag(`t${index}`, digest, quay.now)
    quay.switches.onTagPage = () => quay.model.setPublic('org/open', false)
    expect((await reasonOf(tagsOf(await sourceOf(), 'org/open'))).reason).toBe('denied')
  })

  test('that are refused for one repository say nothing of the token', async () => {
    app(1)
    quay.switches.fault = (of, { url }) =>
      of === 'api' && url?.includes('org/app') === true
        ? { kind: 'status', status: 401 }
        : undefined
    const source = await sourceOf({ token: 'good' })
    const error = await reasonOf(tagsOf(source, 'org/app'))
    expect(error.reason).toBe('denied')
    expect(isCredentialRefused(error)).toBe(false)
    // Whether the token is good was asked where only the token counts.
    expect(quay.count('auth')).toBe(1)
  })

  test.each([
    ['a private repository, which is refused then', false],
    ['one that is not said to be there then', true],
  ])('of %s fail for the token that has ended', async (_what, isHidden) => {
    app(150)
    const source = await sourceOf({ token: 'good' })
    quay.switches.onTagPage = () => {
      quay.auth.oauthTokens.get('good')!.isExpired = true
      const hidden = { kind: 'status', status: 404 } as const
      if (isHidden) quay.switches.fault = (of) => (of === 'api' ? hidden : undefined)
    }
    const error = await reasonOf(tagsOf(source, 'org/app'))
    expect(error.reason).toBe('credentials')
    expect(error.message).toContain('has expired')
    expect(isCredentialRefused(error)).toBe(true)
  })

  test('come through a proxy that answers a page, or fails, once', async () => {
    app(1)
    let requests = 0
    quay.switches.fault = () => {
      requests += 1
      if (requests === 1) return { kind: 'page' }
      return requests === 2 ? { kind: 'status', status: 520 } : undefined
    }
    expect(await tagsOf(await sourceOf({ token: 'good' }), 'org/app')).toEqual(['t0'])
  })

  test('come where the host closes its connections, and cuts one', async () => {
    app(150)
    quay.switches.closesConnections = true
    let cuts = 1
    quay.switches.fault = () => {
      cuts -= 1
      return cuts >= 0 ? { kind: 'cut' } : undefined
    }
    expect(await tagsOf(await sourceOf({ token: 'good' }), 'org/app')).toHaveLength(150)
  })

  test('of a host that says for how long it is not asked fail until then', async () => {
    quay.switches.fault = () => ({ kind: 'limited', headers: { 'Retry-After': '300' } })
    const error = await reasonOf(tagsOf(await sourceOf(), 'org/app'))
    expect(error.reason).toBe('rate-limited')
    expect(Math.abs(retryAtOf(error)! - Date.now() - 300_000)).toBeLessThan(3000)
  })
})

describe('one tag', () => {
  test('is said with its digest, or not to be there', async () => {
    const repository = app(2)
    const source = await sourceOf({ token: 'good' })
    const { digest } = repository.tagAt('t1', quay.now)!
    expect(await source.tag('org/app', 't1', signal)).toMatchObject({ tag: 't1', digest })
    repository.deleteTag('t1', quay.now)
    expect(await source.tag('org/app', 't1', signal)).toBeUndefined()
  })

  test('is not said to be gone by whoever may not know', async () => {
    app(1)
    await expect((await sourceOf()).tag('org/app', 'x', signal)).rejects.toMatchObject({
      kind: 'hidden',
    })
    for (const body of ['{"tags":[{"name":"other"}]}', '{"tags":7}', '{}']) {
      quay.switches.fault = () => ({ kind: 'body', body })
      await expect((await sourceOf()).tag('org/app', 'x', signal)).rejects.toMatchObject({
        kind: 'garbage',
      })
    }
  })
})

describe('credentials', () => {
  const token = secret('oauth')
  const robot = { name: 'org+bot', secret: secret('pw') }

  test('are an OAuth token for the API and, by login, for /v2', () => {
    const found = quayCredentials({ token, robot: undefined, user: undefined })
    expect(found).toMatchObject({
      mode: 'api',
      api: { username: undefined, isToken: true },
      registry: { username: '$oauthtoken', isToken: false },
    })
  })

  test('are a robot for /v2 where there is one', () => {
    const found = quayCredentials({ token, robot, user: undefined })
    expect(found).toMatchObject({ mode: 'api', registry: { username: 'org+bot' } })
    expect(found.oauth).toMatchObject({ username: '$oauthtoken' })
  })

  test.each([
    ['a robot', { token: undefined, robot, user: undefined }, 'org+bot'],
    [
      'a user',
      { token: undefined, robot: undefined, user: { name: 'me', secret: secret('x') } },
      'me',
    ],
    [
      'a token that is a pair',
      { token: secret('org+bot:p:w'), robot: undefined, user: undefined },
      'org+bot',
    ],
  ])('of %s alone ask by the registry', (_who, settings, username) => {
    const found = quayCredentials(settings)
    expect(found).toMatchObject({ mode: 'registry', api: undefined, oauth: undefined })
    expect(found.registry?.username).toBe(username)
  })

  test('of nobody ask the API', () => {
    const found = quayCredentials({ token: undefined, robot: undefined, user: undefined })
    expect(found).toMatchObject({ mode: 'api', api: undefined, registry: undefined })
  })
})

test('a robot alone lists by catalog, organizations alone, with one login for each scope', async () => {
  app(3)
  quay.model.addRepository('else/app', { readers: ['org+bot'] })
  const settings = { robot: { name: 'org+bot', secret: secret('robot-token') } }
  const { registry } = quayCredentials({ token: undefined, user: undefined, ...settings })
  const client = await openUpstream(quay.url, { credentials: [registry!] })
  open.push(client.close)
  const source = new RegistrySource({
    upstream: client.upstream,
    clock: systemClock,
    repositories: undefined,
    organizations: ['org'],
  })
  expect(await namesOf(source)).toEqual(['org/app'])
  expect(await tagsOf(source, 'org/app')).toEqual(['t0', 't1', 't2'])
  expect((await source.tag('org/app', 't1', signal))?.digest).toBe(
    quay.model.repositories.get('org/app')!.tagAt('t1', quay.now)!.digest,
  )
  expect(await source.tag('org/app', 'gone', signal)).toBeUndefined()
})

test('10,000 repositories cost 100 requests of the API and nothing else', async () => {
  for (let index = 0; index < 10_000; index += 1) {
    quay.model.addRepository(`org/r${index}`, { isPublic: true })
  }
  expect(await namesOf(await sourceOf({ token: 'good' }))).toHaveLength(10_000)
  expect(quay.counts).toMatchObject({ api: 100, tags: 0, catalog: 0, manifests: 0, auth: 0 })
})
