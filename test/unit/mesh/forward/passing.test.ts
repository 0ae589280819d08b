import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, Socket } from 'node:net'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import {
  encodeHead,
  type ForwardedAnswer,
  type ForwardedRequest,
  forwardPath,
} from '../../../../src/mesh/forward/messages.ts'
import { Passing, type PassingOptions } from '../../../../src/mesh/forward/passing.ts'
import type { PeerCall } from '../../../../src/mesh/peers/listener.ts'
import { systemTime } from '../../../../src/metadata/log/etcd/time.ts'
import { FakeTime } from '../../../support/mesh/fake-time.ts'
import { authorityOf, clientOf, credentialsOf, listen } from '../../../support/mesh/peer-nodes.ts'

const head: ForwardedRequest = {
  id: 'id-1',
  method: 'PATCH',
  path: '/v2/team/app/blobs/uploads/2-00',
  query: '',
  headers: [],
  client: '192.0.2.1',
  scheme: 'http',
  host: 'registry.test',
  isTls: false,
  bodyBytes: 0,
}
const good: ForwardedAnswer = { status: 202, headers: [], sizeBytes: 0, isLast: false }

/** A member that does this with each request, and how one is handed to it. */
async function member(answer: (call: PeerCall) => void | Promise<void>) {
  const authority = await authorityOf()
  const [own, its] = await Promise.all([1, 2].map((number) => credentialsOf(authority, number)))
  const calls: PeerCall[] = []
  let come = () => {}
  const arrived = new Promise<void>((resolve) => {
    come = resolve
  })
  const route = {
    method: 'POST' as const,
    answer: async (call: PeerCall) => {
      calls.push(call)
      call.request.resume()
      come()
      await answer(call)
    },
  }
  const { port } = await listen({ credentials: its!, routes: new Map([[forwardPath, route]]) })
  const client = clientOf(own!, { member: 2, port }, { connectionsMax: 4 })
  const pass = (more: Partial<ForwardedRequest> = {}, options: Partial<PassingOptions> = {}) => {
    const passing = new Passing(
      client,
      { ...head, ...more },
      { time: systemTime, lives: () => true, ...options },
    )
    onTestFinished(() => passing.abort())
    return passing
  }
  return { calls, arrived, pass }
}

const respond = ({ response }: PeerCall, bytes: Uint8Array) => {
  response.writeHead(200).end(bytes)
}

describe('a request on its way to a member', () => {
  test('the answer may come before the end of the body', async () => {
    const { pass } = await member((call) => respond(call, encodeHead(good)))
    const passing = pass({ bodyBytes: 10_000_000 })
    expect(await passing.answer()).toEqual(good)
    passing.close()
  })

  test('a connection is used again when both messages have ended, and only then', async () => {
    const { calls, pass } = await member((call) => respond(call, encodeHead(good)))
    for (const bodyBytes of [0, 0, 5, 0]) {
      const passing = pass({ bodyBytes })
      if (bodyBytes === 0) passing.end()
      await passing.answer()
      for await (const _ of passing.body()) throw new Error('there is no body')
      passing.close()
    }
    const [first, second, third, last] = calls.map(({ request }) => request.socket)
    expect(second).toBe(first)
    expect(third).toBe(first)
    expect(last).not.toBe(first)
  })

  test('small pieces wait for no receipts, at either end', async () => {
    const setNoDelay = vi.spyOn(Socket.prototype, 'setNoDelay')
    onTestFinished(() => setNoDelay.mockRestore())
    const { pass } = await member((call) => respond(call, encodeHead(good)))
    const passing = pass()
    passing.end()
    await passing.answer()
    // Below TLS both are plain sockets.
    const quick = setNoDelay.mock.contexts.filter((_, at) => setNoDelay.mock.calls[at]![0] === true)
    expect(new Set(quick).size).toBeGreaterThanOrEqual(2)
  })

  test('one that has gone silent is given up', async () => {
    const time = new FakeTime()
    const { pass, arrived } = await member(() => new Promise(() => undefined))
    const passing = pass({}, { time, lives: () => false })
    passing.end()
    const answer = expect(passing.answer()).rejects.toMatchObject({ problem: 'silent' })
    await arrived
    await time.advance(10_000)
    await answer
  })

  test('one that lives has the time that it needs', async () => {
    const time = new FakeTime()
    let finish = () => {}
    const { pass, arrived } = await member(async (call) => {
      await new Promise<void>((resolve) => {
        finish = resolve
      })
      respond(call, encodeHead(good))
    })
    const passing = pass({}, { time, lives: () => true })
    passing.end()
    await arrived
    await time.advance(600_000)
    finish()
    expect(await passing.answer()).toEqual(good)
  })

  test('while the client has more to send, nobody asks whether the member lives', async () => {
    const time = new FakeTime()
    const { pass, arrived } = await member((call) => {
      call.request.once('end', () => respond(call, encodeHead(good)))
    })
    const passing = pass({ bodyBytes: 5 }, { time, lives: () => false })
    await arrived
    await time.advance(600_000)
    passing.write(Buffer.from('12345'))
    passing.end()
    expect(await passing.answer()).toEqual(good)
  })

  test('a place where nothing speaks TLS is given up', async () => {
    const server = createServer((socket) => socket.on('error', () => undefined))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const authority = await authorityOf()
    const { port } = server.address() as AddressInfo
    const client = clientOf(await credentialsOf(authority, 1), { member: 2, port })
    const passing = new Passing(client, head, {
      time: systemTime,
      lives: () => true,
      connectMs: 30,
    })
    passing.end()
    await expect(passing.answer()).rejects.toMatchObject({ problem: 'silent' })
  })

  test.each([
    ['no head', Buffer.alloc(0)],
    ['half a head', encodeHead(good).subarray(0, 20)],
    ['a field that nobody knows', encodeHead({ ...good, more: 1 } as ForwardedAnswer)],
    ['a status that is none', encodeHead({ ...good, status: 101 })],
    ['a line end in a header', encodeHead({ ...good, headers: [['X', 'a\r\nSet-Cookie: b']] })],
    ['a length as a header', encodeHead({ ...good, headers: [['Content-Length', '5']] })],
    ['an upgrade', encodeHead({ ...good, headers: [['Upgrade', 'h2c']] })],
  ])('%s is no answer', async (_what, bytes) => {
    const { pass } = await member((call) => respond(call, bytes))
    const passing = pass()
    passing.end()
    await expect(passing.answer()).rejects.toMatchObject({ problem: 'message' })
    passing.close()
  })

  test('an answer that breaks off is told of', async () => {
    const { pass } = await member(({ response }) => {
      response.writeHead(200, { 'Content-Length': 10_000 })
      response.write(encodeHead({ ...good, sizeBytes: 5_000 }), () => response.destroy())
    })
    const passing = pass()
    passing.end()
    const read = async () => {
      await passing.answer()
      for await (const _ of passing.body());
    }
    await expect(read()).rejects.toMatchObject({ problem: 'silent' })
    passing.close()
  })
})
