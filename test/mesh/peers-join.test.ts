/** @module Joins over real connections on 127.0.0.1: who becomes a member, and who is refused with which words. */
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import { makeMemberKey } from '../../src/mesh/identity/authority.ts'
import { parseSecrets } from '../../src/mesh/identity/secret.ts'
import { tlsOf } from '../../src/mesh/peers/credentials.ts'
import { type JoiningNode, joinRoute } from '../../src/mesh/peers/join/answer.ts'
import { askToJoin, type JoinOptions } from '../../src/mesh/peers/join/ask.ts'
import type { PeerRoute } from '../../src/mesh/peers/listener.ts'
import { paths } from '../../src/mesh/peers/messages.ts'
import { systemTime } from '../../src/metadata/log/etcd/time.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { systemRandom } from '../../src/runtime/random.ts'
import { ShiftedClock } from '../support/fake-clock.ts'
import { authorityOf, clientOf, credentialsOf, LOG, listen } from '../support/mesh/peer-nodes.ts'

const SECRET = 'the secret of the mesh'
const OTHER = 'another secret of a mesh'

const echo: PeerRoute = {
  method: 'GET',
  answer({ caller, response }) {
    response.end(String(caller))
    return Promise.resolve()
  },
}

/** A cluster of one member, which takes whoever may join as member 2. */
async function cluster(secrets = SECRET) {
  const authority = await authorityOf()
  const joined: JoiningNode[] = []
  const join = joinRoute({
    secrets: parseSecrets(secrets),
    authority: authority.certificate,
    clock: systemClock,
    random: systemRandom,
    time: systemTime,
    of: {
      cluster: 'main',
      level: () => 3,
      async onJoin(node) {
        joined.push(node)
        const certificate = await authority.issue(2, node.publicKey)
        return { member: 2, by: 1, certificate, log: LOG, endpoints: ['127.0.0.1:7948'] }
      },
    },
  })
  const credentials = await credentialsOf(authority, 1)
  const routes = new Map([
    [paths.join, join],
    ['/internal/v1/echo', echo],
  ])
  const listener = await listen({ credentials, routes })
  return { authority, joined, listener, credentials }
}

function joining(port: number, change: Partial<JoinOptions> = {}): JoinOptions {
  return {
    address: `127.0.0.1:${port}`,
    secrets: parseSecrets(SECRET),
    name: 'node-b',
    advertise: '127.0.0.1:7946',
    zone: '',
    weight: 1,
    publicKey: makeMemberKey().publicKey,
    level: 3,
    hasData: false,
    claims: false,
    clock: systemClock,
    random: systemRandom,
    time: systemTime,
    ...change,
  }
}

describe('a node that knows the secret', () => {
  test('becomes a member, whose certificate is good at once', async () => {
    const { listener, joined, authority } = await cluster()
    const { publicKey, privateKey } = makeMemberKey()
    const got = await askToJoin(joining(listener.port, { publicKey }))
    if (got.is === 'none') throw new Error('no member')
    expect(got).toMatchObject({
      by: 1,
      cluster: 'main',
      member: 2,
      log: LOG,
      endpoints: ['127.0.0.1:7948'],
    })
    expect(got.authority).toBe(authority.certificate)
    const wish = { advertise: '127.0.0.1:7946', zone: '', weight: 1, level: 3 }
    expect(joined).toEqual([{ name: 'node-b', ...wish, witness: false, publicKey }])
    const client = clientOf({ ...got, privateKey }, { member: 1, port: listener.port })
    const answer = await client.get('/internal/v1/echo')
    let text = ''
    for await (const piece of answer) text += String(piece)
    expect(text).toBe('2')
  })

  test.each([
    ['the cluster has two', `${SECRET}\n${OTHER}`, OTHER],
    ['the node has two', SECRET, `${OTHER}\n${SECRET}`],
    ['both have two, in another order', `${SECRET}\n${OTHER}`, `${OTHER}\n${SECRET}`],
  ])('joins while the secret is changed: %s', async (_what, theirs, own) => {
    const { listener, joined } = await cluster(theirs)
    await askToJoin(joining(listener.port, { secrets: parseSecrets(own) }))
    expect(joined).toHaveLength(1)
  })
})

test('a node that is no member says so, and which nodes are to found the mesh', async () => {
  const authority = await authorityOf('pending')
  const founders = ['127.0.0.1:7946', '127.0.0.1:7956']
  const voters: string[] = []
  const parts = {
    clock: systemClock,
    random: systemRandom,
    time: systemTime,
    of: {
      founders,
      hasData: true,
      vote: async (address: string) => {
        voters.push(address)
        return true
      },
    },
  }
  const secrets = parseSecrets(SECRET)
  const join = joinRoute({ secrets, authority: authority.certificate, ...parts })
  const credentials = await credentialsOf(authority, 1)
  const listener = await listen({ credentials, routes: new Map([[paths.join, join]]) })
  expect(await askToJoin(joining(listener.port))).toEqual({
    is: 'none',
    founders,
    hasData: true,
    vote: false,
  })
  expect(voters).toEqual([])
  expect(await askToJoin(joining(listener.port, { claims: true }))).toMatchObject({ vote: true })
  expect(voters).toEqual(['127.0.0.1:7946'])
  const asked = askToJoin(joining(listener.port, { secrets: parseSecrets(OTHER) }))
  await expect(asked).rejects.toMatchObject({ problem: 'secret' })
})

describe('a node is refused', () => {
  test('with another secret', async () => {
    const { listener, joined } = await cluster()
    const asked = askToJoin(joining(listener.port, { secrets: parseSecrets(OTHER) }))
    await expect(asked).rejects.toMatchObject({
      problem: 'secret',
      message: expect.stringContaining('use the same on all nodes') as unknown,
    })
    expect(joined).toEqual([])
  })

  test('with the name of another cluster', async () => {
    const { listener, joined } = await cluster()
    const asked = askToJoin(joining(listener.port, { cluster: 'other' }))
    await expect(asked).rejects.toMatchObject({ problem: 'cluster' })
    expect(joined).toEqual([])
    await askToJoin(joining(listener.port, { cluster: 'main' }))
  })

  test('with an older program', async () => {
    const { listener, joined } = await cluster()
    const asked = askToJoin(joining(listener.port, { level: 2 }))
    await expect(asked).rejects.toMatchObject({
      problem: 'level',
      message: expect.stringContaining('update it') as unknown,
    })
    expect(joined).toEqual([])
  })

  test('with data of its own', async () => {
    const { listener, joined } = await cluster()
    const asked = askToJoin(joining(listener.port, { hasData: true }))
    await expect(asked).rejects.toMatchObject({ problem: 'data' })
    expect(joined).toEqual([])
  })

  test('with a clock that is wrong', async () => {
    const { listener, joined } = await cluster()
    const clock = new ShiftedClock()
    clock.advance(301_000)
    const asked = askToJoin(joining(listener.port, { clock }))
    await expect(asked).rejects.toMatchObject({
      problem: 'clock',
      message: expect.stringMatching(/30[01] seconds ahead/) as unknown,
    })
    expect(joined).toEqual([])
  })

  test('with a key that is none', async () => {
    const { listener } = await cluster()
    const asked = askToJoin(joining(listener.port, { publicKey: Buffer.alloc(91) }))
    await expect(asked).rejects.toMatchObject({ problem: 'message' })
  })
})

/** One in the middle, or a false peer: answers the steps of a join as the test says, by any certificate. */
async function falsePeer(answer: (body: Record<string, string>) => unknown): Promise<number> {
  const credentials = await credentialsOf(await authorityOf('false'), 1)
  const server = createServer(tlsOf(credentials), (request, response) => {
    let text = ''
    request.on('data', (piece) => {
      text += String(piece)
    })
    request.on('end', () => {
      void Promise.resolve(answer(JSON.parse(text) as Record<string, string>)).then((it) =>
        response.end(JSON.stringify(it)),
      )
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

describe('a peer is not believed', () => {
  test('that does not know the secret', async () => {
    const authority = await authorityOf()
    const port = await falsePeer(({ step }) => {
      if (step === 'hello') {
        const { certificate } = authority
        return { challenge: 'a'.repeat(32), nonce: 'b'.repeat(64), authority: certificate }
      }
      const grant = { is: 'none', founders: [], hasData: false, vote: false }
      return { grant: JSON.stringify(grant), proof: 'c'.repeat(64) }
    })
    await expect(askToJoin(joining(port))).rejects.toMatchObject({
      problem: 'secret',
      message: expect.stringContaining('does not know the secret') as unknown,
    })
  })

  test('that passes all on between the node and a true one', async () => {
    const { listener, joined } = await cluster()
    const port = await falsePeer((body) => post(listener.port, body))
    await expect(askToJoin(joining(port))).rejects.toMatchObject({ problem: 'message' })
    expect(joined).toEqual([])
  })

  test.each(['no JSON', '{}', '[]', '{"challenge":1}', `{"x":"${'x'.repeat(40_000)}"}`])(
    'that answers %.20s',
    async (text) => {
      const port = await falsePeer(() => JSON.parse('null') as unknown)
      const odd = await falsePeer(() => text)
      for (const one of [port, odd]) {
        await expect(askToJoin(joining(one))).rejects.toMatchObject({
          problem: expect.stringMatching(/^(message|too-large)$/) as unknown,
        })
      }
    },
  )
})

/** Posts a step of a join, and resolves with what comes back; `{status}` beside it. */
async function post(port: number, body: unknown): Promise<Record<string, unknown>> {
  const { status, text } = await postRaw(port, JSON.stringify(body))
  return { ...(JSON.parse(text) as object), status }
}

function postRaw(port: number, body: string): Promise<{ status: number; text: string }> {
  return send(port, `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}

/** Sends what follows the first headers, and resolves when the connection has ended. */
async function send(port: number, rest: string): Promise<{ status: number; text: string }> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false })
  onTestFinished(() => void socket.destroy())
  const head = `POST ${paths.join} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n`
  socket.write(head + rest)
  let answer = ''
  socket.on('data', (piece) => {
    answer += String(piece)
  })
  socket.on('error', () => undefined)
  await new Promise((resolve) => socket.once('close', resolve))
  const status = Number(answer.slice(9, 12))
  return { status, text: answer.slice(answer.indexOf('\r\n\r\n') + 4) }
}

describe('the path of joins', () => {
  const hello = { step: 'hello', name: 'node-b', nonce: 'a'.repeat(64) }

  test('takes an answer to a challenge once, right or wrong', async () => {
    const { listener } = await cluster()
    const { challenge } = await post(listener.port, hello)
    const ask = { step: 'ask', challenge, wish: '{}', proof: 'b'.repeat(64) }
    expect(await post(listener.port, ask)).toMatchObject({ status: 403 })
    expect(await post(listener.port, ask)).toMatchObject({
      status: 409,
      errors: [{ code: 'handshake' }],
    })
  })

  test('says nothing of who is a member before the proof', async () => {
    const { listener, authority } = await cluster()
    const said = await post(listener.port, hello)
    expect(new Set(Object.keys(said))).toEqual(
      new Set(['authority', 'challenge', 'nonce', 'status']),
    )
    expect(said['authority']).toBe(authority.certificate)
  })

  test.each([
    '',
    'no JSON',
    '{}',
    '{"step":"other"}',
    JSON.stringify({ ...hello, more: 1 }),
    JSON.stringify({ ...hello, name: 'a b' }),
    JSON.stringify({ ...hello, name: 'x'.repeat(65) }),
    JSON.stringify({ ...hello, nonce: 'a'.repeat(62) }),
    JSON.stringify({ ...hello, nonce: 'A'.repeat(64) }),
    `${JSON.stringify(hello)}x`,
  ])('refuses %s', async (body) => {
    const { listener } = await cluster()
    expect(await postRaw(listener.port, body)).toMatchObject({ status: 400 })
  })

  test('refuses a body that is too large before it has come', async () => {
    const { listener } = await cluster()
    const { status, text } = await send(listener.port, 'Content-Length: 40000\r\n\r\n')
    expect(status).toBe(413)
    expect(text).toContain('too-large')
  })

  test('refuses a body that is too large and has not said so', async () => {
    const { listener } = await cluster()
    const chunk = `2000\r\n${' '.repeat(0x2000)}\r\n`
    const { status } = await send(
      listener.port,
      `Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(5)}`,
    )
    expect([413, Number.NaN, 0]).toContain(status)
  })
})
