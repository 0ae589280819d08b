/**
 * Lists through a mirror: whole, or refused, or marked with their age; an empty list only where upstream
 * has said that there is nothing.
 */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../../src/runtime/clock.ts'
import { FAULTS, type Fault, FaultyUpstream, sendJson } from '../../support/faulty-upstream.ts'
import { dispose, type InProcessRegistry, startInProcess } from '../../support/in-process.ts'
import { type Answer, imageManifest, sha256 } from '../../support/registry-client.ts'

let upstream: FaultyUpstream
let registry: InProcessRegistry
let aheadMs = 0

// Lists are fresh for a minute; nobody waits for that.
const { monotonic } = systemClock
vi.spyOn(systemClock, 'monotonic').mockImplementation(() => monotonic() + aheadMs)

afterEach(async () => {
  aheadMs = 0
  await dispose(registry)
  await upstream.stop()
})

async function begin(fault?: Fault, settings: object = {}): Promise<void> {
  upstream = new FaultyUpstream()
  await upstream.start()
  upstream.fault = fault
  registry = await startInProcess({
    engine: 'uws',
    mirrors: [{ name: 'hub', upstream: upstream.url, ...settings }],
  })
}

const config = { mediaType: 'application/x', digest: sha256('{}'), size: 2 }
const image = JSON.stringify(imageManifest(config, []))
const subject = sha256(image)
const tagList = (query = '') => registry.client.get(`/v2/hub/app/tags/list${query}`)
const tagsOf = (answer: Answer) => (answer.json as { tags: string[] }).tags
const referrers = (query = '') => registry.client.get(`/v2/hub/app/referrers/${subject}${query}`)
const manifestsOf = (answer: Answer) =>
  (answer.json as { manifests: { digest: string; annotations?: object }[] }).manifests

const answers =
  (status: number, body = '', headers: Record<string, string> = {}): Fault =>
  (_request, response) => {
    response.writeHead(status, headers).end(body)
    return true
  }

const all = Array.from({ length: 250 }, (_, index) => `t${String(index).padStart(4, '0')}`)

interface Paging {
  /** Larger pages are refused. */
  readonly max?: number
  readonly size: number
  readonly link: (path: string, last: string) => string | undefined
}

/** Gives `all` in pages. */
const paged =
  ({ max = Number.POSITIVE_INFINITY, size, link }: Paging): Fault =>
  (request, response) => {
    const url = new URL(request.url!, 'http://x')
    if (!url.pathname.endsWith('/tags/list')) return false
    if (Number(url.searchParams.get('n') ?? 0) > max) {
      sendJson(response, 400, 'PAGINATION_NUMBER_INVALID', 'too many')
      return true
    }
    const rest = all.filter((tag) => tag > (url.searchParams.get('last') ?? ''))
    const tags = rest.slice(0, size)
    const next = rest.length > size ? link(url.pathname, tags.at(-1)!) : undefined
    const headers = next === undefined ? {} : { Link: next }
    response.writeHead(200, { 'Content-Type': 'application/json', ...headers })
    response.end(JSON.stringify({ name: 'app', tags }))
    return true
  }

const relative = (path: string, last: string) => `<${path}?last=${last}>; rel="next"`

describe('tags', () => {
  test.each<[string, Paging]>([
    ['in pages of 50', { size: 50, link: relative }],
    ['with a limit of 1,000', { max: 1_000, size: 100, link: relative }],
    ['with a limit of 100', { max: 100, size: 100, link: relative }],
    ['with a limit of 10', { max: 10, size: 10, link: relative }],
    [
      'with absolute links',
      { size: 99, link: (path, last) => `<http://o${path}?last=${last}>;rel=next` },
    ],
    [
      'with links that lost a prefix',
      { size: 99, link: (_, last) => `</v2/x/tags/list?last=${last}>; rel="next"` },
    ],
    [
      'with two links',
      { size: 99, link: (path, last) => `<${path}>; rel="first", ${relative(path, last)}` },
    ],
    ['all at once', { size: 1_000, link: relative }],
  ])('%s', async (_name, paging) => {
    await begin(paged(paging))
    const answer = await tagList()
    expect(answer.status).toBe(200)
    expect(tagsOf(answer)).toEqual(all)
    expect(answer.headers['warning']).toBeUndefined()
    for (const { url } of upstream.asked) {
      expect(Number(new URL(url, 'http://x').searchParams.get('n') ?? 0)).toBeLessThanOrEqual(1_000)
    }
  })

  test('that come in no order are listed in byte order', async () => {
    await begin((_request, response) => {
      response.end(JSON.stringify({ tags: [...all].reverse(), name: 'app' }))
      return true
    })
    expect(tagsOf(await tagList())).toEqual(all)
    expect(tagsOf(await tagList('?n=2&last=t0003'))).toEqual(['t0004', 't0005'])
  })

  test('of pages that lead back to themselves end', async () => {
    await begin((_request, response) => {
      response.writeHead(200, { Link: '</v2/app/tags/list?last=b>; rel="next"' })
      response.end('{"name":"app","tags":["a","b"]}')
      return true
    })
    expect(tagsOf(await tagList())).toEqual(['a', 'b'])
    expect(upstream.asked.length).toBe(2)
  })

  test('beside all that a registry knows of its manifests are found', async () => {
    const manifest = Object.fromEntries(
      all.map((tag) => [sha256(tag), { tag: [tag], mediaType: 'x', note: '"}],{' }]),
    )
    await begin((_request, response) => {
      response.end(JSON.stringify({ child: [], manifest, name: 'app', tags: all }))
      return true
    })
    expect(tagsOf(await tagList())).toEqual(all)
  })

  test.each<[string, Fault, number]>([
    ['500', FAULTS.broken, 502],
    ['403', FAULTS.forbidden, 403],
    ['401', FAULTS.unauthorized, 404],
    ['400 whatever the size', answers(400, '{"errors":[{"code":"NAME_INVALID"}]}'), 400],
    ['a web page', FAULTS.html, 502],
    ['no list', answers(200, '{"name":"app"}'), 502],
    ['half a list', answers(200, '{"tags":["a",'), 502],
    ['404', answers(404, '{"errors":[{"code":"NAME_UNKNOWN"}]}'), 404],
  ])(
    'that could not be asked for are no list, also with one of them here: %s',
    async (_n, fault, status) => {
      await begin()
      upstream.addManifest('app', 'v1', image)
      expect((await registry.client.get('/v2/hub/app/manifests/v1')).status).toBe(200)
      upstream.fault = (request, response, content) =>
        request.url!.includes('/tags/list') && fault(request, response, content)
      for (let count = 0; count < 2; count += 1) expect((await tagList()).status).toBe(status)
    },
  )

  test('that were whole once are listed with their age while upstream fails', async () => {
    await begin()
    upstream.addManifest('app', 'v1', image)
    expect(tagsOf(await tagList())).toEqual(['v1'])
    aheadMs = 125_000
    upstream.fault = FAULTS.broken
    const answer = await tagList()
    expect(tagsOf(answer)).toEqual(['v1'])
    expect(Number(answer.headers['age'])).toBeGreaterThanOrEqual(125)
    expect(answer.headers['warning']).toMatch(/as of 12\d s ago/)
  })

  test('of a repository that is pushed to here are ours where upstream has none', async () => {
    await begin(undefined, { push: 'allow' })
    const path = '/v2/hub/own/blobs/uploads/?digest='
    await registry.client.request('POST', `${path}${sha256('{}')}`, { body: Buffer.from('{}') })
    const put = await registry.client.request('PUT', '/v2/hub/own/manifests/mine', {
      body: image,
      headers: { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' },
    })
    expect(put.status).toBe(201)
    expect(tagsOf(await registry.client.get('/v2/hub/own/tags/list'))).toEqual(['mine'])
    const own = await registry.client.get(`/v2/hub/own/referrers/${subject}`)
    expect([own.status, manifestsOf(own)]).toEqual([200, []])
  })

  test('are given in pages of our own size, however many are asked for', async () => {
    await begin(paged({ size: 1_000, link: relative }))
    for (const n of ['10000', '9007199254740993', '9'.repeat(400)]) {
      expect(tagsOf(await tagList(`?n=${n}`))).toEqual(all)
    }
    expect(tagsOf(await tagList('?n=0'))).toEqual([])
    expect((await tagList('?n=-1')).status).toBe(400)
    expect(tagsOf(await tagList(`?last=${'z'.repeat(5_000)}`))).toEqual([])
  })
})

const signature = {
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest: sha256('signature'),
  size: 9,
  artifactType: 'application/sig',
}
const fallbackTag = subject.replace(':', '-')
const index = (manifests: readonly object[] | null) =>
  JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests,
  })

const page = { 'Content-Type': 'text/html' }

/** What registries without the API answer. */
const NO_API: readonly (readonly [string, Fault])[] = [
  ['404', answers(404, '{}')],
  ['400', answers(400, '{"errors":[{"code":"UNSUPPORTED","message":"x"}]}')],
  ['405', answers(405)],
  ['406', answers(406)],
  ['501', answers(501)],
  ['401', answers(401)],
  ['403', answers(403)],
  ['a web page', answers(200, '<html>', page)],
  ['another JSON', answers(200, '{"ok":true}', { 'Content-Type': 'application/json' })],
  ['an image', answers(200, image, { 'Content-Type': 'application/json' })],
  ['a text', answers(200, 'not found', { 'Content-Type': 'text/plain' })],
  ['nothing', answers(200)],
]

/** With the fault for the API alone. */
const forApi =
  (fault: Fault): Fault =>
  (request, response, content) =>
    request.url!.includes('/referrers/') && fault(request, response, content)

describe('referrers', () => {
  test.each(['MANIFEST_INVALID', 'MANIFEST_UNKNOWN'])(
    'are none where upstream refuses the subject with 400 %s, and there is no tag',
    async (code) => {
      await begin(forApi(answers(400, JSON.stringify({ errors: [{ code, message: '' }] }))))
      upstream.addManifest('app', 'v1', image)
      await registry.client.get('/v2/hub/app/manifests/v1')
      const answer = await referrers()
      expect([answer.status, manifestsOf(answer)]).toEqual([200, []])
    },
  )

  test.each(NO_API)('are looked for at the tag when the API answers %s', async (_name, fault) => {
    await begin(forApi(fault))
    upstream.addManifest('app', 'v1', image)
    upstream.addManifest('app', fallbackTag, index([signature]))
    for (let count = 0; count < 2; count += 1) {
      const answer = await referrers()
      expect(answer.status).toBe(200)
      expect(manifestsOf(answer)).toEqual([signature])
      expect(answer.headers['warning']).toBeUndefined()
    }
    const filtered = await referrers('?artifactType=application%2Fother')
    expect(manifestsOf(filtered)).toEqual([])
    expect(filtered.headers['oci-filters-applied']).toBe('artifactType')
  })

  test.each(NO_API)('are no empty list when there is no tag either: %s', async (_name, fault) => {
    await begin(forApi(fault))
    upstream.addManifest('app', 'v1', image)
    await registry.client.get('/v2/hub/app/manifests/v1')
    for (let count = 0; count < 2; count += 1) {
      expect((await referrers()).status).toBe(404)
      expect((await referrers('?artifactType=a%2Fb')).status).toBe(404)
    }
  })

  test.each([200, 429, 500])('of GHCR, which sends to a web page (%s)', async (status) => {
    const other = new FaultyUpstream()
    await other.start()
    other.fault = answers(status, '<html>', page)
    await begin(forApi(answers(303, '', { Location: `${other.url}/app` })))
    upstream.addManifest('app', fallbackTag, index([signature]))
    expect(manifestsOf(await referrers())).toEqual([signature])
    await other.stop()
  })

  test.each<[string, Fault, number]>([
    ['500', FAULTS.broken, 502],
    ['503', FAULTS.unavailable, 502],
    ['429', FAULTS.limited, 502],
    ['a reset', FAULTS.reset, 502],
  ])(
    'that cannot be asked for are no list, with the image here or not: %s',
    async (_n, fault, status) => {
      await begin()
      upstream.addManifest('app', 'v1', image)
      await registry.client.get('/v2/hub/app/manifests/v1')
      upstream.fault = fault
      expect((await referrers()).status).toBe(status)
    },
  )

  test('that upstream has none of are an empty list', async () => {
    for (const manifests of [[], null]) {
      await begin(forApi(answers(200, index(manifests))))
      const answer = await referrers()
      expect([answer.status, manifestsOf(answer)]).toEqual([200, []])
      if (manifests === null) return
      await dispose(registry)
      await upstream.stop()
    }
  })

  test('that were known once are listed with their age while upstream fails', async () => {
    await begin()
    upstream.addReferrers('app', subject, [signature])
    expect(manifestsOf(await referrers())).toEqual([signature])
    aheadMs = 90_000
    upstream.fault = FAULTS.broken
    const answer = await referrers()
    expect(manifestsOf(answer)).toEqual([signature])
    expect(Number(answer.headers['age'])).toBeGreaterThanOrEqual(90)
    await registry.restart()
    const restarted = await referrers()
    expect(manifestsOf(restarted)).toEqual([signature])
    expect(restarted.headers['warning']).toContain('answered from the cache')
  })

  test('keep annotations of every name, and leave out what is too long for a list', async () => {
    const annotations = JSON.parse(
      '{"__proto__":"a","constructor":"b","prototype":"c","toString":"d","x":"\\u00e9\\"]}"}',
    ) as object
    const large = { ...signature, digest: sha256('l'), annotations: { big: 'x'.repeat(70_000) } }
    await begin()
    const odd = { ...signature, digest: sha256('o'), annotations: { n: 1, s: 'text', o: null } }
    upstream.addReferrers('app', subject, [{ ...signature, annotations }, large, odd])
    for (let count = 0; count < 2; count += 1) {
      const answer = await referrers()
      const found = new Map(manifestsOf(answer).map((it) => [it.digest, it.annotations]))
      expect(JSON.stringify(found.get(signature.digest))).toBe(JSON.stringify(annotations))
      expect(found.get(large.digest)).toBeUndefined()
      expect(found.get(odd.digest)).toEqual({ s: 'text' })
      await registry.restart()
    }
  })

  test('in pages that lead back to themselves, or hold what is none, are listed once', async () => {
    await begin(
      forApi(
        answers(
          200,
          index([signature, null as never, { digest: 'x' }, {}, 7 as never, signature]),
          {
            Link: `</v2/app/referrers/${subject}?p=1>; rel="next"`,
          },
        ),
      ),
    )
    const answer = await referrers()
    expect(answer.status).toBe(200)
    expect(manifestsOf(answer)).toEqual([signature])
  })
})
