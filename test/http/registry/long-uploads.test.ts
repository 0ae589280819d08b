/**
 * @module Uploads so long that a worker reads the rest from the socket: nobody sees a difference, whatever
 * the client does, and the connection goes on.
 */
import { describe, expect, test } from 'vitest'
import { describeRegistry, until } from '../../support/in-process.ts'
import { expectStatus, sha256, someBytes } from '../../support/registry-client.ts'

const lengthBytes = 8_000_000
const content = someBytes(lengthBytes)
const digest = sha256(content)
const patch = (location: string, more: readonly string[] = []) =>
  [`PATCH ${location} HTTP/1.1`, 'Host: a', `Content-Length: ${lengthBytes}`, ...more].join('\r\n')

describeRegistry('long uploads', {}, (registry, engine) => {
  const offsetOf = async (location: string) => {
    const { headers } = await registry().client.get(location)
    const last = Number(headers['range']!.split('-')[1])
    // An empty session has the range 0-0.
    return last === 0 ? 0 : last + 1
  }

  test('stay on their connection, and what comes right behind the body is the next request', async () => {
    const location = await registry().client.open('app')
    const raw = await registry().connect()
    const put = `PUT ${location}?digest=${digest} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`
    await raw.send(`${patch(location)}\r\n\r\n`)
    await raw.send(Buffer.concat([content, Buffer.from(put)]))
    const patched = await raw.readResponse()
    expect(patched.status).toBe(202)
    expect(patched.headers.get('range')).toBe(`0-${lengthBytes - 1}`)
    expect(patched.headers.get('connection')).not.toBe('close')
    expect((await raw.readResponse()).status).toBe(201)
    await raw.send(`HEAD /v2/app/blobs/${digest} HTTP/1.1\r\nHost: a\r\n\r\n`)
    const head = await raw.readHead()
    expect(head.headers.get('content-length')).toBe(String(lengthBytes))
    raw.close()
  })

  test('one after the other on one connection, and many on many at once, do not mix', async () => {
    await Promise.all(
      Array.from({ length: 10 }, async (_, number) => {
        const raw = await registry().connect()
        for (let round = 0; round < 3; round += 1) {
          const bytes = Buffer.concat([Buffer.from(`${number} ${round}`), content])
          const name = sha256(bytes)
          const location = await registry().client.open('app')
          const length = `Content-Length: ${bytes.length}`
          await raw.send(`PUT ${location}?digest=${name} HTTP/1.1\r\nHost: a\r\n${length}\r\n\r\n`)
          await raw.send(bytes)
          expect((await raw.readResponse()).status).toBe(201)
        }
        raw.close()
      }),
    )
  })

  /** A chunked body as Go's clients send it, and others. */
  const chunked = (bytes: Buffer, chunkBytes: number, end = '0\r\n\r\n') => {
    const parts: Buffer[] = []
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      const chunk = bytes.subarray(at, at + chunkBytes)
      parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n'))
    }
    return Buffer.concat([...parts, Buffer.from(end)])
  }
  const chunkedPatch = (location: string) =>
    `PATCH ${location} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`

  test.each([1_000, 4_096, 32_768, 65_536, 300_000, 1_048_576, lengthBytes])(
    'in chunks of %i bytes are whole, and their connection goes on',
    async (chunkBytes) => {
      const raw = await registry().connect()
      for (let round = 0; round < 2; round += 1) {
        const bytes = Buffer.concat([Buffer.from(`${chunkBytes} ${round}`), content])
        const location = await registry().client.open('app')
        await raw.send(chunkedPatch(location))
        await raw.send(chunked(bytes, chunkBytes))
        const patched = await raw.readResponse()
        expect([patched.status, patched.headers.get('range')]).toEqual([
          202,
          `0-${bytes.length - 1}`,
        ])
        await raw.send(
          `PUT ${location}?digest=${sha256(bytes)} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`,
        )
        expect((await raw.readResponse()).status).toBe(201)
      }
      raw.close()
    },
  )

  test('in chunks that are broken end their connection, and nothing counts', async () => {
    const location = await registry().client.open('app')
    const raw = await registry().connect()
    const body = chunked(content, 32_768)
    // Within the size of a chunk behind the middle.
    body[body.indexOf('\r\n8000\r\n', 5_000_000) + 3] = 'x'.charCodeAt(0)
    await raw.send(chunkedPatch(location))
    await raw.send(body).catch(() => undefined)
    await raw.readResponse().catch(() => undefined)
    await until(async () => {
      const free = await registry().client.request('PATCH', location, { body: Buffer.alloc(0) })
      return free.status === 202
    })
    expect(await offsetOf(location)).toBe(0)
    raw.close()
  })

  test('in chunks with something behind them are taken, and it is never carried out', async () => {
    const location = await registry().client.open('app')
    const raw = await registry().connect()
    const smuggled = `DELETE ${location} HTTP/1.1\r\nHost: a\r\n\r\n`
    await raw.send(chunkedPatch(location))
    await raw.send(chunked(content, 32_768, `0\r\nX-Trailer: 1\r\n\r\n${smuggled}`))
    await raw.readResponse().catch(() => undefined)
    await raw.readHead().catch(() => undefined)
    // On the node engine, which takes requests one after the other, it is a request.
    if (engine === 'uws') expect((await registry().client.get(location)).status).toBe(204)
    raw.close()
  })

  test('of other bytes than the digest says are refused, and the connection goes on', async () => {
    const location = await registry().client.open('app')
    const raw = await registry().connect()
    const wrong = sha256(Buffer.from('other'))
    await raw.send(
      `PUT ${location}?digest=${wrong} HTTP/1.1\r\nHost: a\r\nContent-Length: ${lengthBytes}\r\n\r\n`,
    )
    await raw.send(content)
    const refused = await raw.readResponse()
    expect(refused.status).toBe(400)
    expect(refused.body.toString()).toContain('DIGEST_INVALID')
    await raw.send('GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n')
    expect((await raw.readResponse()).status).toBe(200)
    raw.close()
  })

  describe.each([
    { of: 'a chunk with a range', lines: [`Content-Range: 0-${lengthBytes - 1}`], kept: 5_000_000 },
    { of: 'a stream', lines: [], kept: 0 },
  ])('$of', ({ lines, kept }) => {
    test.each(['ends', 'breaks'])(
      'keeps what it should when its client %s the connection',
      async (how) => {
        const location = await registry().client.open('app')
        const raw = await registry().connect()
        await raw.send(`${patch(location, lines)}\r\n\r\n`)
        await raw.send(content.subarray(0, 5_000_000))
        if (how === 'ends') raw.socket.end()
        else raw.abort()
        // One that breaks may take bytes with it that were not read yet, and node:http drops what it has
        // buffered when a client ends in the middle of a body.
        let offset = -1
        await until(async () => {
          const free = await registry().client.request('PATCH', location, { body: Buffer.alloc(0) })
          offset = await offsetOf(location)
          return free.status === 202 && (how === 'breaks' || engine === 'node' || offset === kept)
        })
        expect(offset).toBeLessThanOrEqual(kept)
        const done = await registry().client.request('PUT', `${location}?digest=${digest}`, {
          body: content.subarray(offset),
          headers: { 'Content-Range': `${offset}-${lengthBytes - 1}` },
        })
        expectStatus(done, 201, 'the rest')
      },
    )
  })

  test('that come slowly, in odd pieces, are whole', async () => {
    const location = await registry().client.open('app')
    const raw = await registry().connect()
    await raw.send(
      `PUT ${location}?digest=${digest} HTTP/1.1\r\nHost: a\r\nContent-Length: ${lengthBytes}\r\n\r\n`,
    )
    for (let at = 0, step = 1; at < lengthBytes; at += step, step = Math.min(777_777, 3 * step)) {
      await raw.send(content.subarray(at, at + step))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect((await raw.readResponse()).status).toBe(201)
    raw.close()
  })

  test('leave no connection behind, nor forget one that is there', async () => {
    const count = async () => {
      const { text } = await registry().client.get('/metrics')
      return Number(/^fastregistry_open_connections (\d+)$/m.exec(text)![1])
    }
    const before = await count()
    const clients = await Promise.all(
      Array.from({ length: 5 }, async () => {
        const location = await registry().client.open('app')
        const raw = await registry().connect()
        await raw.send(`${patch(location)}\r\n\r\n`)
        await raw.send(content)
        expect((await raw.readResponse()).status).toBe(202)
        return raw
      }),
    )
    expect(await count()).toBeGreaterThanOrEqual(clients.length)
    for (const raw of clients) raw.close()
    await until(async () => (await count()) <= before)
  })

  test('nothing of all this was a fault', () => {
    expect(registry().faults).toEqual([])
  })
})
