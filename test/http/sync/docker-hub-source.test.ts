/** @module Docker Hub as a source, against a stand-in of the parts of its API that are asked. */
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/runtime/clock.ts'
import { DockerHubSource } from '../../../src/sync/sources/docker-hub.ts'
import { type ApiAnswer, startApi } from '../../support/api-stand-in.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { sha256 } from '../../support/registry-client.ts'
import { openUpstream } from '../../support/upstream-client.ts'

const open: (() => Promise<unknown>)[] = []
const { signal } = new AbortController()
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

const repositories = Array.from({ length: 130 }, (_, index) => ({
  name: `r${index}`,
  last_updated: '2025-08-21T07:06:40.123456Z',
}))
const tags = [
  {
    name: 'new',
    digest: sha256('new'),
    last_updated: '2025-08-22T00:00:00Z',
    tag_last_pushed: '2025-08-21T00:00:00Z',
  },
  { name: 'old', last_updated: null, images: [{ digest: sha256('child') }] },
]

async function hub(secret = 'pat') {
  const clock = new FakeClock()
  const started = clock.monotonic()
  const aheadMs = () => clock.monotonic() - started
  const valid = new Set<string>()
  let logins = 0
  const api = await startApi(({ method, url, headers, body }): ApiAnswer | undefined => {
    const { pathname: path, searchParams: query } = url
    if (path === '/v2/auth/token' && method === 'POST') {
      logins += 1
      if (body !== '{"identifier":"me","secret":"pat"}')
        return { status: 401, json: { message: 'bad' } }
      const token = `t${logins}`
      valid.add(`Bearer ${token}`)
      return { json: { access_token: token } }
    }
    if (!valid.has(headers.authorization ?? '') && secret !== 'nobody') return { status: 401 }
    const page = Number(query.get('page') ?? 1)
    const size = Number(query.get('page_size') ?? 10)
    const pageOf = (all: readonly object[]): ApiAnswer => {
      const more = page * size < all.length
      // Another host, and another path.
      const next = more
        ? `https://hub.internal/v2/elsewhere?page=${page + 1}&page_size=${size}`
        : null
      return {
        json: {
          count: all.length,
          next,
          previous: null,
          results: all.slice((page - 1) * size, page * size),
        },
      }
    }
    if (path === '/v2/namespaces/org/repositories') return pageOf(repositories)
    if (path === '/v2/namespaces/org/repositories/r1/tags') return pageOf(tags)
    if (path === '/v2/namespaces/loop/repositories') {
      return { json: { results: [{ name: 'a' }], next: 'https://x/?page=2&page_size=100' } }
    }
    return undefined
  })
  open.push(api.close)
  const client = await openUpstream(api.url)
  open.push(client.close)
  const login =
    secret === 'nobody' ? undefined : { identifier: 'me', readSecret: async () => secret }
  const source = (organizations = ['org']) =>
    new DockerHubSource({
      api: client.upstream,
      registry: client.upstream,
      // Deadlines are the client's, which has the clock of the system.
      clock: { now: () => clock.now(), monotonic: () => systemClock.monotonic() + aheadMs() },
      login,
      organizations,
      repositories: [],
    })
  return { api, clock, valid, source, logins: () => logins }
}

async function all<T>(pages: AsyncIterable<readonly T[]>): Promise<T[]> {
  const found: T[] = []
  for await (const page of pages) found.push(...page)
  return found
}

describe('Docker Hub', () => {
  test('lists repositories with their last change, whichever host its pages name', async () => {
    const { source, logins, api } = await hub()
    const found = await all(source().repositories(signal))
    expect(found).toHaveLength(130)
    expect(found[0]).toEqual({ name: 'org/r0', changedAt: Date.parse('2025-08-21T07:06:40.123Z') })
    expect([logins(), api.asked.length]).toEqual([1, 3])
  })

  test('lists tags with digests, where it says them', async () => {
    const { source } = await hub()
    expect(await all(source().tags('org/r1', { signal }))).toEqual([
      { tag: 'new', digest: sha256('new'), pushedAt: Date.parse('2025-08-21T00:00:00Z') },
      { tag: 'old' },
    ])
  })

  test('is logged in to again when the token has ended, or is refused', async () => {
    const { source, clock, valid, logins } = await hub()
    const one = source()
    await one.probe(signal)
    await one.probe(signal)
    expect(logins()).toBe(1)
    clock.advance(9 * 60_000)
    await one.probe(signal)
    expect(logins()).toBe(2)
    valid.clear()
    expect(await all(one.repositories(signal))).toHaveLength(130)
    expect(logins()).toBe(3)
  })

  test('is not sent a refused password again for a while', async () => {
    const { source, clock, logins } = await hub('wrong')
    const one = source()
    for (let count = 0; count < 3; count += 1) {
      await expect(one.probe(signal)).rejects.toMatchObject({ reason: 'credentials' })
    }
    expect(logins()).toBe(1)
    clock.advance(15 * 60_000)
    await expect(one.probe(signal)).rejects.toMatchObject({ reason: 'credentials' })
    expect(logins()).toBe(2)
  })

  test('needs no login for what is public', async () => {
    const { source, logins } = await hub('nobody')
    expect(await all(source().repositories(signal))).toHaveLength(130)
    expect(logins()).toBe(0)
  })

  test('whose pages lead in a circle is no whole list; a namespace may not be there', async () => {
    const { source } = await hub()
    await expect(all(source(['loop']).repositories(signal))).rejects.toMatchObject({
      reason: 'incomplete-listing',
    })
    await expect(all(source(['none']).repositories(signal))).rejects.toMatchObject({
      reason: 'organization-not-found',
    })
  })
})
