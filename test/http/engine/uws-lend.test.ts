/** @module Sockets that the engine gives away for the rest of a long body, on uWebSockets.js. */
import { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { restOfBody } from '../../../src/blobs/files/worker/rest-of-body.ts'
import type { HttpRequest } from '../../../src/http/engine/port.ts'
import { UwsEngine } from '../../../src/http/engine/uws/engine.ts'
import { loadUws } from '../../../src/http/engine/uws/loader.ts'
import type { LentEnd, LentSocket } from '../../../src/runtime/lent-socket.ts'
import type { RawClient } from '../../support/raw-http.ts'
import { MiB, ok, pattern, type Served, serve, testTls, until } from './harness.ts'

const load = loadUws()
const canLend = test.skipIf(!load.ok || process.platform !== 'linux')
const bytes = pattern(8 * MiB)

/** Reads what a borrower reads, and no more. */
function borrow(lent: LentSocket, parts: Buffer[]): void {
  const socket = new Socket({ fd: lent.descriptor, allowHalfOpen: true })
  let end: LentEnd = 'gone'
  lent.onCut = () => {
    end = 'cut'
    socket.destroy()
  }
  const rest = restOfBody(lent.rest)
  socket.on('data', (part) => {
    const data = Buffer.from(rest.take(part))
    parts.push(data)
    lent.receivedBytes += data.length
    if (rest.end === undefined) return
    end = rest.end
    socket.destroy()
  })
  socket.on('end', () => socket.destroy())
  socket.on('error', () => {})
  socket.on('close', () => lent.ended(end))
}

interface Lending {
  readonly served: Served
  readonly parts: Buffer[]
  lent: LentSocket | undefined
  request: HttpRequest | undefined
  failure: unknown
  answer: (() => void) | undefined
}

async function sendInChunks(client: RawClient): Promise<void> {
  const chunkBytes = 32_768
  await client.request('PUT', '/', ['Transfer-Encoding: chunked'])
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    const chunk = bytes.subarray(at, at + chunkBytes)
    const size = Buffer.from(`${chunkBytes.toString(16)}\r\n`)
    await client.send(Buffer.concat([size, chunk, Buffer.from('\r\n')]))
  }
  await client.send('0\r\n\r\n')
}

async function lending(
  isTls = false,
  isTrustedProxy?: (address: string) => boolean,
): Promise<Lending> {
  const parts: Buffer[] = []
  const served = await serve(
    (options) =>
      new UwsEngine({ ...options, isTrustedProxy }, load.ok ? load : (undefined as never)),
    async (request, response) => {
      scene.request = request
      scene.answer = () => response.send(ok, 'early')
      try {
        await request.readBody((chunk) => {
          parts.push(Buffer.from(chunk))
          const lent = scene.lent === undefined ? request.lend?.(MiB) : undefined
          if (lent === undefined) return
          scene.lent = lent
          borrow(lent, parts)
        })
      } catch (error) {
        scene.failure = error
        throw error
      }
      response.send(ok, `${request.bytesReceived}`)
    },
    isTls ? { tls: testTls } : {},
  )
  const scene: Lending = {
    served,
    parts,
    lent: undefined,
    request: undefined,
    failure: undefined,
    answer: undefined,
  }
  return scene
}

canLend('the rest of a long body comes to the borrower, and the connection goes on', async () => {
  const scene = await lending()
  const client = await scene.served.connect()
  for (let round = 0; round < 3; round += 1) {
    scene.lent = undefined
    scene.parts.length = 0
    await client.request('PUT', '/', [`Content-Length: ${bytes.length}`])
    await client.send(bytes)
    const { status, headers, body } = await client.readResponse()
    expect([status, body.toString()]).toEqual([200, String(bytes.length)])
    expect(headers.get('content-type')).toBe('text/plain')
    expect(headers.get('date')).toBeDefined()
    expect(scene.lent).toBeDefined()
    expect(Buffer.concat(scene.parts).equals(bytes)).toBe(true)
    expect(scene.request!.remoteAddress).toBe('127.0.0.1')
    await client.request('GET', '/settle')
    expect((await client.readResponse()).status).toBe(200)
  }
  expect(scene.served.engine.openConnections).toBe(1)
  expect(scene.served.engine.openRequests).toBe(0)
})

canLend('of a chunked body it is known how much is left of the chunk that has begun', async () => {
  const scene = await lending()
  const client = await scene.served.connect()
  await sendInChunks(client)
  expect((await client.readResponse()).body.toString()).toBe(String(bytes.length))
  expect(scene.lent?.rest.kind).toBe('chunked')
  expect(Buffer.concat(scene.parts).equals(bytes)).toBe(true)
  await client.request('GET', '/settle')
  expect((await client.readResponse()).status).toBe(200)
})

canLend(
  'of a proxy, which may read chunks in another way, it is the last of the connection',
  async () => {
    const scene = await lending(false, (address) => address === '127.0.0.1')
    const client = await scene.served.connect()
    await sendInChunks(client)
    const { status, headers } = await client.readResponse()
    expect(scene.lent?.rest.kind).toBe('chunked')
    expect([status, headers.get('connection')]).toEqual([200, 'close'])
    await client.closed
  },
)

canLend('nothing is lent of a body that is short or encrypted', async () => {
  const plain = await lending()
  const client = await plain.served.connect()
  await client.request('PUT', '/', [`Content-Length: ${MiB}`])
  await client.send(bytes.subarray(0, MiB))
  expect((await client.readResponse()).status).toBe(200)
  await client.request('PUT', '/', ['Transfer-Encoding: chunked'])
  await client.send(`${MiB.toString(16)}\r\n`)
  await client.send(bytes.subarray(0, MiB))
  await client.send('\r\n0\r\n\r\n')
  expect((await client.readResponse()).status).toBe(200)
  expect(plain.lent).toBeUndefined()
  const secure = await lending(true)
  const other = await secure.served.connect()
  await other.request('PUT', '/', [`Content-Length: ${bytes.length}`])
  await other.send(bytes)
  expect((await other.readResponse()).status).toBe(200)
  expect(secure.lent).toBeUndefined()
})

canLend('a client that leaves ends the request, and its connection', async () => {
  const scene = await lending()
  const client = await scene.served.connect()
  await client.request('PUT', '/', [`Content-Length: ${bytes.length}`])
  await client.send(bytes.subarray(0, 3 * MiB))
  await until(() => scene.lent !== undefined)
  client.close()
  await until(() => scene.failure !== undefined)
  expect(String(scene.failure)).toContain('client closed')
  expect(scene.served.exchanges.at(-1)?.state).toBe('aborted')
  expect(scene.served.engine.openConnections).toBe(0)
})

canLend('an answer before the end arrives, stops the borrower and is the last', async () => {
  const scene = await lending()
  const client = await scene.served.connect()
  await client.request('PUT', '/', [`Content-Length: ${bytes.length}`])
  await client.send(bytes.subarray(0, 3 * MiB))
  await until(() => scene.lent !== undefined)
  scene.answer!()
  const { status, headers } = await client.readResponse()
  expect([status, headers.get('connection')]).toEqual([200, 'close'])
  await until(() => scene.failure !== undefined)
  client.close()
  await until(() => scene.served.engine.openConnections === 0)
})

canLend('an engine that closes lets go of what it has lent', async () => {
  const scene = await lending()
  const client = await scene.served.connect()
  await client.request('PUT', '/', [`Content-Length: ${bytes.length}`])
  await client.send(bytes.subarray(0, 3 * MiB))
  await until(() => scene.lent !== undefined)
  scene.served.engine.close()
  await expect(client.readHead()).rejects.toThrow('connection ended')
  expect(scene.served.engine.openRequests).toBe(0)
  expect(scene.served.engine.openConnections).toBe(0)
})

canLend('an engine that drains answers, and ends the connection', async () => {
  const scene = await lending()
  const client = await scene.served.connect()
  await client.request('PUT', '/', [`Content-Length: ${bytes.length}`])
  await client.send(bytes.subarray(0, 3 * MiB))
  await until(() => scene.lent !== undefined)
  scene.served.engine.stopListening()
  await client.send(bytes.subarray(3 * MiB))
  const { status, headers } = await client.readResponse()
  expect([status, headers.get('connection')]).toEqual([200, 'close'])
  await client.closed
})
