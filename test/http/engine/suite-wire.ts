/**
 * @module The engine suite's part about what proxies and old clients send: HTTP/1.0, whole URLs as
 * targets, several requests at once, chunked bodies that do not end, and idle connections.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { ListenAddress } from '../../../src/http/engine/port.ts'
import { ResponseHead } from '../../../src/http/engine/port.ts'
import { deferred, type MakeEngine, MemorySource, MiB, ok, pattern, serve } from './harness.ts'

/** What a handler of the suite has seen, and where it is served. */
async function startWire(
  make: MakeEngine,
  address: Partial<ListenAddress>,
  alpn?: readonly string[],
) {
  const seen: string[] = []
  const served = await serve(
    make,
    async (request, response) => {
      const { method, path, query, host } = request
      seen.push(`${method} ${path}`)
      if (path === '/large') return response.stream(ok, new MemorySource(pattern(3 * MiB)))
      if (path === '/early') return response.send(ok, 'early')
      if (path === '/none') return response.sendHead(new ResponseHead(304, []), undefined)
      if (path === '/parts') {
        response.startChunked(ok)
        for (let part = 0; part < 3; part += 1) await response.write(`part ${part};`)
        return response.end()
      }
      let body = ''
      await request.readBody((chunk) => {
        body += Buffer.from(chunk).toString()
      })
      await new Promise((resolve) => setImmediate(resolve))
      return response.send(ok, JSON.stringify({ method, path, query, host, body }))
    },
    address,
  )
  served.alpn = alpn
  return { served, seen }
}

/**
 * Forms of requests that uWebSockets.js does not read itself. Over TLS it cannot be seen before the
 * handshake which form a client speaks, but what it offers: `alpn`.
 */
export function formSuite(
  make: MakeEngine,
  address: Partial<ListenAddress>,
  alpn?: readonly string[],
): void {
  const start = () => startWire(make, address, alpn)

  test('HTTP/1.0 is served, and closes', async () => {
    const { served } = await start()
    for (const lines of ['', 'Host: a\r\n', 'Host: a\r\nConnection: close\r\n']) {
      const client = await served.connect()
      await client.send(`GET /v2/?x=1 HTTP/1.0\r\n${lines}\r\n`)
      const answer = await client.readResponse()
      expect(answer.status).toBe(200)
      expect(JSON.parse(String(answer.body))).toMatchObject({ path: '/v2/', query: 'x=1' })
      expect(answer.headers.get('connection')).toBe('close')
      expect((await client.readToEnd()).length).toBe(0)
    }
  })

  test('HTTP/1.0 uploads, and has an answer without a length end with the connection', async () => {
    const { served } = await start()
    const client = await served.connect()
    await client.send('PUT /a HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello')
    expect(JSON.parse(String((await client.readResponse()).body))).toMatchObject({ body: 'hello' })
    const other = await served.connect()
    await other.send('GET /parts HTTP/1.0\r\n\r\n')
    const { headers } = await other.readHead()
    expect(headers.has('transfer-encoding')).toBe(false)
    expect(String(await other.readToEnd())).toBe('part 0;part 1;part 2;')
    const large = await served.connect()
    await large.send('GET /large HTTP/1.0\r\n\r\n')
    expect((await large.readResponse()).body.equals(pattern(3 * MiB))).toBe(true)
  })

  test('HTTP/1.0 with Connection: keep-alive may go on', async () => {
    const { served } = await start()
    const client = await served.connect()
    for (const path of ['/1', '/2']) {
      await client.send(`GET ${path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n`)
      const answer = await client.readResponse()
      expect(answer.headers.get('connection')).toBe('keep-alive')
      expect(JSON.parse(String(answer.body))).toMatchObject({ path })
    }
  })

  test('HTTP/1.0 with a chunked body is refused', async () => {
    const { served, seen } = await start()
    const client = await served.connect()
    await client.send('PUT /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n')
    expect((await client.readResponse()).status).toBe(400)
    await client.readToEnd()
    expect(seen).toEqual([])
  })

  test('an expectation that nobody knows does not matter', async () => {
    const { served } = await start()
    const client = await served.connect()
    await client.request('GET', '/a', ['Expect: the-unexpected'])
    expect((await client.readResponse()).status).toBe(200)
  })

  test('a whole URL is a target, and its authority stands for Host', async () => {
    const { served } = await start()
    const cases = [
      ['http://registry.test/v2/a?ns=b', { path: '/v2/a', query: 'ns=b', host: 'registry.test' }],
      ['HTTPS://registry.test:5000/x', { path: '/x', query: '', host: 'registry.test:5000' }],
      ['http://[::1]:5000', { path: '/', query: '', host: '[::1]:5000' }],
      ['http://registry.test?a=1', { path: '/', query: 'a=1', host: 'registry.test' }],
    ] as const
    for (const [target, expected] of cases) {
      const client = await served.connect()
      await client.send(`GET ${target} HTTP/1.1\r\nHost: other\r\n\r\n`)
      expect(JSON.parse(String((await client.readResponse()).body))).toMatchObject(expected)
    }
  })

  test('OPTIONS has * as its target', async () => {
    const { served, seen } = await start()
    for (const target of ['*', 'http://registry.test']) {
      const client = await served.connect()
      await client.send(`OPTIONS ${target} HTTP/1.1\r\nHost: a\r\n\r\n`)
      expect((await client.readResponse()).status).toBe(200)
    }
    expect(seen).toEqual(['OPTIONS *', 'OPTIONS *'])
  })

  test('requests of one packet are answered one after the other', async () => {
    const { served, seen } = await start()
    const client = await served.connect()
    const put = 'PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc'
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
    await client.send(put + get('/2') + get('/large') + get('/large') + get('/3'))
    expect(JSON.parse(String((await client.readResponse()).body))).toMatchObject({ path: '/1' })
    expect(JSON.parse(String((await client.readResponse()).body))).toMatchObject({ path: '/2' })
    for (let round = 0; round < 2; round += 1) {
      expect((await client.readResponse()).body.equals(pattern(3 * MiB))).toBe(true)
    }
    expect(JSON.parse(String((await client.readResponse()).body))).toMatchObject({ path: '/3' })
    expect(seen).toEqual(['PUT /1', 'GET /2', 'GET /large', 'GET /large', 'GET /3'])
  })

  test('fifty requests of one packet are answered in order, and more than a hundred are not lost silently', async () => {
    const { served } = await start()
    for (const count of [50, 300]) {
      const client = await served.connect()
      const paths = Array.from({ length: count }, (_, index) => `/${index}`)
      await client.send(paths.map((p) => `GET ${p} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''))
      let answered = 0
      for (;;) {
        const answer = await client.readResponse()
        expect(JSON.parse(String(answer.body))).toMatchObject({ path: paths[answered] })
        answered += 1
        if (answer.headers.get('connection') === 'close' || answered === count) break
      }
      expect(answered).toBeGreaterThanOrEqual(Math.min(count, 100))
    }
  })

  test('an empty line before a request is passed over', async () => {
    const { served } = await start()
    for (const empty of ['\r\n', '\r\n\r\n', '\n', '\r\n'.repeat(20)]) {
      const client = await served.connect()
      await client.send(`${empty}GET /a HTTP/1.1\r\nHost: a\r\n\r\n`)
      expect((await client.readResponse()).status).toBe(200)
    }
  })
}

/** What follows a request on its connection: other requests, trailers, the end. */
export function sequelSuite(make: MakeEngine, address: Partial<ListenAddress>): void {
  const start = () => startWire(make, address)

  test('a request that comes while one changes something waits for its end', async () => {
    let go = deferred()
    const order: string[] = []
    const served = await serve(
      make,
      async (request, response) => {
        order.push(`begin ${request.method}`)
        await request.readBody(() => {})
        if (request.method !== 'GET') await go.promise
        order.push(`end ${request.method}`)
        response.send(ok, request.method)
      },
      address,
    )
    for (const [method, lines, body] of [
      ['PUT', 'Content-Length: 2\r\n', 'ab'],
      ['POST', 'Content-Length: 0\r\n', ''],
      ['DELETE', '', ''],
    ]) {
      order.length = 0
      go = deferred()
      const client = await served.connect()
      await client.send(`${method} /x HTTP/1.1\r\nHost: a\r\n${lines}\r\n${body}`)
      while (order.length < 1) await delay(1)
      await served.settle().catch(() => {})
      await client.request('GET', '/y')
      setTimeout(() => go.resolve(), 50)
      expect(String((await client.readResponse()).body)).toBe(method)
      expect(String((await client.readResponse()).body)).toBe('GET')
      expect(order.filter((step) => !step.includes('settle'))).toEqual([
        `begin ${method}`,
        `end ${method}`,
        'begin GET',
        'end GET',
      ])
    }
  })

  test.each(['GET', 'HEAD', 'DELETE', 'OPTIONS'])(
    'a chunked %s is refused and closed',
    async (method) => {
      const { served, seen } = await start()
      const chunked = `${method} /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`
      const client = await served.connect()
      await client.send(chunked)
      expect((await client.readHead()).status).toBe(400)
      await client.readToEnd()
      const trailers = ['X:GET /behind HTTP/1.1\r\nHost: h\r\n\r\n', 'xx: /behind HTTP/1.1\r\n\r\n']
      for (const trailer of trailers) {
        const other = await served.connect()
        await other.send(`${chunked}0\r\n${trailer}`)
        expect(String(await other.readToEnd())).not.toMatch(/HTTP\/1\.1 [23].*HTTP\/1\.1/s)
      }
      expect(seen).toEqual([])
    },
  )

  test('a chunked body that is answered before its end ends the connection', async () => {
    const { served, seen } = await start()
    const client = await served.connect()
    await client.send('PUT /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab')
    const answer = await client.readResponse()
    expect(answer.headers.get('connection')).toBe('close')
    await client.send('cde\r\n0\r\nX:GET /behind HTTP/1.1\r\nHost: h\r\n\r\n').catch(() => {})
    expect((await client.readToEnd()).length).toBe(0)
    expect(seen).toEqual(['PUT /early'])
  })

  test('trailers of a body that came whole are no request, on a connection in use too', async () => {
    const { served, seen } = await start()
    for (const path of ['/early', '/late']) {
      const client = await served.connect()
      await client.request('GET', '/before')
      await client.readResponse()
      const head = `PUT ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`
      await client.send(`${head}2\r\nab\r\n0\r\nX:GET /behind HTTP/1.1\r\nHost: h\r\n\r\n`)
      await client.readResponse().catch(() => undefined)
      await client.request('GET', '/after', ['Connection: close']).catch(() => {})
      await client.readToEnd()
    }
    expect(seen.filter((line) => line.includes('behind'))).toEqual([])
  })

  test('trailers that are announced are refused', async () => {
    const { served, seen } = await start()
    const chunked = 'Transfer-Encoding: chunked\r\n'
    for (const lines of [
      `${chunked}Trailer: X-Sum\r\n`,
      `${chunked}TE: trailers\r\n`,
      `${chunked}TE: gzip, Trailers\r\n`,
      'Trailer: X-Sum\r\nContent-Length: 0\r\n',
    ]) {
      const client = await served.connect()
      await client.send(`PUT /a HTTP/1.1\r\nHost: a\r\n${lines}\r\n0\r\n\r\n`)
      expect((await client.readHead()).status).toBe(400)
      await client.readToEnd()
    }
    expect(seen).toEqual([])
  })

  test('while it stops, a request on an idle connection is answered and told to be the last', async () => {
    const { served } = await start()
    const clients = await Promise.all([served.connect(), served.connect()])
    await clients[0]!.request('GET', '/before')
    await clients[0]!.readResponse()
    await clients[1]!.request('HEAD', '/before')
    await clients[1]!.readResponse('HEAD')
    served.engine.stopListening()
    for (const client of clients) {
      await client.request('GET', '/last')
      const answer = await client.readResponse()
      expect(answer.status).toBe(200)
      expect(answer.headers.get('connection')).toBe('close')
      await client.readToEnd()
    }
  })
}
