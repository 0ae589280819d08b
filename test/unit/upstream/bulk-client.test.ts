/**
 * GETs on raw sockets, against a server that says what it is told to, byte by byte.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Answer, HttpClient, readBody } from '../../../src/upstream/client.ts'
import { Slots } from '../../../src/upstream/slots.ts'

let server: Server
let client: HttpClient
let slots: Slots
let url: URL
let connections: Socket[]
let requests: string[]
/** Called with each request; `count` is its number on this connection. */
let reply: (socket: Socket, count: number) => void

beforeEach(async () => {
  connections = []
  requests = []
  server = createServer((socket) => {
    connections.push(socket)
    let count = 0
    socket.on('error', () => undefined)
    socket.on('data', (bytes) => {
      requests.push(bytes.toString())
      count += 1
      reply(socket, count)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = new URL(`http://127.0.0.1:${(server.address() as { port: number }).port}/v2/a/blobs/b?x=y`)
  client = await open()
})

afterEach(async () => {
  await client.close()
  for (const socket of connections) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
})

function open(connections = 4): Promise<HttpClient> {
  slots = new Slots(connections)
  return HttpClient.open({
    caFile: undefined,
    proxy: undefined,
    connectMs: 1000,
    firstByteMs: 500,
    stallMs: 300,
  })
}

function get(headers: Record<string, string> = {}): Promise<Answer> {
  const deadline = performance.now() + 5000
  return client.send({ method: 'GET', url, headers, deadline, isBulk: true, reach: 'any', slots })
}

async function text(): Promise<string> {
  return (await readBody(await get(), 1e6)).toString()
}

const failing = (kind: string) => expect.objectContaining({ kind })

describe('a GET of a blob', () => {
  test('sends one request and reads the length that is promised', async () => {
    reply = (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello')
    const answer = await get({ Range: 'bytes=0-' })
    expect(answer.status).toBe(200)
    expect((await readBody(answer, 10)).toString()).toBe('hello')
    expect(requests[0]).toBe(
      `GET /v2/a/blobs/b?x=y HTTP/1.1\r\nHost: ${url.host}\r\nRange: bytes=0-\r\nConnection: keep-alive\r\n\r\n`,
    )
  })

  test('reads chunks, and bodies that end with the connection', async () => {
    reply = (socket) =>
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n')
    expect(await text()).toBe('abc')
    reply = (socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nto the end')
    expect(await text()).toBe('to the end')
  })

  test('takes a head that comes byte by byte, after interim answers', async () => {
    const wire =
      'HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
    reply = (socket) => {
      let at = 0
      const more = () => {
        if (at === wire.length) return
        socket.write(wire[at++]!)
        setImmediate(more)
      }
      more()
    }
    expect(await text()).toBe('ok')
  })

  test('uses a connection again', async () => {
    reply = (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    for (let count = 0; count < 3; count += 1) expect(await text()).toBe('ok')
    expect(connections).toHaveLength(1)
  })

  test('asks anew when a connection that is used again is closed at that moment', async () => {
    reply = (socket, count) => {
      if (count === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      else socket.destroy()
    }
    expect(await text()).toBe('ok')
    expect(await text()).toBe('ok')
    expect(connections).toHaveLength(2)
  })

  test('does not use a connection again that has said more than it was asked', async () => {
    reply = (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more')
    expect(await text()).toBe('ok')
    expect(await text()).toBe('ok')
    expect(connections).toHaveLength(2)
  })

  test('pauses, and goes on where it was', async () => {
    const body = 'x'.repeat(8 * 1024 * 1024)
    reply = (socket) =>
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    const { body: answer } = await get()
    let came = 0
    let sincePause = 0
    let isPaused = false
    await answer.read((bytes) => {
      came += bytes.byteLength
      if (isPaused) sincePause += bytes.byteLength
      if (isPaused || came < 1024 * 1024 || came > 2 * 1024 * 1024) return
      isPaused = true
      answer.pause()
      setTimeout(() => {
        expect(sincePause).toBe(0)
        isPaused = false
        answer.resume()
      }, 50)
    })
    expect(came).toBe(body.length)
  })

  test('waits for its turn when enough are under way', async () => {
    await client.close()
    client = await open(1)
    let open_ = 0
    let most = 0
    reply = (socket) => {
      open_ += 1
      most = Math.max(most, open_)
      setTimeout(() => {
        open_ -= 1
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      }, 20)
    }
    expect(await Promise.all([text(), text(), text()])).toEqual(['ok', 'ok', 'ok'])
    expect(most).toBe(1)
  })

  test.each([
    ['closes at once', 'reset', (socket: Socket) => socket.destroy()],
    ['says nothing', 'timeout', () => undefined],
    ['speaks another protocol', 'garbage', (socket: Socket) => socket.write('220 mail\r\n\r\n')],
    [
      'sends a head without end',
      'garbage',
      (socket: Socket) => socket.write(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}`),
    ],
    [
      'switches protocols',
      'garbage',
      (socket: Socket) => socket.write('HTTP/1.1 101 Now\r\nUpgrade: x\r\n\r\n'),
    ],
  ])('fails when the other side %s', async (_what, kind, act) => {
    reply = act
    await expect(get()).rejects.toEqual(failing(kind))
  })

  test.each([
    ['breaks off', 'reset', (socket: Socket) => void setTimeout(() => socket.destroy(), 20)],
    ['stalls', 'stall', () => undefined],
  ])('fails when a body %s', async (_what, kind, act) => {
    reply = (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello')
      act(socket)
    }
    const { body } = await get()
    await expect(body.read(() => undefined)).rejects.toEqual(failing(kind))
  })

  test('refuses a header that would end its line', async () => {
    reply = () => undefined
    await expect(get({ Authorization: 'Bearer a\r\nX: y' })).rejects.toEqual(failing('garbage'))
    expect(requests).toEqual([])
  })

  test('never goes to a link-local or metadata address', async () => {
    for (const isBulk of [true, false]) {
      const target = new URL('http://169.254.169.254/latest/meta-data')
      const deadline = performance.now() + 500
      const asked = client.send({
        method: 'GET',
        url: target,
        headers: {},
        deadline,
        isBulk,
        slots,
        reach: 'any',
      })
      await expect(asked).rejects.toEqual(failing('redirect'))
    }
  })

  test('ends when it is given up', async () => {
    reply = (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello')
    const { body } = await get()
    const closed = new Promise((resolve) => connections[0]!.once('close', resolve))
    body.abort()
    await expect(body.read(() => undefined)).rejects.toEqual(failing('reset'))
    await closed
  })
})
