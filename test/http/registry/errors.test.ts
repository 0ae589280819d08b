/** @module Refusals over real sockets: status, code, body, request id, and what they must not tell. */
import { describe, expect, test } from 'vitest'
import { ERRORS } from '../../../src/registry/error-kinds.ts'
import { describeRegistry, until } from '../../support/in-process.ts'
import { fetchRaw } from '../../support/raw-http.ts'
import { type Answer, errorsOf, refusal, sha256 } from '../../support/registry-client.ts'

const digest = sha256('nobody has this')
const CODES: readonly string[] = Object.values(ERRORS).map(({ code }) => code)
const long = 'a'.repeat(255)
const uuid = 'f'.repeat(32)

type Row = [method: string, path: string, expected: string]

const NAMES: Row[] = [
  'A',
  'a/B',
  '%C3%A4',
  'a%20b',
  '-a',
  'a-',
  '.a',
  'a.',
  'a..b',
  'a___b',
  '_a',
  'a/-b',
  'a/_b',
  'a//b',
  '/a',
  'a/',
  'a/../b',
  '../a',
  '.',
  '..',
  '%2e%2e',
  'a%00',
  'a%0Ab',
  'a:b',
  'a@b',
  'a+b',
  'a*',
  `${long}a`,
  `${'a/'.repeat(128)}a`,
  '',
].map((name): Row => ['GET', `/v2/${name}/tags/list`, '400 NAME_INVALID'])

const GRAMMAR: Row[] = [
  ['GET', `/v2/${long}/tags/list`, '404 NAME_UNKNOWN'],
  ['GET', `/v2/${'a/'.repeat(127)}a/tags/list`, '404 NAME_UNKNOWN'],
  ['GET', '/v2/a--b.c_d__e/tags/list', '404 NAME_UNKNOWN'],
  ['GET', '/v2/blobs/tags/uploads/manifests/tags/list', '404 NAME_UNKNOWN'],
  ['GET', '/v2/a%2Fb/tags/list', '400 NAME_INVALID'],
  ['GET', '/v2/a%2fb/manifests/x', '400 NAME_INVALID'],
  ['GET', '/v2/a%zz/tags/list', '400 NAME_INVALID'],
  ['GET', '/v2/a%/tags/list', '400 NAME_INVALID'],
  ['GET', '/v2/a%FF/tags/list', '400 NAME_INVALID'],
  ['GET', '/v2/a/manifests/none', '404 MANIFEST_UNKNOWN'],
  ['GET', '/v2/a/manifests/-x', '404 MANIFEST_UNKNOWN'],
  ['GET', `/v2/a/manifests/${'x'.repeat(128)}`, '404 MANIFEST_UNKNOWN'],
  ['GET', `/v2/a/manifests/${'x'.repeat(5000)}`, '404 MANIFEST_UNKNOWN'],
  ['GET', '/v2/a/manifests/%C3%A4', '404 MANIFEST_UNKNOWN'],
  ['GET', `/v2/a/manifests/${digest}`, '404 MANIFEST_UNKNOWN'],
  ['GET', '/v2/a/manifests/sha256:x', '400 DIGEST_INVALID'],
  ['GET', '/v2/a/manifests/tag:tag', '400 DIGEST_INVALID'],
  ['GET', `/v2/a/manifests/${digest.toUpperCase()}`, '400 DIGEST_INVALID'],
  ['PUT', '/v2/a/manifests/sha256:baddigeststring', '400 DIGEST_INVALID'],
  ['PUT', '/v2/a/manifests/-x', '400 MANIFEST_INVALID'],
  ['PUT', `/v2/a/manifests/${'x'.repeat(129)}`, '400 MANIFEST_INVALID'],
  ['PUT', '/v2/a/manifests/a%20b', '400 MANIFEST_INVALID'],
  ['PUT', '/v2/A/manifests/x', '400 NAME_INVALID'],
  ['PUT', '/v2/a/manifests/x?digest=y', '400 DIGEST_INVALID'],
  ['GET', `/v2/a/blobs/${digest}`, '404 BLOB_UNKNOWN'],
  ['GET', `/v2/a/blobs/${digest.replace(':', '%3A')}`, '404 BLOB_UNKNOWN'],
  ['GET', '/v2/a/blobs/latest', '400 DIGEST_INVALID'],
  ['GET', '/v2/a/blobs/sha256:', '400 DIGEST_INVALID'],
  ['GET', `/v2/a/blobs/md5:${'a'.repeat(32)}`, '400 DIGEST_INVALID'],
  ['GET', `/v2/a/blobs/sha512:${'a'.repeat(64)}`, '400 DIGEST_INVALID'],
  ['GET', `/v2/a/blobs/${digest}0`, '400 DIGEST_INVALID'],
  ['GET', '/v2/a/referrers/latest', '400 DIGEST_INVALID'],
  ['GET', '/v2/A/referrers/latest', '400 NAME_INVALID'],
  ['GET', '/v2/_catalog?n=x', '400 UNSUPPORTED'],
  ['GET', '/v2/a/tags/list?n=-1', '400 UNSUPPORTED'],
  ['GET', `/v2/a/blobs/uploads/${uuid}`, '404 BLOB_UPLOAD_UNKNOWN'],
  ['PATCH', `/v2/a/blobs/uploads/${uuid}`, '404 BLOB_UPLOAD_UNKNOWN'],
  ['PUT', `/v2/a/blobs/uploads/${uuid}`, '400 DIGEST_INVALID'],
  ['PUT', `/v2/a/blobs/uploads/${uuid}?digest=${digest}`, '404 BLOB_UPLOAD_UNKNOWN'],
  ['DELETE', `/v2/a/blobs/uploads/${uuid}`, '404 BLOB_UPLOAD_UNKNOWN'],
  ['POST', '/v2/A/blobs/uploads/', '400 NAME_INVALID'],
  ['POST', '/v2/a/blobs/uploads/?digest=x', '400 DIGEST_INVALID'],
  ['POST', '/v2/blobs/uploads/', '400 NAME_INVALID'],
]

const ROUTES: Row[] = [
  '/v1/search',
  '/v3/',
  '/v2/x',
  '/v2/a/tags',
  '/v2/a/tags/',
  '/v2/a/tags/list/',
  '/v2/a/tags/lists',
  '/v2/a/blobs/',
  '/v2/a/manifests/',
  '/v2/a/referrers/',
  '/v2/a/unknown/b',
  '/v2/_catalog/',
  '/v2/a/_oci/ext/other',
  '/admin',
  '/admin/',
  '/health/',
  '//',
  '/v2//',
  '/v2/a/manifests/x/y',
  '/favicon.ico',
  // An open registry has no tokens.
  '/.well-known/jwks.json',
].map((path): Row => ['GET', path, '404 UNSUPPORTED'])

const METHODS: [path: string, allowed: string][] = [
  ['/', 'GET, HEAD, OPTIONS'],
  ['/healthz', 'GET, HEAD'],
  ['/metrics', 'GET, HEAD'],
  ['/admin/status', 'GET, HEAD'],
  ['/v2/', 'GET, HEAD'],
  ['/v2/_catalog', 'GET, HEAD'],
  ['/v2/_oci/ext/discover', 'GET, HEAD'],
  ['/v2/a/tags/list', 'GET, HEAD'],
  [`/v2/a/referrers/${digest}`, 'GET, HEAD'],
  ['/v2/a/manifests/x', 'GET, HEAD, PUT, DELETE'],
  [`/v2/a/blobs/${digest}`, 'GET, HEAD, DELETE'],
  ['/v2/a/blobs/uploads/', 'POST'],
  [`/v2/a/blobs/uploads/${uuid}`, 'GET, HEAD, PATCH, PUT, DELETE'],
]

describeRegistry('a refusal', {}, (registry) => {
  /** Raw, so that paths go out as they are written. */
  async function ask(method: string, path: string): Promise<Answer> {
    const lines = method === 'GET' ? [] : ['Content-Length: 0']
    const answer = await fetchRaw(registry().port, method, path, lines)
    const text = String(answer.body)
    return {
      status: answer.status,
      headers: Object.fromEntries(answer.headers),
      body: answer.body,
      text,
      json: text === '' ? undefined : (JSON.parse(text) as unknown),
    }
  }

  function expectWellMade(answer: Answer): void {
    expect(answer.headers['content-type']).toBe('application/json')
    expect(answer.headers['docker-distribution-api-version']).toBe('registry/2.0')
    for (const { code, message, detail } of errorsOf(answer)) {
      expect(CODES).toContain(code)
      expect(message).toMatch(/^.{5,200}$/)
      expect(detail).not.toBeUndefined()
    }
    expect(answer.text).not.toMatch(/\bat \S+ \(|node_modules|\/src\/|\.ts:/)
    expect(answer.text.length).toBeLessThan(2000)
  }

  describe.each([
    ['names', NAMES],
    ['references, digests and sessions', GRAMMAR],
    ['paths that lead nowhere', ROUTES],
  ])('of %s', (_group, rows) => {
    test.each(rows)('%s %s is %s', async (method, path, expected) => {
      const answer = await ask(method, path)
      expect(refusal(answer)).toBe(expected)
      expectWellMade(answer)
      const { requestId } = answer.json as { requestId: string }
      expect(answer.headers['x-request-id']).toBe(requestId)
      await until(() => registry().logLines.some((line) => line.includes(`"id":"${requestId}"`)))
    })
  })

  test.each(METHODS)(
    'a wrong method on %s is 405 and says which are right',
    async (path, allowed) => {
      const right = allowed.split(', ')
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND']) {
        if (right.includes(method)) continue
        const answer = await ask(method, path)
        expect(refusal(answer), method).toBe('405 UNSUPPORTED')
        expect(answer.headers['allow']).toBe(allowed)
        expectWellMade(answer)
      }
    },
  )

  test('of HEAD has the same status and no body', async () => {
    const rows: Row[] = [...GRAMMAR, ...ROUTES].filter(([method]) => method === 'GET')
    for (const [, path, expected] of rows) {
      const answer = await ask('HEAD', path)
      expect(`${answer.status}`, path).toBe(expected.slice(0, 3))
      expect(answer.body).toHaveLength(0)
    }
  })

  test('stands in the access log with method, path and status', async () => {
    const answer = await ask('GET', '/v2/a/manifests/logged"\\x')
    const { requestId } = answer.json as { requestId: string }
    await until(() => registry().logLines.some((line) => line.includes(requestId)))
    const line = registry().logLines.find((it) => it.includes(requestId))!
    expect(JSON.parse(line)).toMatchObject({
      event: 'request',
      id: requestId,
      client: '127.0.0.1',
      method: 'GET',
      path: '/v2/a/manifests/logged"\\x',
      status: 404,
    })
  })

  test('of too many parameters is 414', async () => {
    const query = Array.from({ length: 2049 }, (_, index) => `p=${index}`).join('&')
    expect(refusal(await ask('GET', `/v2/a/tags/list?n=1&${query}`))).toBe('414 UNSUPPORTED')
    expect(refusal(await ask('GET', `/v2/a/referrers/${digest}?${query}`))).toBe('414 UNSUPPORTED')
  })

  test('unknown parameters and fragments of an empty query are tolerated', async () => {
    expect((await ask('GET', '/v2/?ns=docker.io&x=%zz&%')).status).toBe(200)
    expect((await ask('GET', '/v2/_catalog?')).status).toBe(200)
    expect((await ask('GET', '/v2')).status).toBe(200)
  })

  test('none of these was a fault of ours', () => {
    expect(registry().faults).toEqual([])
  })
})
