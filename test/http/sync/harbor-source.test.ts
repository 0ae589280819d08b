/** @module Harbor as a source, against a stand-in of the parts of its API that are asked. */
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/runtime/clock.ts'
import { toSyncError } from '../../../src/sync/sources/failures.ts'
import { HarborSource } from '../../../src/sync/sources/harbor.ts'
import { type ApiAnswer, type ApiStandIn, startApi } from '../../support/api-stand-in.ts'
import { sha256 } from '../../support/registry-client.ts'
import { openUpstream, userOf } from '../../support/upstream-client.ts'

const open: (() => Promise<unknown>)[] = []
const { signal } = new AbortController()
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

const names = Array.from({ length: 120 }, (_, index) => `team/sub/r${index}`)
const artifacts = Array.from({ length: 130 }, (_, index) => ({
  digest: sha256(String(index)),
  push_time: '2025-08-21T07:06:40.000Z',
  tags: [{ name: `v${index}`, push_time: '2025-08-21T07:06:40.000Z', immutable: false }],
}))

interface Switches {
  /** A proxy has read the escaped slash. */
  readonly losesSlash?: boolean
  readonly ignoresPage?: boolean
  /** A proxy takes the size off. */
  readonly ignoresSize?: boolean
  /** Refuses one repository. */
  readonly refuses?: boolean
}

async function harbor(switches: Switches = {}, password = 'pw') {
  let isEnded = false
  const basic = `Basic ${Buffer.from('robot$team+bot:pw').toString('base64')}`
  const api: ApiStandIn = await startApi(({ url, headers, method }): ApiAnswer | undefined => {
    const { pathname: path, searchParams: query } = url
    const isKnown = headers.authorization === basic && !isEnded
    if (headers.authorization !== undefined && !isKnown) {
      return { status: 401, json: { errors: [{ code: 'UNAUTHORIZED', message: 'unauthorized' }] } }
    }
    const page = switches.ignoresPage === true ? 1 : Number(query.get('page') ?? 1)
    const size = switches.ignoresSize === true ? 10 : Number(query.get('page_size') ?? 10)
    const pageOf = (all: readonly unknown[]) => ({
      json: all.slice((page - 1) * size, page * size),
      headers: { 'X-Total-Count': String(all.length) },
    })
    if (path === '/api/v2.0/users/current') return { status: 404 }
    if (switches.refuses === true && path.endsWith('/artifacts')) return { status: 401 }
    if (path === '/api/v2.0/projects/team/repositories') {
      // Nobody is shown what is public, without a word.
      return pageOf(isKnown ? names.map((name) => ({ name, artifact_count: 1 })) : [])
    }
    if (path === '/api/v2.0/projects/team/repositories/sub%252Fr1/artifacts') {
      if (switches.losesSlash === true) return undefined
      return query.get('q') === 'tags=*' && query.get('with_tag') === 'true'
        ? pageOf(artifacts)
        : { status: 400 }
    }
    if (path === '/v2/team/sub/r1/tags/list') return { json: { tags: ['v1', 'v2'] } }
    if (path === '/v2/team/sub/r1/manifests/v1' && method === 'HEAD') {
      return { headers: { 'Docker-Content-Digest': sha256('1') } }
    }
    return undefined
  })
  open.push(api.close)
  const credential = userOf('robot$team+bot', password)
  const client = await openUpstream(api.url, { credentials: [credential] })
  open.push(client.close)
  const source = (organizations: readonly string[] = ['team']) =>
    new HarborSource({
      upstream: client.upstream,
      clock: systemClock,
      credential,
      organizations,
      repositories: ['other/one'],
    })
  const end = () => {
    isEnded = true
  }
  return { api, source, end }
}

async function all<T>(pages: AsyncIterable<readonly T[]>): Promise<T[]> {
  const found: T[] = []
  for await (const page of pages) found.push(...page)
  return found
}

describe('Harbor', () => {
  test('lists repositories of projects, as the user from the first request on', async () => {
    const { source } = await harbor()
    const found = await all(source().repositories(signal))
    expect(found.map(({ name }) => name)).toEqual([...names, 'other/one'])
  })

  test('lists tags with digests, a hundred artifacts a request', async () => {
    const { api, source } = await harbor()
    const found = await all(source().tags('team/sub/r1', { signal }))
    expect(found).toHaveLength(130)
    const pushedAt = Date.parse('2025-08-21T07:06:40Z')
    expect(found[5]).toEqual({ tag: 'v5', digest: sha256('5'), pushedAt })
    expect(api.asked).toHaveLength(2)
  })

  test('lists all of it where pages are smaller than they were asked for', async () => {
    const { source } = await harbor({ ignoresSize: true })
    expect(await all(source().tags('team/sub/r1', { signal }))).toHaveLength(130)
  })

  test('behind a proxy that reads the slash is asked for its list of tags', async () => {
    const { source } = await harbor({ losesSlash: true })
    expect(await all(source().tags('team/sub/r1', { signal }))).toEqual([
      { tag: 'v1' },
      { tag: 'v2' },
    ])
  })

  test('that gives the same page for ever is no whole list', async () => {
    const { source } = await harbor({ ignoresPage: true })
    await expect(all(source().repositories(signal))).rejects.toMatchObject({
      reason: 'incomplete-listing',
    })
  })

  test('says that a project is not there, and that a password is wrong', async () => {
    const { source } = await harbor()
    await source().probe(signal)
    await expect(all(source(['none']).repositories(signal))).rejects.toMatchObject({
      reason: 'organization-not-found',
    })
    const wrong = await harbor({}, 'wrong')
    await expect(wrong.source().probe(signal)).rejects.toMatchObject({ reason: 'credentials' })
  })

  test('tells a robot that has ended from a repository that is refused', async () => {
    const { source, end } = await harbor({ refuses: true })
    const tags = () => all(source().tags('team/sub/r1', { signal })).catch(toSyncError)
    expect(await tags()).toMatchObject({ reason: 'denied' })
    end()
    expect(await tags()).toMatchObject({ reason: 'credentials' })
  })

  test('says one tag by HEAD', async () => {
    const { source } = await harbor()
    expect(await source().tag('team/sub/r1', 'v1', signal)).toEqual({
      tag: 'v1',
      digest: sha256('1'),
    })
  })
})
