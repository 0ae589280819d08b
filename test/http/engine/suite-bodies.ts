/** @module The engine suite's part about request bodies: framing, lateness, pressure, aborts. */
import { expect, test } from 'vitest'
import type { HttpRequest } from '../../../src/http/engine/port.ts'
import {
  aborted,
  deferred,
  expectClientGone,
  type MakeEngine,
  MiB,
  ok,
  pattern,
  serve,
  until,
} from './harness.ts'

/** The whole body, with the largest chunk checked against the port's bound. */
async function readWhole(request: HttpRequest): Promise<Buffer> {
  const chunks: Buffer[] = []
  await request.readBody((bytes) => {
    expect(bytes.length).toBeLessThanOrEqual(MiB / 2)
    chunks.push(Buffer.from(bytes))
  })
  return Buffer.concat(chunks)
}

export function bodySuite(make: MakeEngine): void {
  const echo = () =>
    serve(make, async (request, response) => response.send(ok, await readWhole(request)))

  test('reads a body of known length, and the request behind it', async () => {
    const served = await echo()
    const client = await served.connect()
    await client.send('PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello')
    expect(String((await client.readResponse()).body)).toBe('hello')
    const body = pattern(3 * MiB)
    await client.send(`PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`)
    await Promise.all([
      client.send(body),
      client.readResponse().then((answer) => expect(answer.body.equals(body)).toBe(true)),
    ])
    await client.request('GET', '/c')
    expect((await client.readResponse()).body.length).toBe(0)
  })

  test('reads a chunked body in any cut, and an empty one', async () => {
    const served = await echo()
    const client = await served.connect()
    const head = 'PATCH / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'
    await client.send(`${head}5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n`)
    expect(String((await client.readResponse()).body)).toBe('hello world')
    for (const byte of `${head}5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n`) await client.send(byte)
    expect(String((await client.readResponse()).body)).toBe('hello0123456789')
    await client.send(`${head}0\r\n\r\n`)
    expect((await client.readResponse()).body.length).toBe(0)
  })

  test('keeps a body that came before its reader', async () => {
    const arrived = deferred()
    const go = deferred()
    const body = pattern(4 * MiB)
    const served = await serve(make, async (request, response) => {
      arrived.resolve()
      await go.promise
      response.send(ok, await readWhole(request))
    })
    const client = await served.connect()
    await client.send(`PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`)
    const sent = client.send(body)
    await arrived.promise
    await served.settle()
    go.resolve()
    expect((await client.readResponse()).body.equals(body)).toBe(true)
    await sent
    // A small one, whole in the first packet, is kept as well.
    await client.send('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi')
    expect(String((await client.readResponse()).body)).toBe('hi')
  })

  test('pause blocks the sender, resume lets it go on', async () => {
    const paused = deferred<HttpRequest>()
    const sizeBytes = 64 * MiB
    let received = 0
    const served = await serve(make, async (request, response) => {
      await request.readBody((bytes) => {
        if (received === 0) {
          request.pause()
          paused.resolve(request)
        }
        received += bytes.length
      })
      // No-ops after the end: the connection must stay usable.
      request.pause()
      request.resume()
      request.pause()
      response.send(ok, String(received))
    })
    const client = await served.connect()
    await client.send(`PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${sizeBytes}\r\n\r\n`)
    let isSent = false
    const sent = client.send(Buffer.alloc(sizeBytes)).then(() => {
      isSent = true
    })
    const request = await paused.promise
    await served.settle()
    expect(isSent).toBe(false)
    expect(received).toBeLessThanOrEqual(MiB)
    request.resume()
    expect(String((await client.readResponse()).body)).toBe(String(sizeBytes))
    await sent
    await client.request('PUT', '/')
    expect((await client.readResponse()).status).toBe(200)
  })

  test('a client that leaves in mid-body ends the read with ClientGone', async () => {
    for (const leave of ['abort', 'close'] as const) {
      const started = deferred<HttpRequest>()
      const outcome = deferred<unknown>()
      const served = await serve(make, async (request) => {
        const body = request.readBody(() => started.resolve(request))
        await body.catch((error: unknown) => outcome.resolve(error))
        await body
      })
      const client = await served.connect()
      await client.send('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf')
      const request = await started.promise
      const { signal } = request
      client[leave]()
      expectClientGone(await outcome.promise)
      await aborted(signal)
      await request.readBody(() => {}).then(() => expect.fail('read on'), expectClientGone)
      await until(() => served.exchanges.length === 1)
      expect(served.exchanges[0]).toMatchObject({ state: 'aborted', status: 0 })
      expect(served.errors).toEqual([])
    }
  })

  test('a broken chunk ends the read with ClientGone and the connection', async () => {
    const outcome = deferred<unknown>()
    const served = await serve(make, async (request) => {
      await request.readBody(() => {}).catch((error: unknown) => outcome.resolve(error))
    })
    const client = await served.connect()
    await client.send('PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n')
    expectClientGone(await outcome.promise)
    await client.readToEnd()
  })

  test('what the reader throws comes back to the handler', async () => {
    const served = await serve(make, async (request, response) => {
      const error: unknown = await request
        .readBody(() => {
          throw new Error('digest mismatch')
        })
        .catch((reason: unknown) => reason)
      response.send(ok, (error as Error).message)
    })
    const client = await served.connect()
    for (let round = 0; round < 2; round += 1) {
      await client.send('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello')
      expect(String((await client.readResponse()).body)).toBe('digest mismatch')
    }
  })

  test('an early answer reaches a client that is still sending, and what follows is parsed', async () => {
    const refused = async (isAsync: boolean) => {
      const served = await serve(make, (request, response) => {
        if (request.method === 'GET') response.send(ok, 'next')
        else if (!isAsync) response.send(ok, 'early')
        else return Promise.resolve().then(() => response.send(ok, 'early'))
        return undefined
      })
      const client = await served.connect()
      const sizeBytes = 5 * MiB
      await client.send(`PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${sizeBytes}\r\n\r\n`)
      const sent = client.send(Buffer.alloc(sizeBytes, 'GET / HTTP/1.1\r\n'))
      expect(String((await client.readResponse()).body)).toBe('early')
      await sent
      await client.request('GET', '/')
      expect(String((await client.readResponse()).body)).toBe('next')
    }
    await refused(false)
    await refused(true)
  })

  test('an answer from within the reader ends the read', async () => {
    const outcome = deferred<unknown>()
    const served = await serve(make, async (request, response) => {
      await request
        .readBody(() => response.send(ok, 'enough'))
        .then(
          () => outcome.resolve(undefined),
          (error: unknown) => outcome.resolve(error),
        )
    })
    const client = await served.connect()
    await client.send(`PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${MiB}\r\n\r\nstart`)
    expect(String((await client.readResponse()).body)).toBe('enough')
    expectClientGone(await outcome.promise)
    expect(served.errors).toEqual([])
  })

  test('Expect: 100-continue is answered before the body', async () => {
    const served = await echo()
    const client = await served.connect()
    await client.request('PUT', '/', ['Content-Length: 5', 'Expect: 100-continue'])
    expect((await client.readHead()).status).toBe(100)
    await client.send('hello')
    expect(String((await client.readResponse()).body)).toBe('hello')
  })
}
