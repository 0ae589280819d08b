/**
 * What a browser does with answers: every kind of answer, on both engines, says that its type is not to
 * be guessed; other people's content has no type that runs, and no origin; nothing names what serves.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readVersion } from '../../src/runtime/version.ts'
import { FaultyUpstream } from '../support/faulty-upstream.ts'
import { dispose, ENGINES, type InProcessRegistry, startInProcess } from '../support/in-process.ts'
import { openTemporaryStorage } from '../support/open-store.ts'
import { RawClient } from '../support/raw-http.ts'
import { asDigest, asName, expectStatus, sha256, someBytes } from '../support/registry-client.ts'

const unknown = 'application/vnd.unheard.of'
const small = someBytes(100, 1)
const large = someBytes(200 * 1024, 2)
const [smallDigest, largeDigest] = [sha256(small), sha256(large)]
const script = '{"x":"<img src=x onerror=alert(1)>"}'

/** Types that a browser renders as a page, runs, or applies. */
const ACTIVE = [
  'text/html',
  'text/css',
  'text/javascript',
  'image/svg+xml',
  'application/xhtml+xml',
  'application/xml',
  'application/javascript',
  'application/x-ecmascript',
  'multipart/x-mixed-replace',
]

/** `[what, method, target, header lines, status]`; all are sent without a body. */
type Row = readonly [string, string, string, readonly string[], number]

const CONTENT: readonly Row[] = ['GET', 'HEAD'].flatMap((method): Row[] => [
  ['a manifest by tag', method, '/v2/app/manifests/v1', [], 200],
  ['a manifest by tag, prepared', method, '/v2/app/manifests/v1', [], 200],
  ['a manifest by digest', method, `/v2/app/manifests/${sha256(script)}`, [], 200],
  [
    'one that is known',
    method,
    '/v2/app/manifests/v1',
    [`If-None-Match: "${sha256(script)}"`],
    304,
  ],
  ['an inline blob', method, `/v2/app/blobs/${smallDigest}`, [], 200],
  ['an inline blob, prepared', method, `/v2/app/blobs/${smallDigest}`, [], 200],
  ['a blob', method, `/v2/app/blobs/${largeDigest}`, [], 200],
  ['a blob that is known', method, `/v2/app/blobs/${largeDigest}`, ['If-None-Match: *'], 304],
  ['a mirrored manifest', method, '/v2/hub/app/manifests/v1', [], 200],
  ['a mirrored picture', method, '/v2/hub/page/manifests/image_svg-xml', [], 200],
  ['a mirrored page', method, '/v2/hub/page/manifests/application_xhtml-xml', [], 200],
  ['a namespace', method, '/v2/app/manifests/v1?ns=hub', [], 200],
])

const RANGES: readonly Row[] = [
  ['a range', 'GET', `/v2/app/blobs/${largeDigest}`, ['Range: bytes=1-5'], 206],
  ['ranges', 'GET', `/v2/app/blobs/${largeDigest}`, ['Range: bytes=1-5,9-12'], 206],
  ['a mirrored blob', 'GET', `/v2/hub/app/blobs/${largeDigest}`, [], 200],
]

const OTHERS: readonly Row[] = [
  ['the front page', 'GET', '/', [], 200],
  ['OPTIONS', 'OPTIONS', '/', [], 204],
  ['health', 'GET', '/healthz', [], 200],
  ['metrics', 'GET', '/metrics', [], 200],
  ['the probe', 'GET', '/v2/', [], 200],
  ['the catalogue', 'GET', '/v2/_catalog', [], 200],
  ['tags', 'GET', '/v2/app/tags/list', [], 200],
  ['mirrored tags', 'GET', '/v2/hub/app/tags/list', [], 200],
  ['referrers', 'GET', `/v2/app/referrers/${smallDigest}`, [], 200],
  ['extensions', 'GET', '/v2/_oci/ext/discover', [], 200],
  ['an upload', 'POST', '/v2/app/blobs/uploads/', ['Content-Length: 0'], 202],
  [
    'a mount',
    'POST',
    `/v2/two/blobs/uploads/?mount=${smallDigest}&from=app`,
    ['Content-Length: 0'],
    201,
  ],
  ['a delete', 'DELETE', `/v2/two/blobs/${smallDigest}`, [], 202],
  ['a wrong path', 'GET', '/nowhere', [], 404],
  ['a wrong name', 'GET', '/v2/A/tags/list', [], 400],
  ['a wrong method', 'PATCH', '/v2/', ['Content-Length: 0'], 405],
  ['a manifest that is not there', 'GET', '/v2/app/manifests/none', [], 404],
  ['a range that is not there', 'GET', `/v2/app/blobs/${smallDigest}`, ['Range: bytes=900-'], 416],
  ['a mirror that takes no push', 'PUT', '/v2/hub/app/manifests/v1', ['Content-Length: 0'], 403],
  ['an upstream that fails', 'GET', '/v2/hub/broken/manifests/v1', [], 502],
  ['the admin API', 'GET', '/admin/status', [], 200],
  ['a refusal of the admin API', 'GET', '/admin/nothing', [], 404],
  ['no tokens', 'GET', '/token', [], 404],
]

/** What the engines refuse themselves, in the native side's words or ours: whole requests. */
const REFUSED: readonly (readonly [string, string, number])[] = [
  ['no Host', 'GET /v2/ HTTP/1.1\r\n\r\n', 400],
  [
    'two lengths',
    'GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
    400,
  ],
  ['a chunked GET', 'GET /v2/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
  ['a header that is none', 'GET /v2/ HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n', 400],
  ['large headers', `GET /v2/ HTTP/1.1\r\nHost: a\r\nX-A: ${'a'.repeat(70_000)}\r\n\r\n`, 431],
  ['another version', 'GET /v2/ HTTP/3.0\r\nHost: a\r\n\r\n', 505],
  ['CONNECT', 'CONNECT host:443 HTTP/1.1\r\nHost: host:443\r\n\r\n', 405],
  ['HTTP/1.0', 'GET /v2/ HTTP/1.0\r\n\r\n', 200],
]

const upstream = new FaultyUpstream()

beforeAll(async () => {
  await upstream.start()
  upstream.addManifest('app', 'v1', JSON.stringify({ mediaType: unknown, blobs: [] }))
  upstream.addBlob('app', large)
  upstream.fault = (request, response) => {
    if (request.url!.startsWith('/v2/broken/')) {
      response.writeHead(500).end()
      return true
    }
    if (!request.url!.startsWith('/v2/page/manifests/')) return false
    const type = request.url!.split('/').pop()!.replace('_', '/').replace('-', '+')
    const headers = { 'Content-Type': type, 'Docker-Content-Digest': sha256(script) }
    response.writeHead(200, { ...headers, 'Content-Length': script.length })
    response.end(request.method === 'HEAD' ? undefined : script)
    return true
  }
})
afterAll(() => upstream.stop())

describe.each(ENGINES)('on %s', (engine) => {
  let registry: InProcessRegistry

  beforeAll(async () => {
    registry = await startInProcess({ engine, mirrors: [{ name: 'hub', upstream: upstream.url }] })
    await registry.client.pushBlob('app', small)
    await registry.client.pushBlob('app', large)
    const put = { headers: { 'Content-Type': unknown }, body: script }
    expectStatus(await registry.client.request('PUT', '/v2/app/manifests/v1', put), 201, 'PUT')
  })
  afterAll(() => dispose(registry))

  async function ask([, method, target, lines, status]: Row) {
    const client = await registry.connect()
    await client.request(method, target, [...lines, 'Connection: close'])
    const answer = await client.readResponse(method)
    client.close()
    expect(answer.status).toBe(status)
    return answer
  }

  function expectPlain(headers: ReadonlyMap<string, string>, text: string): void {
    expect(headers.get('x-content-type-options'), text).toBe('nosniff')
    expect(text).not.toMatch(/uwebsockets|fastregistry [\d]/i)
    const type = headers.get('content-type') ?? 'application/json'
    expect(type).toMatch(/^(?:application\/|text\/plain|text\/event-stream|multipart\/byteranges)/)
    expect(type).not.toMatch(/html|xml|script/)
  }

  test.each([...CONTENT, ...RANGES])('%s: %s %s', async (...row) => {
    const { headers, text } = await ask(row)
    expectPlain(headers, text)
    expect(headers.get('content-security-policy')).toBe("default-src 'none'; sandbox")
  })

  test.each(OTHERS)('%s: %s %s', async (...row) => {
    const { headers, text, body } = await ask(row)
    expectPlain(headers, text)
    expect(body.toString()).not.toContain(`FastRegistry ${readVersion()}`)
  })

  test.each(REFUSED)('%s', async (_what, bytes, status) => {
    const client = await registry.connect()
    await client.send(bytes)
    const answer = await client.readResponse()
    client.close()
    expect(answer.status).toBe(status)
    expectPlain(answer.headers, answer.text)
  })

  test('what is refused later on a connection that began well', async () => {
    const client = await registry.connect()
    await client.request('GET', '/v2/')
    await client.readResponse()
    await client.send('GET /v2/ HTTP/1.0\r\n\r\n')
    const { headers, text } = await client.readHead()
    client.close()
    expectPlain(headers, text)
  })

  test('a stream of events', async () => {
    const client = await RawClient.connect(registry.port)
    await client.request('GET', '/admin/events/stream')
    const { status, headers, text } = await client.readHead()
    client.close()
    expect(status).toBe(200)
    expectPlain(headers, text)
  })

  test('a row of an older version names a type that a browser runs', async () => {
    const name = asName('app')
    const bodies = ACTIVE.map((type) => JSON.stringify({ was: type }))
    for (const body of bodies) {
      const put = { headers: { 'Content-Type': unknown }, body }
      const path = `/v2/app/manifests/${sha256(body)}`
      expectStatus(await registry.client.request('PUT', path, put), 201, 'PUT')
    }
    await registry.stop()
    const { storage } = await openTemporaryStorage({ path: registry.folder })
    const changes = ACTIVE.map((mediaType, index) => {
      const key = [name, asDigest(sha256(bodies[index]!))] as const
      const row = { ...storage.metadata.get('manifests', key)!, mediaType }
      return { change: 'put', in: 'manifests', key, row } as const
    })
    await storage.metadata.commit({ checks: [], changes })
    await storage.close()
    await registry.start()
    for (const body of bodies) {
      for (const method of ['HEAD', 'GET', 'GET']) {
        const path = `/v2/app/manifests/${sha256(body)}`
        const { headers } = await ask(['an old row', method, path, [], 200])
        expect(headers.get('content-type')).toBe('application/octet-stream')
        expect(headers.get('content-security-policy')).toBe("default-src 'none'; sandbox")
      }
    }
  })
})
