/**
 * The pages over real sockets: forms by `Accept-Encoding`, caches, the policy of the document, the way
 * from the front of the server, and what has no page.
 */
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import { dispose, ENGINES, type InProcessRegistry, startInProcess } from '../support/in-process.ts'

const HTML = { accept: 'text/html,*/*' }

describe.each(ENGINES)('the pages on %s', (engine) => {
  const running: InProcessRegistry[] = []
  afterEach(async () => {
    for (const one of running.splice(0)) await dispose(one)
  })
  const open = async (config: Record<string, unknown> = {}) => {
    const registry = await startInProcess({ engine, config })
    running.push(registry)
    const { client } = registry
    const get = (path: string, headers: Record<string, string> = {}) =>
      client.request('GET', path, { headers })
    const scriptOf = async () =>
      /src="\.\/(main-[\w-]{8}\.js)"/.exec((await get('/ui/')).body.toString())![1]!
    return { client, get, scriptOf }
  }

  test('the document is asked for again each time, and has not changed', async () => {
    const { get } = await open()
    const first = await get('/ui/')
    expect(first.status).toBe(200)
    expect(first.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(first.headers['cache-control']).toBe('no-cache')
    const again = await get('/ui/', { 'if-none-match': `W/"x", ${first.headers['etag']}` })
    expect(again.status).toBe(304)
    expect(again.body.length).toBe(0)
    expect((await get('/ui/', { 'if-none-match': '"x"' })).status).toBe(200)
  })

  test('runs nothing that this server has not sent, in no frame, and makes no text markup', async () => {
    const { get, scriptOf } = await open()
    for (const path of ['/ui/', `/ui/${await scriptOf()}`]) {
      const { headers } = await get(path)
      expect(headers['content-security-policy']).toBe(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
      )
      expect(headers['x-content-type-options']).toBe('nosniff')
      expect(headers['referrer-policy']).toBe('no-referrer')
      expect(headers['cross-origin-resource-policy']).toBe('same-origin')
    }
  })

  test('a file whose name has its hash is kept for ever, in the smallest form that is taken', async () => {
    const { get, scriptOf } = await open()
    const path = `/ui/${await scriptOf()}`
    const plain = await get(path)
    expect(plain.headers['content-encoding']).toBeUndefined()
    expect(plain.headers['cache-control']).toBe('public, max-age=31536000, immutable')
    expect(plain.headers['content-type']).toBe('text/javascript; charset=utf-8')
    const forms = [
      ['br, gzip', 'br', brotliDecompressSync],
      ['gzip, deflate', 'gzip', gunzipSync],
      ['br;q=0, GZIP;q=0.5', 'gzip', gunzipSync],
    ] as const
    for (const [accepted, coding, unpack] of forms) {
      const packed = await get(path, { 'accept-encoding': accepted })
      expect(packed.headers['content-encoding'], accepted).toBe(coding)
      expect(packed.headers['vary']).toContain('Accept-Encoding')
      expect(unpack(packed.body).equals(plain.body)).toBe(true)
      expect(packed.headers['etag']).not.toBe(plain.headers['etag'])
    }
  })

  test('a path without a file is 404, and other methods are 405', async () => {
    const { get, client } = await open()
    for (const path of ['/ui/nothing', '/ui/repositories/', '/ui/..', '/ui/%2e%2e/package.json']) {
      expect((await get(path, HTML)).status, path).toBe(404)
    }
    expect((await client.request('POST', '/ui/')).status).toBe(405)
    const head = await client.request('HEAD', '/ui/')
    expect([head.status, head.body.length]).toEqual([200, 0])
  })

  test('a browser at the front is led to them, a program is not', async () => {
    const { get } = await open()
    const led = await get('/', HTML)
    expect([led.status, led.headers['location'], led.headers['vary']]).toEqual([
      302,
      'ui/',
      'Accept',
    ])
    expect((await get('/ui', HTML)).headers['location']).toBe('ui/')
    const text = await get('/', { accept: '*/*' })
    expect([text.status, text.headers['content-type']]).toEqual([200, 'text/plain; charset=utf-8'])
    expect(text.headers['vary']).toContain('Accept')
  })

  test('title and address of the configuration are text in the document', async () => {
    const { get } = await open({
      ui: { title: '"><script>alert(1)</script> & co $&', public_address: 'registry.example:5000' },
    })
    const html = (await get('/ui/')).body.toString()
    expect(html).not.toContain('<script>alert')
    expect(html).toContain(
      '<title>&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt; &amp; co $&amp;</title>',
    )
    expect(html).toContain('name="registry-address" content="registry.example:5000"')
  })

  test('nothing is there when they are switched off', async () => {
    const { get } = await open({ ui: { enabled: false } })
    expect((await get('/ui/', HTML)).status).toBe(404)
    expect((await get('/', HTML)).status).toBe(200)
  })
})
