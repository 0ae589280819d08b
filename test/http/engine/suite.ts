/**
 * @module The suite of the engine port: both adapters pass it over real sockets. This part is about
 * requests and small answers; bodies, streams, framing and listeners have files of their own.
 */
import { describe, expect, test } from 'vitest'
import type { HttpRequest } from '../../../src/http/engine/port.ts'
import { ResponseHead } from '../../../src/http/engine/port.ts'
import { fetchRaw } from '../../support/raw-http.ts'
import { deferred, type MakeEngine, MemorySource, ok, serve, testTls, until } from './harness.ts'
import { bodySuite } from './suite-bodies.ts'
import { framingSuite } from './suite-framing.ts'
import { listenSuite } from './suite-listen.ts'
import { streamSuite } from './suite-streams.ts'
import { formSuite, sequelSuite } from './suite-wire.ts'

/** Registers the whole suite for one adapter. */
export function engineSuite(name: string, make: MakeEngine): void {
  describe(`${name} engine`, () => {
    describe('requests', () => requestSuite(make))
    describe('answers', () => answerSuite(make))
    describe('errors', () => errorSuite(make))
    describe('bodies', () => bodySuite(make))
    describe('streams', () => streamSuite(make, {}))
    describe('streams over TLS', () => streamSuite(make, { tls: testTls }))
    describe('framing', () => framingSuite(make))
    describe('forms', () => formSuite(make, {}))
    describe('forms over TLS', () => formSuite(make, { tls: testTls }, ['http/1.0']))
    describe('sequels', () => sequelSuite(make, {}))
    describe('sequels over TLS', () => sequelSuite(make, { tls: testTls }))
    describe('listeners', () => listenSuite(make))
  })
}

function requestSuite(make: MakeEngine): void {
  const echo = (read: (request: HttpRequest) => unknown) =>
    serve(make, (request, response) => response.send(ok, JSON.stringify(read(request) ?? null)))

  test('gives the method as sent', async () => {
    const { port } = await echo((request) => request.method)
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      expect(String((await fetchRaw(port, method, '/')).body)).toBe(`"${method}"`)
    }
  })

  test('gives path and query raw', async () => {
    const { port } = await echo((request) => [request.path, request.query])
    const seen = async (target: string) => String((await fetchRaw(port, 'GET', target)).body)
    expect(await seen('/v2/a%2Fb/../c//d')).toBe('["/v2/a%2Fb/../c//d",""]')
    expect(await seen('/p?digest=sha256%3Aab&x=1?2')).toBe('["/p","digest=sha256%3Aab&x=1?2"]')
    expect(await seen('/p?')).toBe('["/p",""]')
  })

  test('finds headers by lower-case name and joins repeated lines', async () => {
    const { port } = await echo((request) => [
      request.header('x-one'),
      request.header('accept'),
      request.header('authorization'),
      request.header('x-none') ?? 'absent',
    ])
    const lines = ['X-One: 1', 'Accept: a/b', 'ACCEPT: c/d', 'Authorization: A', 'authorization: B']
    const { body } = await fetchRaw(port, 'GET', '/', lines)
    expect(JSON.parse(String(body))).toEqual(['1', 'a/b, c/d', 'A, B', 'absent'])
  })

  test('gives each request an id of its own', async () => {
    const { port } = await echo((request) => [request.id, request.id])
    const ids = new Set<string>()
    for (let round = 0; round < 3; round += 1) {
      const [id, again] = JSON.parse(String((await fetchRaw(port, 'GET', '/')).body)) as string[]
      expect(again).toBe(id)
      ids.add(id!)
    }
    expect(ids.size).toBe(3)
  })

  test('tells the body length from the headers', async () => {
    const { port } = await echo((request) => request.bodyBytes ?? 'unknown')
    expect(String((await fetchRaw(port, 'GET', '/')).body)).toBe('0')
    expect(String((await fetchRaw(port, 'PUT', '/', ['Content-Length: 0'])).body)).toBe('0')
    const chunked = ['Transfer-Encoding: chunked']
    expect(String((await fetchRaw(port, 'PUT', '/', chunked)).body)).toBe('"unknown"')
  })

  test('keeps a connection for the next request', async () => {
    const served = await echo((request) => request.path)
    const client = await served.connect()
    for (const path of ['/1', '/2', '/3']) {
      await client.request('GET', path)
      expect(String((await client.readResponse()).body)).toBe(`"${path}"`)
    }
    expect(served.engine.openConnections).toBe(1)
  })

  test('answers three requests of one packet in order', async () => {
    const served = await echo((request) => request.path)
    const client = await served.connect()
    await client.send(
      ['/1', '/2', '/3'].map((p) => `GET ${p} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''),
    )
    for (const path of ['/1', '/2', '/3']) {
      expect(String((await client.readResponse()).body)).toBe(`"${path}"`)
    }
  })

  test('reads a request that arrives byte by byte', async () => {
    const served = await echo((request) => request.header('x-a'))
    const client = await served.connect()
    for (const byte of 'GET /slow HTTP/1.1\r\nHost: a\r\nX-A: split\r\n\r\n')
      await client.send(byte)
    expect(String((await client.readResponse()).body)).toBe('"split"')
  })
}

function answerSuite(make: MakeEngine): void {
  test('sends status, headers and length', async () => {
    const head = new ResponseHead(201, [
      ['Location', '/v2/a/blobs/x'],
      ['Docker-Content-Digest', 'sha256:ab'],
    ])
    const { port } = await serve(make, (_request, response) => response.send(head, 'made'))
    for (let round = 0; round < 2; round += 1) {
      const answer = await fetchRaw(port, 'PUT', '/')
      expect(answer.text).toMatch(/^HTTP\/1\.1 201 Created\r\n/)
      expect(answer.headers.get('location')).toBe('/v2/a/blobs/x')
      expect(answer.headers.get('docker-content-digest')).toBe('sha256:ab')
      expect(answer.headers.get('content-length')).toBe('4')
      expect(String(answer.body)).toBe('made')
    }
  })

  test('sends bytes, text beyond ASCII and nothing at all', async () => {
    const bodies: Record<string, string | Uint8Array> = {
      '/bytes': Buffer.from([0, 255, 10]).subarray(1),
      '/text': 'é€',
      '/empty': '',
    }
    const served = await serve(make, (request, response) =>
      response.send(new ResponseHead(200, []), bodies[request.path] ?? 'x'),
    )
    const { port } = served
    expect([...(await fetchRaw(port, 'GET', '/bytes')).body]).toEqual([255, 10])
    expect((await fetchRaw(port, 'GET', '/text')).body.toString('utf8')).toBe('é€')
    expect((await fetchRaw(port, 'GET', '/empty')).headers.get('content-length')).toBe('0')
    await until(() => served.exchanges.length === 3)
    expect(served.exchanges.map((exchange) => exchange.bytesSent)).toEqual([2, 5, 0])
  })

  test('HEAD carries the length of the body it leaves out, and the connection goes on', async () => {
    const sources: MemorySource[] = []
    const served = await serve(make, (request, response) => {
      if (request.path === '/send') response.send(ok, 'four')
      else if (request.path === '/none') response.sendHead(ok, undefined)
      else if (request.path === '/stream') {
        sources.push(new MemorySource(Buffer.alloc(9)))
        response.stream(ok, sources[0]!)
      } else response.sendHead(ok, Number(request.query))
    })
    const client = await served.connect()
    const length = async (target: string) => {
      await client.request('HEAD', target)
      return (await client.readResponse('HEAD')).headers.get('content-length')
    }
    expect(await length('/size?0')).toBe('0')
    expect(await length('/size?5000000000')).toBe('5000000000')
    expect(await length('/send')).toBe('4')
    expect(await length('/stream')).toBe('9')
    expect(await length('/none')).toBeUndefined()
    expect(sources.map((source) => source.closes)).toEqual([1])
    await client.request('GET', '/send')
    expect(String((await client.readResponse()).body)).toBe('four')
  })

  test('204 and 304 have neither body nor length nor encoding', async () => {
    const served = await serve(make, (request, response) => {
      const head = new ResponseHead(Number(request.path.slice(1)), [['ETag', '"x"']])
      if (request.query === 'send') response.send(head, 'ignored')
      else response.sendHead(head, undefined)
    })
    const client = await served.connect()
    for (const target of ['/204', '/304', '/204?send', '/304?send']) {
      await client.request('GET', target)
      const { headers, text } = await client.readResponse()
      expect(text).toContain(target.slice(0, 4).replace('/', ' '))
      expect(headers.has('content-length')).toBe(false)
      expect(headers.has('transfer-encoding')).toBe(false)
      expect(headers.get('etag')).toBe('"x"')
    }
  })

  test('late calls do nothing', async () => {
    const late = new MemorySource(Buffer.alloc(5))
    const served = await serve(make, async (request, response) => {
      response.send(ok, 'first')
      response.send(ok, 'second')
      response.sendHead(ok, 3)
      response.stream(ok, late)
      response.startChunked(ok)
      await response.write('x')
      response.end()
      request.pause()
      request.resume()
    })
    const client = await served.connect()
    await client.request('GET', '/')
    expect(String((await client.readResponse()).body)).toBe('first')
    await client.request('GET', '/')
    expect(String((await client.readResponse()).body)).toBe('first')
    expect(late.closes).toBeGreaterThan(0)
    expect(served.errors).toEqual([])
  })

  test('tells each exchange once, with what it came to', async () => {
    const started = deferred()
    const served = await serve(make, async (request, response) => {
      if (request.path === '/wait') {
        started.resolve()
        await new Promise<void>((resolve) => {
          request.signal.addEventListener('abort', () => resolve())
        })
        response.send(ok, 'nobody hears this')
      } else response.send(ok, 'body')
    })
    await fetchRaw(served.port, 'GET', '/done')
    const client = await served.connect()
    await client.request('GET', '/wait')
    await started.promise
    expect(served.engine.openRequests).toBe(1)
    client.abort()
    await until(() => served.exchanges.length === 2)
    await served.settle()
    expect(served.exchanges.slice(0, 2)).toEqual([
      { path: '/done', state: 'done', status: 200, bytesSent: 4 },
      { path: '/wait', state: 'aborted', status: 0, bytesSent: 0 },
    ])
    expect(served.exchanges.filter(({ path }) => path !== '/settle')).toHaveLength(2)
    expect(served.engine.openRequests).toBe(0)
  })
}

function errorSuite(make: MakeEngine): void {
  test('a handler that throws, rejects or forgets to answer gets an answer', async () => {
    const served = await serve(make, (request, response) => {
      if (request.path === '/throw') throw new Error('sync')
      if (request.path === '/forget') return undefined
      if (request.path === '/forget-later') return Promise.resolve()
      if (request.path === '/reject') return Promise.reject(new Error('async'))
      response.send(ok, 'fine')
      throw new Error('after the answer')
    })
    const client = await served.connect()
    const status = async (path: string) => {
      await client.request('GET', path)
      return (await client.readResponse()).status
    }
    expect(await status('/throw')).toBe(500)
    expect(await status('/reject')).toBe(500)
    expect(await status('/forget')).toBe(500)
    expect(await status('/forget-later')).toBe(500)
    expect(await status('/fine')).toBe(200)
    expect(served.errors.map((error) => (error as Error).message)).toEqual([
      'sync',
      'async',
      'handler returned without an answer',
      'handler returned without an answer',
      'after the answer',
    ])
  })
}
