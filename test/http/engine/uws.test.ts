/** @module The engine suite on uWebSockets.js, and what is this adapter's own. */
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { formatAddress } from '../../../src/http/engine/address.ts'
import { loadEngine } from '../../../src/http/engine/load.ts'
import { UwsEngine } from '../../../src/http/engine/uws/engine.ts'
import { loadUws } from '../../../src/http/engine/uws/loader.ts'
import {
  deferred,
  type MakeEngine,
  MemorySource,
  MiB,
  ok,
  pattern,
  serve,
  testTls,
} from './harness.ts'
import { engineSuite } from './suite.ts'

const load = loadUws()

describe.skipIf(!load.ok)('with a binary', () => {
  const make: MakeEngine = (options) => {
    if (!load.ok) throw new Error(load.reason)
    return new UwsEngine(options, load)
  }
  engineSuite('uWebSockets.js', make)

  test.each([
    ['plainly', {}],
    ['over TLS', { tls: testTls }],
  ])('a source may have less ready than the socket has refused, %s', async (_how, address) => {
    const bytes = pattern(12 * MiB + 3)
    /** Everything, and one byte where the window before was not taken whole. */
    class Shrinking extends MemorySource {
      private end = 0
      again = 0
      override ready(offset: number, length: number): number {
        const isAgain = offset !== this.end
        const count = isAgain ? 1 : (super.ready(offset, length) as number)
        if (isAgain) this.again += 1
        this.end = offset + count
        return count
      }
    }
    const source = new Shrinking(bytes)
    const served = await serve(make, (_request, response) => response.stream(ok, source), address)
    const client = await served.connect()
    await client.request('GET', '/')
    await client.readHead()
    for (let at = 0; at < bytes.length; at += 256 * 1024) {
      // So that the socket is full again and again.
      await served.settle()
      const piece = await client.readBytes(Math.min(256 * 1024, bytes.length - at))
      expect(piece.equals(bytes.subarray(at, at + piece.length))).toBe(true)
    }
    expect(source.again).toBeGreaterThan(0)
  })

  test('on a connection in use, a request behind an unanswered one ends it and is not served', async () => {
    const outcome = deferred<AbortSignal>()
    const paths: string[] = []
    const served = await serve(make, async (request, response) => {
      paths.push(request.path)
      const { signal } = request
      await new Promise((resolve) => setImmediate(resolve))
      response.send(ok, 'late')
      if (request.path === '/1') outcome.resolve(signal)
    })
    const client = await served.connect()
    await client.request('GET', '/0')
    await client.readResponse()
    await client.send('GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n')
    expect((await client.readToEnd()).length).toBe(0)
    expect((await outcome.promise).aborted).toBe(true)
    expect(paths).toEqual(['/0', '/1'])
  })

  test.each(['GET /2 HTTP/1.0', 'GET http://a/2 HTTP/1.1', 'OPTIONS * HTTP/1.1'])(
    'a connection in use that goes on with %s is refused in JSON, and closed',
    async (line) => {
      const served = await serve(make, (request, response) => response.send(ok, request.path))
      const client = await served.connect()
      await client.request('GET', '/1')
      await client.readResponse()
      await client.send(`${line}\r\nHost: a\r\n\r\n`)
      const { status, headers, body } = await client.readResponse()
      expect(status).toBe(505)
      expect(headers.get('connection')).toBe('close')
      expect(JSON.parse(String(body)).errors[0].message).toMatch(/proxy_http_version 1\.1/)
      await client.readToEnd()
    },
  )

  test('a trusted proxy that offers no protocol over TLS may speak HTTP/1.0', async () => {
    for (const isTrusted of [true, false]) {
      const served = await serve(
        (options) => make({ ...options, isTrustedProxy: () => isTrusted }),
        (request, response) => response.send(ok, `${request.remoteAddress} ${request.isTls}`),
        { tls: testTls },
      )
      const client = await served.connect()
      await client.send('GET / HTTP/1.0\r\n\r\n')
      const { status, body } = await client.readResponse()
      expect(status).toBe(isTrusted ? 200 : 505)
      if (isTrusted) expect(String(body)).toBe('127.0.0.1 true')
    }
  })

  test('connections from one port of two addresses are told apart', async () => {
    const served = await serve(make, (request, response) =>
      response.send(ok, request.remoteAddress),
    )
    const first = await served.connect()
    const { localPort } = first.socket
    const other = connect({
      port: served.port,
      host: '127.0.0.1',
      localAddress: '127.0.0.2',
      localPort: localPort!,
    })
    const answer = new Promise<string>((resolve) => {
      other.once('data', (bytes) => resolve(String(bytes)))
    })
    for (let round = 0; round < 2; round += 1) {
      await first.request('GET', '/')
      expect(String((await first.readResponse()).body)).toBe('127.0.0.1')
      if (round === 0) other.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      expect(await answer).toMatch(/\r\n\r\n127\.0\.0\.2$/)
    }
    other.destroy()
  })

  test('auto takes it and says which binary runs', async () => {
    const { engine, notice, isFallback } = await loadEngine('auto', {
      handler: () => {},
      onError: () => {},
      refusal: () => ({ head: ok, body: '' }),
      maxConnections: 400,
      idleTimeoutMs: 120_000,
      onExchange: () => {},
    })
    expect(engine.kind).toBe('uws')
    expect(notice).toMatch(/^uWebSockets\.js 20\.\d+\.\d+ serves \(uWebSockets\.js-node\d+/)
    expect(isFallback).toBe(false)
    engine.close()
  })
})

test('the loader says why nothing loads', () => {
  expect(loadUws('18.20.0')).toEqual({
    ok: false,
    reason: 'there is no binary for Node 18 (there are for 20, 22, 24, 26)',
  })
  const other = process.versions.node.startsWith('26.') ? '24.0.0' : '26.0.0'
  const refused = loadUws(other)
  expect(refused.ok).toBe(false)
  if (!refused.ok) expect(refused.reason).toMatch(/^uWebSockets\.js-node2\d: Cannot find module/)
})

test('addresses are written short', () => {
  const text = (hex: string) => formatAddress(Buffer.from(hex, 'hex'))
  expect(text('7f000001')).toBe('127.0.0.1')
  expect(text('00000000000000000000ffffc0000201')).toBe('192.0.2.1')
  expect(text('00000000000000000000000000000001')).toBe('::1')
  expect(text('00000000000000000000000000000000')).toBe('::')
  expect(text('20010db8000000000000000000000010')).toBe('2001:db8::10')
  expect(text('20010db8000000010000000000000000')).toBe('2001:db8:0:1::')
  expect(text('fe800000000000000a0b00000000000c')).toBe('fe80::a0b:0:0:c')
  expect(text('00010002000300040005000600070000')).toBe('1:2:3:4:5:6:7:0')
  expect(text('')).toBe('')
})
