/**
 * @module The engine suite's part about requests that are refused: what two parsers could read
 * differently is request smuggling behind a proxy, so it gets 400 and no further request.
 */
import { expect, test } from 'vitest'
import { type MakeEngine, ok, serve } from './harness.ts'

/** Requests that differ from a good one in their framing alone. */
const faults: Readonly<Record<string, string>> = {
  'Content-Length with Transfer-Encoding':
    'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'two equal Content-Length': 'Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello',
  'two different Content-Length': 'Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!',
  'an empty Content-Length': 'Content-Length:\r\n\r\n',
  'an empty Content-Length with Transfer-Encoding':
    'Transfer-Encoding: chunked\r\nContent-Length:\r\n\r\n0\r\n\r\n',
  'Content-Length with a sign': 'Content-Length: +5\r\n\r\nhello',
  'Content-Length in hexadecimal': 'Content-Length: 0x5\r\n\r\nhello',
  'Content-Length as a list': 'Content-Length: 5, 5\r\n\r\nhello',
  'Content-Length beyond all numbers': 'Content-Length: 99999999999999999999\r\n\r\nhello',
  'Transfer-Encoding: xchunked': 'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
  'Transfer-Encoding: chunked, identity': 'Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n',
  'Transfer-Encoding: identity': 'Transfer-Encoding: identity\r\n\r\n',
  'two lines of Transfer-Encoding':
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'an empty Transfer-Encoding with Content-Length':
    'Transfer-Encoding:\r\nContent-Length: 5\r\n\r\nhello',
  'a space before the colon': 'Content-Length : 5\r\n\r\nhello',
  'a folded header line': 'X-A: 1\r\n folded: 2\r\n\r\n',
}

export function framingSuite(make: MakeEngine): void {
  const paths: string[] = []
  const start = async () => {
    paths.length = 0
    return serve(make, (request, response) => {
      paths.push(request.path)
      response.send(ok, 'served')
    })
  }

  test.each(Object.entries(faults))('%s is refused and closed', async (_name, rest) => {
    const served = await start()
    const client = await served.connect()
    await client.send(`POST /bad HTTP/1.1\r\nHost: a\r\n${rest}`)
    const head = await client.readHead()
    expect(head.status).toBe(400)
    expect(head.headers.get('connection')).toBe('close')
    await client.readToEnd()
    expect(paths).toEqual([])
  })

  test.each(Object.entries(faults))('nothing behind %s is served', async (_name, rest) => {
    const served = await start()
    const client = await served.connect()
    const bad = `POST /bad HTTP/1.1\r\nHost: a\r\n${rest}`
    await client.send(`${bad}DELETE /behind HTTP/1.1\r\nHost: a\r\n\r\n`)
    const text = (await client.readToEnd()).toString('latin1')
    expect(text === '' || text.startsWith('HTTP/1.1 400 ')).toBe(true)
    expect(paths).toEqual([])
  })

  test('bytes beyond visible ASCII in the target are refused', async () => {
    const served = await start()
    for (const target of ['/a\x7f', '/a\xff', '/caf\xc3\xa9', '/a?q=\xff']) {
      const client = await served.connect()
      await client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`)
      expect((await client.readHead()).status).toBe(400)
      await client.readToEnd()
    }
    expect(paths).toEqual([])
  })

  test('control bytes, spaces and other forms in the target are refused', async () => {
    const served = await start()
    const targets = [
      '/a\x01',
      '/a\tb',
      '/a b',
      '*',
      'a',
      'ftp://host/a',
      'http://u@host/a',
      'http:///a',
    ]
    for (const target of targets) {
      const client = await served.connect()
      await client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`)
      expect([400, 505]).toContain((await client.readHead()).status)
      await client.readToEnd()
    }
    expect(paths).toEqual([])
  })

  test('a missing Host and two are refused', async () => {
    const served = await start()
    for (const lines of ['', 'Host: a\r\nHost: b\r\n']) {
      const client = await served.connect()
      await client.send(`GET / HTTP/1.1\r\n${lines}\r\n`)
      expect((await client.readHead()).status).toBe(400)
      await client.readToEnd()
    }
    expect(paths).toEqual([])
  })

  test.each(['HTTP/2.0', 'HTTP/1.2', 'HTTP/0.9'])('%s is refused', async (version) => {
    const served = await start()
    const client = await served.connect()
    await client.send(`GET / ${version}\r\nHost: a\r\n\r\n`)
    expect([400, 505]).toContain((await client.readHead()).status)
    await client.readToEnd()
    expect(paths).toEqual([])
  })

  test('a header block of 40 KiB is read, one of 70 KiB is refused', async () => {
    const served = await start()
    const client = await served.connect()
    await client.request('GET', '/big', [`X-Big: ${'a'.repeat(40 * 1024)}`])
    expect((await client.readResponse()).status).toBe(200)
    await client.request('GET', '/too-big', [`X-Big: ${'a'.repeat(70 * 1024)}`])
    expect((await client.readHead()).status).toBe(431)
    await client.readToEnd()
    expect(paths).toEqual(['/big'])
  })

  test('a refusal carries the body that the registry gives it', async () => {
    const served = await start()
    const client = await served.connect()
    await client.send(
      'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx',
    )
    const { body, headers } = await client.readResponse()
    expect(headers.get('content-type')).toBe('application/json')
    expect(JSON.parse(String(body))).toMatchObject({ errors: [{ code: 'REFUSED' }] })
  })
}
