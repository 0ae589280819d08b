/** @module The stand-in of Quay against what is known of the real one, a fact a test. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeClock } from '../../support/fake-clock.ts'
import { QuayStandIn } from '../../support/quay/stand-in.ts'
import { imageIndex, imageManifest, sha256 } from '../../support/registry-client.ts'

const clock = new FakeClock()
let quay: QuayStandIn
const config = { mediaType: 'application/x', digest: sha256('{}'), size: 2 }
const image = (mark: string) => imageManifest(config, [], { annotations: { mark } })
const basic = (name: string, password: string) =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`

beforeEach(async () => {
  quay = await new QuayStandIn(clock).start()
  quay.auth.oauthTokens.set('good', { user: 'alice', scopes: ['repo:read'] })
  quay.auth.oauthTokens.set('old', { user: 'alice', scopes: ['repo:read'], isExpired: true })
  quay.auth.robots.set('org+bot', 'robot-token')
  quay.auth.users.set('alice', 'pw')
  quay.auth.appPasswords.set('app-pw', 'alice')
})
afterEach(() => quay.stop())

interface Got {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked into
  readonly json: any
}

async function get(path: string, headers: Record<string, string> = {}, method = 'GET') {
  const answer = await fetch(new URL(path, quay.url), { headers, method, redirect: 'manual' })
  const text = await answer.text()
  const isJson = answer.headers.get('content-type')?.includes('json') === true && text !== ''
  const json = isJson ? JSON.parse(text) : undefined
  return { status: answer.status, headers: answer.headers, text, json } satisfies Got
}

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` })
const api = (path: string, token?: string) =>
  get(`/api/v1/${path}`, token === undefined ? {} : bearer(token))

/** A token of `/v2/auth` as a header. */
async function login(authorization: string | undefined, scope?: string) {
  const query = scope === undefined ? '' : `&scope=${encodeURIComponent(scope)}`
  const headers: Record<string, string> =
    authorization === undefined ? {} : { Authorization: authorization }
  const { json } = await get(`/v2/auth?service=x${query}`, headers)
  return bearer(json.token)
}

const pull = (name: string) => `repository:${name}:pull`
const oauth = basic('$oauthtoken', 'good')

/** `org/app`, which alice and the robot may read, with tags `t0`… a second apart. */
function app(tags: number) {
  const repository = quay.model.addRepository('org/app', { readers: ['alice', 'org+bot'] })
  for (let index = 0; index < tags; index += 1) {
    const digest = repository.putManifest(image(String(index)))
    repository.setTag(`t${index}`, digest, quay.now - tags + index)
  }
  return repository
}

describe('repositories', () => {
  test('are shown to a known Bearer; an unknown and an expired one are nobody, without an error', async () => {
    app(1)
    quay.model.addRepository('org/open', { isPublic: true })
    const names = async (token?: string) => {
      const { status, json } = await api('repository?namespace=org&public=true', token)
      expect(status).toBe(200)
      return json.repositories.map((it: { name: string }) => it.name)
    }
    expect(await names('good')).toEqual(['app', 'open'])
    expect(await names('bad')).toEqual(['open'])
    expect(await names('old')).toEqual(['open'])
    expect(await names()).toEqual(['open'])
  })

  test('of others that are public are left out without `public`', async () => {
    app(1)
    quay.model.addRepository('org/open', { isPublic: true })
    const { json } = await api('repository?namespace=org', 'good')
    expect(json.repositories).toMatchObject([{ name: 'app' }])
  })

  test('take neither Basic nor a robot', async () => {
    app(1)
    for (const authorization of [basic('org+bot', 'robot-token'), basic('alice', 'pw')]) {
      const { json } = await get('/api/v1/repository?namespace=org', {
        Authorization: authorization,
      })
      expect(json.repositories).toEqual([])
    }
  })

  test('need a selector', async () => {
    const { status, json } = await api('repository', 'good')
    expect([status, json.error_type]).toEqual([400, 'invalid_request'])
  })

  test('come 100 a page by row; a bad and an old cursor lead to the first page again', async () => {
    for (let index = 0; index < 250; index += 1) {
      quay.model.addRepository(`big/r${249 - index}`, { isPublic: true })
    }
    const path = 'repository?namespace=big&public=true'
    const first = (await api(path)).json
    expect([first.repositories.length, first.repositories[0].name]).toEqual([100, 'r249'])
    const second = (await api(`${path}&next_page=${first.next_page}`)).json
    expect(second.repositories[0].name).toBe('r149')
    const third = (await api(`${path}&next_page=${second.next_page}`)).json
    expect(third.repositories).toHaveLength(50)
    expect(third).not.toHaveProperty('next_page')
    expect((await api(`${path}&next_page=rubbish`)).json.repositories[0].name).toBe('r249')
    clock.advance(2 * 24 * 3600 * 1000 + 1000)
    const late = (await api(`${path}&next_page=${first.next_page}`)).json
    expect(late.repositories[0].name).toBe('r249')
  })

  test('say when a live tag was set last, in whole seconds; without live tags: null', async () => {
    const repository = app(2)
    const listed = async () =>
      (await api('repository?namespace=org&public=true&last_modified=true', 'good')).json
        .repositories[0]
    expect((await listed()).last_modified).toBe(quay.now - 1)
    repository.deleteTag('t1', quay.now)
    expect((await listed()).last_modified).toBe(quay.now - 2)
    repository.deleteTag('t0', quay.now)
    expect((await listed()).last_modified).toBeNull()
    expect(
      (await api('repository?namespace=org&public=true', 'good')).json.repositories[0],
    ).not.toHaveProperty('last_modified')
  })

  test('of a namespace that is not there are none, with 200; organizations and users say whether it is', async () => {
    quay.model.addNamespace('org')
    quay.model.addNamespace('alice', 'user')
    expect((await api('repository?namespace=none&public=true')).json.repositories).toEqual([])
    expect((await api('organization/org')).status).toBe(200)
    expect((await api('organization/alice')).status).toBe(404)
    expect((await api('users/alice')).status).toBe(200)
    expect((await api('users/none')).status).toBe(404)
  })

  test('of kind application are left out by repo_kind', async () => {
    app(0).kind = 'application'
    quay.model.visibilityChanged()
    const path = 'repository?namespace=org&public=true'
    expect((await api(path, 'good')).json.repositories).toHaveLength(1)
    expect((await api(`${path}&repo_kind=image`, 'good')).json.repositories).toEqual([])
  })

  test('of the caller need user:read', async () => {
    const { status, json } = await api('user/', 'good')
    expect([status, json.error_type]).toEqual([401, 'invalid_token'])
  })
})

describe('tags', () => {
  const path = (query: string) => `repository/org/app/tag/?${query}`

  test('are the whole history unless asked for live ones, 50 a page, 100 at most', async () => {
    const repository = app(130)
    repository.deleteTag('t5', quay.now)
    const all = (await api(path('limit=1000'), 'good')).json
    expect([all.tags.length, all.has_additional, all.page]).toEqual([100, true, 1])
    expect((await api(path(''), 'good')).json.tags).toHaveLength(50)
    const names = async (query: string) =>
      (await api(path(query), 'good')).json.tags.map((it: { name: string }) => it.name)
    expect(await names('limit=100&page=2')).toContain('t5')
    expect(await names('limit=100&page=2&onlyActiveTags=true')).not.toContain('t5')
  })

  test('stand newest first, then by name', async () => {
    const repository = quay.model.addRepository('org/app', { isPublic: true })
    const digest = repository.putManifest(image('x'))
    repository.setTag('b', digest, quay.now - 1)
    repository.setTag('a', digest, quay.now - 1)
    repository.setTag('z', digest, quay.now)
    const { json } = await api(path('onlyActiveTags=true'))
    expect(json.tags.map((it: { name: string }) => it.name)).toEqual(['z', 'a', 'b'])
    expect(json.tags[0].last_modified).toMatch(/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d -0000$/)
  })

  test('are one with specificTag; a bad filter is refused', async () => {
    app(3)
    const one = (await api(path('specificTag=t1&onlyActiveTags=true'), 'good')).json.tags
    expect(one).toMatchObject([{ name: 't1', start_ts: quay.now - 2, is_manifest_list: false }])
    expect((await api(path('filter_tag_name=eq:t1'), 'good')).json.tags).toHaveLength(1)
    expect((await api(path('filter_tag_name=t1'), 'good')).status).toBe(400)
  })

  test('that moved or expired end', async () => {
    const repository = app(1)
    const other = repository.putManifest(image('other'))
    repository.setTag('t0', other, quay.now)
    repository.setTag('short', other, quay.now, { endTs: quay.now + 10 })
    const live = async () => (await api(path('onlyActiveTags=true'), 'good')).json.tags
    expect(await live()).toMatchObject([
      { name: 'short', end_ts: quay.now + 10 },
      { name: 't0', manifest_digest: other },
    ])
    clock.advance(10_000)
    expect(await live()).toHaveLength(1)
  })

  test('lack later fields in an old version', async () => {
    app(1)
    expect((await api(path(''), 'good')).json.tags[0]).toHaveProperty('immutable')
    quay.switches.isOld = true
    expect((await api(path(''), 'good')).json.tags[0]).not.toHaveProperty('immutable')
  })

  test('of an index that lacks children are sparse', async () => {
    const repository = app(0)
    const child = repository.putManifest(image('here'))
    const entry = (digest: string) => ({ mediaType: 'application/x', digest, size: 1 })
    const index = imageIndex([entry(child), entry(sha256('elsewhere'))] as never)
    repository.setTag('multi', repository.putManifest(index), quay.now)
    expect((await api(path(''), 'good')).json.tags[0]).toMatchObject({
      is_manifest_list: true,
      size: null,
      is_sparse: true,
      child_manifest_count: 2,
      present_child_count: 1,
      child_manifests_presence: { [child]: true, [sha256('elsewhere')]: false },
    })
  })

  test('come from a replica that is behind, and change between two pages', async () => {
    const repository = app(3)
    quay.switches.lagSeconds = 2
    expect((await api(path('onlyActiveTags=true'), 'good')).json.tags).toHaveLength(2)
    quay.switches.lagSeconds = 0
    quay.switches.onTagPage = (_name, page) => {
      if (page === 1) repository.deleteTag('t2', quay.now)
    }
    expect((await api(path('onlyActiveTags=true&limit=1'), 'good')).json.tags[0].name).toBe('t2')
    // t1 has moved up: offset pages hide it.
    expect((await api(path('onlyActiveTags=true&limit=1&page=2'), 'good')).json.tags[0].name).toBe(
      't0',
    )
  })

  test('of a repository that may not be read are 401 or 403; 404 for those who may know', async () => {
    quay.model.addRepository('org/secret')
    quay.model.addNamespace('own', 'organization', ['alice'])
    expect((await api('repository/org/secret/tag/')).status).toBe(401)
    expect((await api('repository/org/secret/tag/', 'good')).status).toBe(403)
    expect((await api('repository/own/none/tag/', 'good')).status).toBe(404)
  })
})

describe('/v2/auth', () => {
  test.each([
    ['an OAuth token', oauth],
    ['a robot', basic('org+bot', 'robot-token')],
    ['an app password', basic('$app', 'app-pw')],
    ['a user', basic('alice', 'pw')],
  ])('gives %s a token and nothing else', async (_who, authorization) => {
    const { status, json } = await get('/v2/auth?service=x', { Authorization: authorization })
    expect(status).toBe(200)
    expect(Object.keys(json)).toEqual(['token'])
    const payload = JSON.parse(Buffer.from(json.token.split('.')[1], 'base64url').toString())
    expect(payload.exp).toBe(quay.now + 3600)
  })

  test('says what is wrong with an OAuth token', async () => {
    const said = async (token: string) => {
      const answer = await get('/v2/auth', { Authorization: basic('$oauthtoken', token) })
      return `${answer.status} ${answer.json.errors[0].message}`
    }
    expect(await said('bad')).toBe('401 OAuth access token could not be validated')
    expect(await said('old')).toBe('401 OAuth access token has expired')
  })

  test('refuses nobody without a scope, and the scope of a catalog', async () => {
    expect((await get('/v2/auth')).status).toBe(401)
    const catalog = await get('/v2/auth?scope=registry:catalog:*', { Authorization: oauth })
    expect([catalog.status, catalog.json.errors[0].code]).toEqual([400, 'INVALID_REQUEST'])
  })

  test('leaves out rights that there are not, and the request with it is 401', async () => {
    quay.model.addRepository('org/secret')
    const headers = await login(oauth, pull('org/secret'))
    expect((await get('/v2/org/secret/tags/list', headers)).status).toBe(401)
  })

  test('gives tokens that end', async () => {
    app(1)
    const headers = await login(oauth, pull('org/app'))
    expect((await get('/v2/org/app/tags/list', headers)).status).toBe(200)
    clock.advance(3600_000)
    expect((await get('/v2/org/app/tags/list', headers)).status).toBe(401)
  })
})

describe('/v2', () => {
  test('challenges, and takes neither Basic nor an OAuth token', async () => {
    app(1)
    for (const headers of [{}, { Authorization: basic('alice', 'pw') }, bearer('good')]) {
      const answer = await get('/v2/org/app/tags/list', headers)
      expect(answer.status).toBe(401)
      expect(answer.headers.get('www-authenticate')).toBe(
        `Bearer realm="${quay.url}/v2/auth",service="${new URL(quay.url).host}",scope="repository:org/app:pull"`,
      )
    }
  })

  test('shows nobody an empty catalog, and others what is theirs', async () => {
    app(1)
    const nobody = await get('/v2/_catalog')
    expect([nobody.status, nobody.json.repositories]).toEqual([200, []])
    const headers = await login(basic('org+bot', 'robot-token'))
    expect((await get('/v2/_catalog', headers)).json.repositories).toEqual(['org/app'])
  })

  test.each([false, true])(
    'lists 100 tags at most and leads to another host (old: %s)',
    async (isOld) => {
      app(150)
      quay.switches.isOld = isOld
      const headers = await login(oauth, pull('org/app'))
      const first = await get('/v2/org/app/tags/list?n=1000', headers)
      expect(first.json.tags).toHaveLength(100)
      const link = /^<(.+)>; rel="next"$/.exec(first.headers.get('link') ?? '')![1]!
      expect(new URL(link).host).toBe('quay.internal:8443')
      expect(link).toContain(isOld ? 'next_page=' : 'last=')
      const second = await get(`/v2/org/app/tags/list${new URL(link).search}`, headers)
      expect(new Set([...first.json.tags, ...second.json.tags]).size).toBe(150)
      expect(second.headers.get('link')).toBeNull()
    },
  )

  test('counts a HEAD as a pull, and makes schema 1 of a tag that is not accepted', async () => {
    const repository = app(1)
    const headers = await login(oauth, pull('org/app'))
    await get('/v2/org/app/manifests/t0', { ...headers, Accept: '*/*' }, 'HEAD')
    expect(repository.pulls).toBe(1)
    const converted = await get('/v2/org/app/manifests/t0', { ...headers, Accept: 'text/x' })
    expect(converted.headers.get('content-type')).toContain('manifest.v1+prettyjws')
    const [digest] = repository.manifests.keys()
    const stored = await get(`/v2/org/app/manifests/${digest}`, { ...headers, Accept: 'text/x' })
    expect(sha256(stored.text)).toBe(digest)
  })

  test('says TAG_EXPIRED of a tag that was, and nothing of its digest', async () => {
    const repository = app(1)
    const headers = await login(oauth, pull('org/app'))
    const [digest] = repository.manifests.keys()
    repository.deleteTag('t0', quay.now)
    const code = async (reference: string) => {
      const { status, json } = await get(`/v2/org/app/manifests/${reference}`, headers)
      return `${status} ${json.errors[0].code}`
    }
    expect(await code('t0')).toBe('404 TAG_EXPIRED')
    expect(await code('never')).toBe('404 MANIFEST_UNKNOWN')
    expect(await code(digest!)).toBe('404 MANIFEST_UNKNOWN')
  })

  test('lists referrers with those of the fallback tag; an unknown subject is 400', async () => {
    const repository = app(1)
    const [subject] = repository.manifests.keys()
    const signed = (mark: string, fields: object) => ({ ...image(mark), ...fields })
    const own = repository.putManifest(
      signed('own', { subject: { digest: subject }, artifactType: 'application/sig' }),
    )
    const other = repository.putManifest(image('by tag'))
    const listed = imageIndex([{ mediaType: 'application/x', digest: other, size: 1 }] as never)
    repository.setTag(subject!.replace(':', '-'), repository.putManifest(listed), quay.now)
    const headers = await login(oauth, pull('org/app'))
    const all = await get(`/v2/org/app/referrers/${subject}`, headers)
    expect(all.json.manifests.map((it: { digest: string }) => it.digest)).toEqual([own, other])
    const some = await get(`/v2/org/app/referrers/${subject}?artifactType=application/sig`, headers)
    expect(some.json.manifests).toHaveLength(1)
    expect(some.headers.get('oci-filters-applied')).toBe('artifactType')
    const none = await get(`/v2/org/app/referrers/${sha256('none')}`, headers)
    expect([none.status, none.json.errors[0].code]).toEqual([400, 'MANIFEST_INVALID'])
  })

  test('ends cosign tags with the last tag of their subject', async () => {
    const repository = app(1)
    const [subject] = repository.manifests.keys()
    repository.setTag('same', subject!, quay.now)
    const name = `${subject!.replace(':', '-')}.sig`
    repository.setTag(name, repository.putManifest(image('signature')), quay.now)
    repository.deleteTag('same', quay.now)
    expect(repository.tagAt(name, quay.now)).toBeDefined()
    repository.deleteTag('t0', quay.now)
    expect(repository.tagAt(name, quay.now)).toBeUndefined()
  })

  test('leads blobs to storage, which takes no login and may know no Range', async () => {
    const repository = app(0)
    const digest = repository.putBlob(Buffer.from('0123456789'))
    const headers = await login(oauth, pull('org/app'))
    const { status, headers: got } = await get(`/v2/org/app/blobs/${digest}`, headers)
    expect(status).toBe(307)
    const location = got.get('location')!
    expect(location.startsWith(quay.storageUrl)).toBe(true)
    const read = async (more: Record<string, string>) => {
      const answer = await fetch(location, { headers: more })
      return `${answer.status} ${await answer.text()}`
    }
    expect(await read({ Range: 'bytes=4-' })).toBe('206 456789')
    expect(await read(headers)).toBe('400 ')
    quay.switches.hasRanges = false
    expect(await read({ Range: 'bytes=4-' })).toBe('200 0123456789')
  })
})

describe('switches', () => {
  test('limit as nginx does: 429 without Retry-After', async () => {
    quay.switches.limits = { api: { perSecond: 1, burst: 2 } }
    const statuses = []
    for (let index = 0; index < 4; index += 1) {
      const answer = await api('organization/none')
      expect(answer.headers.get('retry-after')).toBeNull()
      statuses.push(answer.status)
    }
    expect(statuses).toEqual([404, 404, 404, 429])
    clock.advance(1000)
    expect((await api('organization/none')).status).toBe(404)
  })

  test('make faults of a class', async () => {
    app(1)
    const repository = quay.model.repositories.get('org/app')!
    const blob = repository.putBlob(Buffer.from('0123456789'))
    const url = `${quay.storageUrl}/storage/org/app/${blob}?s`
    quay.switches.fault = (of) => (of === 'storage' ? { kind: 'wrong-bytes' } : undefined)
    expect(await (await fetch(url)).text()).not.toBe('0123456789')
    quay.switches.fault = () => ({ kind: 'cut' })
    await expect(fetch(url).then((it) => it.text())).rejects.toThrow()
    quay.switches.fault = () => ({ kind: 'status', status: 520 })
    expect((await api('organization/x')).status).toBe(520)
    quay.switches.fault = () => ({ kind: 'page' })
    expect((await api('organization/x')).headers.get('content-type')).toBe('text/html')
    quay.switches.fault = () => ({ kind: 'hang' })
    await expect(fetch(url, { signal: AbortSignal.timeout(100) })).rejects.toThrow()
  })

  test('close connections, take tokens back, turn repositories private', async () => {
    app(1)
    quay.model.addRepository('org/open', { isPublic: true })
    quay.switches.closesConnections = true
    expect((await api('organization/x')).headers.get('connection')).toBe('close')
    const headers = await login(oauth, pull('org/app'))
    const open = await login(oauth, pull('org/open'))
    quay.model.setPublic('org/open', false)
    expect((await get('/v2/org/open/tags/list', open)).status).toBe(401)
    quay.auth.endTokens()
    expect((await get('/v2/org/app/tags/list', headers)).status).toBe(401)
  })

  test('count requests by class', async () => {
    app(1)
    await api('organization/x')
    await get('/v2/', {}, 'HEAD')
    expect(quay.counts).toMatchObject({ api: 1, other: 1, manifests: 0 })
    expect(quay.count('other', 'HEAD')).toBe(1)
    quay.forget()
    expect(quay.count('api')).toBe(0)
  })

  test('a hook says what was pushed', async () => {
    const { createServer } = await import('node:http')
    const bodies: string[] = []
    const server = createServer(async (request, response) => {
      const chunks = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      bodies.push(Buffer.concat(chunks).toString())
      response.writeHead(202).end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    expect(await quay.sendHook(`http://127.0.0.1:${port}/`, 'org/app', ['v1'])).toBe(202)
    server.close()
    expect(JSON.parse(bodies[0]!)).toMatchObject({ repository: 'org/app', updated_tags: ['v1'] })
  })
})

test('serves 10,000 repositories with 100,000 tags in 100 pages', async () => {
  const manifest = JSON.stringify(image('shared'))
  for (let index = 0; index < 10_000; index += 1) {
    const repository = quay.model.addRepository(`org/r${index}`, { isPublic: true })
    const digest = repository.putManifest(manifest)
    for (let tag = 0; tag < 10; tag += 1) repository.setTag(`v${tag}`, digest, quay.now - tag)
  }
  const path = 'repository?namespace=org&public=true&last_modified=true&repo_kind=image'
  let next: string | undefined
  const names = new Set<string>()
  do {
    const { json } = await api(next === undefined ? path : `${path}&next_page=${next}`)
    for (const { name } of json.repositories) names.add(name)
    next = json.next_page
  } while (next !== undefined)
  expect(names.size).toBe(10_000)
  expect(quay.count('api')).toBe(100)
})
