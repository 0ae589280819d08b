/**
 * Browsers on both engines: who may call from a page (`server.cors.origins`), asked by preflights, by
 * every kind of answer and by every change; and under which names (`server.hosts`).
 */
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exposedHeaders } from '../../src/http/browsers.ts'
import { basic, htpasswd } from '../support/access.ts'
import { Authority } from '../support/certificates.ts'
import { FaultyUpstream } from '../support/faulty-upstream.ts'
import { dispose, ENGINES, type InProcessRegistry, startInProcess } from '../support/in-process.ts'
import { RegistryClient, sha256 } from '../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-browsers-'))
const users = join(folder, 'users')
writeFileSync(users, htpasswd({ alice: 'secret' }))
const alice = basic('alice', 'secret')
const ui = 'https://ui.example.com'
const evil = 'https://evil.example'
const host = 'registry.example.com'
const blob = 'some bytes'
const digest = sha256(blob)
const manifest = JSON.stringify({ mediaType: 'application/vnd.unheard.of', blobs: [] })

const upstream = new FaultyUpstream()
beforeAll(async () => {
  await upstream.start()
  upstream.addManifest('app', 'v1', manifest)
})
afterAll(async () => {
  await upstream.stop()
  rmSync(folder, { recursive: true, force: true })
})

interface Setup {
  readonly cors?: readonly string[]
  readonly hosts?: readonly string[]
  readonly auth?: Readonly<Record<string, unknown>>
}

/** A registry for the tests of one `describe`, with a blob and a tag in it. */
function withRegistry(engine: (typeof ENGINES)[number], { cors, hosts, auth }: Setup) {
  let registry: InProcessRegistry | undefined
  beforeAll(async () => {
    const server = {
      ...(cors === undefined ? {} : { cors: { origins: cors } }),
      ...(hosts === undefined ? {} : { hosts }),
    }
    registry = await startInProcess({
      engine,
      config: {
        server,
        ...(auth === undefined
          ? {}
          : { auth: { type: 'htpasswd', htpasswd_file: users, ...auth } }),
      },
      mirrors: [{ name: 'hub', upstream: upstream.url }],
    })
    const { client } = registry
    const headers = { ...alice, 'Content-Type': 'application/vnd.unheard.of' }
    await client.request('POST', `/v2/app/blobs/uploads/?digest=${digest}`, {
      headers: alice,
      body: blob,
    })
    const put = { headers, body: manifest }
    expect((await client.request('PUT', '/v2/app/manifests/v1', put)).status).toBe(201)
  })
  afterAll(async () => {
    if (registry !== undefined) await dispose(registry)
  })
  return (method: string, target: string, headers: Readonly<Record<string, string>> = {}) =>
    registry!.client.request(method, target, { headers })
}

/** `[method, target, status]` of every kind of answer that a page may ask for; `alice` asks. */
const ANSWERS: readonly (readonly [string, string, number])[] = [
  ['GET', '/', 200],
  ['GET', '/healthz', 200],
  ['GET', '/metrics', 200],
  ['GET', '/v2/', 200],
  ['GET', '/v2/_catalog', 200],
  ['GET', '/v2/app/tags/list', 200],
  ['GET', '/v2/app/manifests/v1', 200],
  ['HEAD', '/v2/app/manifests/v1', 200],
  ['GET', `/v2/app/blobs/${digest}`, 200],
  ['GET', '/v2/hub/app/manifests/v1', 200],
  ['GET', '/v2/hub/app/tags/list', 200],
  ['GET', '/v2/app/manifests/none', 404],
  ['GET', '/v2/A/tags/list', 400],
  ['PATCH', '/v2/', 405],
  ['GET', '/nowhere', 404],
  ['GET', '/token', 200],
  ['GET', '/admin/status', 200],
  ['GET', '/admin/nothing', 404],
  ['POST', '/v2/app/blobs/uploads/', 202],
]

const ask = { 'Access-Control-Request-Method': 'PUT', 'Access-Control-Request-Headers': 'x' }

describe.each(ENGINES)('on %s', (engine) => {
  describe('a site that is named', () => {
    const send = withRegistry(engine, { cors: [ui], auth: {} })

    test.each(ANSWERS)('%s %s is readable', async (method, target, status) => {
      const answer = await send(method, target, { ...alice, Origin: ui, host })
      const { headers } = answer
      expect(answer.status).toBe(status)
      expect(headers['access-control-allow-origin']).toBe(ui)
      expect(headers['access-control-allow-credentials']).toBe('true')
      expect(headers['access-control-expose-headers']?.split(', ')).toEqual(exposedHeaders)
      expect(headers['vary']?.split(', ')).toContain('Origin')
    })

    test.each(ANSWERS)(
      '%s %s is not for others, and no cache keeps it for them',
      async (...row) => {
        const [method, target] = row
        for (const origin of [{ Origin: evil }, { Origin: `${ui}.evil` }, { Origin: 'null' }, {}]) {
          const { headers } = await send(method, target, { ...alice, ...origin })
          expect(headers['access-control-allow-origin']).toBeUndefined()
          expect(headers['vary']?.split(', ')).toContain('Origin')
        }
      },
    )

    test('what is refused to somebody who has not logged in is readable too', async () => {
      for (const target of ['/v2/', '/v2/app/manifests/v1', '/admin/status']) {
        const { status, headers } = await send('GET', target, { Origin: ui })
        expect(status).toBe(401)
        expect(headers['access-control-allow-origin']).toBe(ui)
        expect(headers['access-control-expose-headers']).toContain('WWW-Authenticate')
      }
    })

    test.each(['/v2/', '/v2/app/manifests/v1', '/token', '/admin/status', '/', '/nowhere'])(
      'a preflight of %s needs no login',
      async (target) => {
        const { status, headers } = await send('OPTIONS', target, { Origin: ui, host, ...ask })
        expect(status).toBe(204)
        expect(headers['access-control-allow-origin']).toBe(ui)
        expect(headers['access-control-allow-methods']).toContain('DELETE')
        expect(headers['access-control-allow-headers']).toContain('Authorization')
        const other = await send('OPTIONS', target, { Origin: evil, ...ask })
        expect(other.headers['access-control-allow-origin']).toBeUndefined()
        expect(other.headers['access-control-allow-methods']).toBeUndefined()
      },
    )
  })

  describe('every site', () => {
    const send = withRegistry(engine, { cors: ['*'], auth: {} })

    test.each(ANSWERS)('%s %s: never with the login of a browser', async (method, target) => {
      const { headers, status } = await send(method, target, { ...alice, Origin: evil })
      expect(headers['access-control-allow-origin']).toBe('*')
      expect(headers['access-control-allow-credentials']).toBeUndefined()
      const isReading = method === 'GET' || method === 'HEAD'
      if (!isReading || target === '/admin/status') expect(status).toBe(403)
    })

    test('a preflight allows reading', async () => {
      const { status, headers } = await send('OPTIONS', '/v2/', { Origin: evil, ...ask })
      expect(status).toBe(204)
      expect(headers['access-control-allow-methods']).toBe('GET, HEAD')
      expect(headers['access-control-allow-credentials']).toBeUndefined()
    })
  })

  describe('without the setting', () => {
    const send = withRegistry(engine, {})

    test('nothing is said, and OPTIONS is no method', async () => {
      for (const target of ['/v2/', '/v2/app/manifests/v1', '/v2/app/manifests/none']) {
        const { headers } = await send('GET', target, { Origin: ui })
        expect(Object.keys(headers).filter((name) => /^(access-|vary)/.test(name))).toEqual([])
      }
      expect((await send('OPTIONS', '/v2/', { Origin: ui, ...ask })).status).toBe(405)
    })

    const CHANGES: readonly (readonly [string, string])[] = [
      ['POST', `/v2/app/blobs/uploads/?digest=${digest}`],
      ['POST', '/v2/app/blobs/uploads/'],
      ['POST', `/v2/new/blobs/uploads/?mount=${digest}&from=app`],
      ['PATCH', '/v2/app/blobs/uploads/none'],
      ['PUT', '/v2/app/manifests/v1'],
      ['DELETE', '/v2/app/manifests/v1'],
      ['DELETE', `/v2/app/blobs/${digest}`],
      ['POST', '/token'],
      ['POST', '/admin/gc'],
      ['QUERY', '/v2/'],
    ]

    test.each(CHANGES)('%s %s is refused for pages of other sites', async (method, target) => {
      for (const headers of [
        { Origin: evil },
        { Origin: 'null' },
        { Origin: 'http://127.0.0.1:1' },
        { 'Sec-Fetch-Site': 'cross-site' },
        { 'Sec-Fetch-Site': 'same-site' },
        { Origin: `http://${'a'.repeat(40_000)}` },
      ]) {
        const answer = await send(method, target, headers)
        expect(answer.status, JSON.stringify(headers).slice(0, 80)).toBe(403)
      }
      expect((await send('GET', '/v2/app/manifests/v1')).status).toBe(200)
    })

    test('pages of its own, and programs, change what they may', async () => {
      for (const headers of [
        {},
        { 'Sec-Fetch-Site': 'none' },
        {
          'Sec-Fetch-Site': 'same-origin',
          host: 'localhost:5000',
          Origin: 'http://localhost:5000',
        },
        { Origin: 'https://127.0.0.1', host: '127.0.0.1:443' },
        { Origin: 'http://[::1]:5000', host: '[::1]:5000' },
      ] as Record<string, string>[]) {
        const answer = await send('POST', '/v2/app/blobs/uploads/', headers)
        expect(answer.status, JSON.stringify(headers)).toBe(202)
      }
    })

    test('a name that is not this registry is none to browsers', async () => {
      const sent = { Origin: `http://${host}`, host }
      for (const name of [host, 'evil.example:5000', '127.0.0.1.evil.example', 'localhost.evil']) {
        const headers = { 'Sec-Fetch-Site': 'same-origin', host: name }
        const answer = await send('GET', '/v2/_catalog', headers)
        expect(answer.status, name).toBe(403)
        expect(answer.text).toContain('server.hosts')
      }
      expect((await send('GET', '/admin/status', sent)).status).toBe(403)
      expect((await send('DELETE', '/v2/app/manifests/v1', sent)).status).toBe(403)
      expect((await send('GET', '/v2/_catalog', { host })).status).toBe(200)
    })
  })

  test.each([
    [
      'names that are listed',
      { hosts: [host, '*.wild.example'] },
      [host, 'a.wild.example:443'],
      ['b.a.wild.example', 'wild.example'],
    ],
    [
      'the name of the realm',
      { auth: { tokens: { realm: `https://${host}/token` } } },
      [host, `${host.toUpperCase()}:5000`],
      ['other.example'],
    ],
    [
      'listed names stand for the realm',
      { hosts: ['one.example'], auth: { tokens: { realm: `https://${host}/token` } } },
      ['one.example', 'one.example.'],
      [host],
    ],
  ] as const)('%s are names of the registry', async (_what, { hosts, auth }: Setup, good, bad) => {
    const registry = await startInProcess({
      engine,
      config: {
        server: { ...(hosts === undefined ? {} : { hosts }) },
        ...(auth === undefined
          ? {}
          : { auth: { type: 'htpasswd', htpasswd_file: users, ...auth } }),
      },
    })
    const status = async (name: string) =>
      (
        await registry.client.request('GET', '/', {
          headers: { host: name, 'Sec-Fetch-Site': 'none' },
        })
      ).status
    for (const name of good) expect(await status(name), name).toBe(200)
    for (const name of bad) expect(await status(name), name).toBe(403)
    await dispose(registry)
  })

  test('names of certificates, also of SNI, are names of the registry', async () => {
    const authority = new Authority(folder)
    const main = authority.issue(`main-${engine}`, 'DNS:one.example,DNS:*.wild.example')
    const named = authority.issue(`named-${engine}`, `DNS:${host}`)
    const served = { cert: join(folder, `${engine}.pem`), key: join(folder, `${engine}.key`) }
    copyFileSync(main.cert, served.cert)
    copyFileSync(main.key, served.key)
    const tls = { ...served, sni: [{ cert: named.cert, key: named.key }] }
    const registry = await startInProcess({
      engine,
      config: { server: { also_listen: '127.0.0.1:0', tls } },
    })
    const client = new RegistryClient(registry.ports[1]!)
    const status = async (name: string) =>
      (await client.request('GET', '/', { headers: { host: name, 'Sec-Fetch-Site': 'none' } }))
        .status
    for (const name of ['one.example', 'a.wild.example', host]) expect(await status(name)).toBe(200)
    for (const name of ['two.example', 'wild.example']) expect(await status(name)).toBe(403)
    client.close()
    await dispose(registry)
  })
})

test('every header that answers carry is one that pages may read', () => {
  // Words of other lists that look alike.
  const others = ['GET', 'POST', 'EdDSA']
  const always = ['Cache-Control', 'Content-Type', 'Vary', 'X-Content-Type-Options']
  const forBrowsers = [
    ...['Content-Encoding', 'Content-Security-Policy', 'Cross-Origin-Opener-Policy'],
    ...['Cross-Origin-Resource-Policy', 'Referrer-Policy', 'Set-Cookie', 'X-Accel-Buffering'],
  ]
  const known = new Set<string>([...exposedHeaders, ...always, ...forBrowsers, ...others])
  const root = new URL('../../src/', import.meta.url)
  const names = ['http', 'admin', 'distribution', 'auth', 'server'].flatMap((part) =>
    readdirSync(new URL(part, root), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .flatMap((file) => {
        const text = readFileSync(new URL(`${part}/${file}`, root), 'utf8')
        const pairs = text.matchAll(/\['([A-Z][A-Za-z]*(?:-[A-Za-z]+)*)', /g)
        const objects = text.matchAll(/headers: \{ '?([A-Z][A-Za-z-]+)'?: /g)
        return [...pairs, ...objects].map((match) => match[1]!)
      }),
  )
  expect(new Set(names).size).toBeGreaterThan(15)
  const unknown = names.filter((name) => !known.has(name) && !name.startsWith('Access-Control-'))
  expect([...new Set(unknown)]).toEqual([])
})
