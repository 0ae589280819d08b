/**
 * @module Peers over real connections on 127.0.0.1: who is let in, streams that live and die, tails and
 * snapshots from one node to another.
 */
import { connect as connectTcp } from 'node:net'
import { connect } from 'node:tls'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Credentials, tlsOf } from '../../src/mesh/peers/credentials.ts'
import type { PeerRoute } from '../../src/mesh/peers/listener.ts'
import { paths } from '../../src/mesh/peers/messages.ts'
import { FakeClock } from '../support/fake-clock.ts'
import {
  authorityOf,
  clientOf,
  credentialsOf,
  LinkedNode,
  LOG,
  listen,
} from '../support/mesh/peer-nodes.ts'
import { TcpProxy } from '../support/mesh/tcp-proxy.ts'

const until = (claim: () => void) => vi.waitFor(claim, { timeout: 10_000, interval: 5 })

/** Answers with what the listener knows of the caller. */
const echo: PeerRoute = {
  method: 'GET',
  answer({ caller, response }) {
    response.end(String(caller))
    return Promise.resolve()
  },
}

const routes = new Map([['/internal/v1/echo', echo]])

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = []
  for await (const piece of body) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

/** A member with the number 1 listens; another one with the number 2 asks. */
async function pair(options: Partial<Parameters<typeof listen>[0]> = {}) {
  const authority = await authorityOf()
  const [own, other] = [await credentialsOf(authority, 1), await credentialsOf(authority, 2)]
  const listener = await listen({ credentials: own, routes, ...options })
  const client = clientOf(other, { member: 1, port: listener.port })
  return { authority, own, other, listener, client }
}

/** What comes back for bytes on a connection with this certificate, or with none, until it ends. */
async function raw(port: number, bytes: string, credentials?: Credentials): Promise<string> {
  const tls = credentials === undefined ? {} : tlsOf(credentials)
  const socket = connect({ host: '127.0.0.1', port, ...tls, rejectUnauthorized: false })
  onTestFinished(() => void socket.destroy())
  const pieces: Buffer[] = []
  socket.on('data', (piece: Buffer) => pieces.push(piece))
  socket.write(bytes)
  await new Promise((resolve) => {
    socket.on('error', () => undefined)
    socket.on('close', resolve)
  })
  return Buffer.concat(pieces).toString('latin1')
}

describe('the certificate', () => {
  test('says who asks', async () => {
    const { client } = await pair()
    expect(await textOf(await client.get('/internal/v1/echo'))).toBe('2')
    expect(await textOf(await client.get('/internal/v1/echo'))).toBe('2')
  })

  test('of a foreign authority is refused at both ends', async () => {
    const { listener, own } = await pair()
    const foreign = await credentialsOf(await authorityOf(), 2)
    // The client does not even ask.
    const client = clientOf(foreign, { member: 1, port: listener.port })
    await expect(client.get('/internal/v1/echo')).rejects.toMatchObject({ problem: 'certificate' })
    // One that takes any peer is refused by it.
    const loose = clientOf(
      { ...foreign, authority: own.authority },
      { member: 1, port: listener.port },
    )
    const error = await loose.get('/internal/v1/echo').catch((it: unknown) => it)
    expect(error).toMatchObject({ problem: 'certificate' })
    expect(String(error)).toContain('the certificate is refused: ')
  })

  test('that has ended is refused at both ends, with the reason', async () => {
    const clock = new FakeClock()
    const authority = await authorityOf('main', clock)
    const [old, oldServer] = [await credentialsOf(authority, 2), await credentialsOf(authority, 1)]
    clock.advance(Date.now() - clock.now())
    const fresh = await credentialsOf(authority, 1)
    const listener = await listen({ credentials: fresh, routes })
    const client = clientOf(old, { member: 1, port: listener.port })
    const error = await client.get('/internal/v1/echo').catch((it: unknown) => it)
    expect(String(error)).toBe('MeshError: the certificate is refused: CERT_HAS_EXPIRED')
    const ended = await listen({ credentials: oldServer, routes })
    const asking = clientOf(await credentialsOf(authority, 2), { member: 1, port: ended.port })
    await expect(asking.get('/internal/v1/echo')).rejects.toMatchObject({
      problem: 'certificate',
      message: expect.stringContaining('CERT_HAS_EXPIRED') as unknown,
    })
  })

  test('that is renewed is seen by new connections', async () => {
    const clock = new FakeClock()
    const authority = await authorityOf('main', clock)
    const old = await credentialsOf(authority, 1)
    clock.advance(Date.now() - clock.now())
    const listener = await listen({ credentials: old, routes })
    const other = await credentialsOf(authority, 2)
    const client = clientOf(other, { member: 1, port: listener.port })
    await expect(client.get('/internal/v1/echo')).rejects.toMatchObject({ problem: 'certificate' })
    listener.renew(await credentialsOf(authority, 1))
    expect(await textOf(await client.get('/internal/v1/echo'))).toBe('2')
  })

  test('of another cluster is refused, though its authority is trusted', async () => {
    const { own, authority } = await pair()
    // Both ends trust both authorities.
    const stranger = await authorityOf('other')
    const bundle = authority.certificate + stranger.certificate
    const other = { ...(await credentialsOf(stranger, 2)), authority: bundle }
    const trusting = await listen({ credentials: { ...own, authority: bundle }, routes })
    const asks = clientOf(other, { member: 1, port: trusting.port })
    await expect(asks.get('/internal/v1/echo')).rejects.toMatchObject({ problem: 'cluster' })
    const said = await raw(
      trusting.port,
      'GET /internal/v1/echo HTTP/1.1\r\nHost: a\r\n\r\n',
      other,
    )
    expect(said).toContain(' 409 ')
    expect(said).toContain('the other node is of cluster \\"other\\", this one of \\"main\\"')
  })

  test('of another member than the one that is wanted is refused', async () => {
    const { listener, other } = await pair()
    const client = clientOf(other, { member: 3, port: listener.port })
    await expect(client.get('/internal/v1/echo')).rejects.toMatchObject({
      problem: 'certificate',
      message: 'member 1 answers where member 3 is expected; is its address right?',
    })
  })

  test('is needed before any path is looked at', async () => {
    const { listener } = await pair()
    for (const path of ['/internal/v1/echo', '/internal/v1/none']) {
      const said = await raw(listener.port, `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
      expect(said).toMatch(/^HTTP\/1\.1 401 /)
      expect(said).toContain('"code":"certificate"')
      expect(said.toLowerCase()).not.toContain('fastregistry-log')
    }
  })

  test('of a member that was removed is refused, also on connections that are there', async () => {
    let isMember = true
    const { client } = await pair({ admits: () => isMember })
    expect(await textOf(await client.get('/internal/v1/echo'))).toBe('2')
    isMember = false
    await expect(client.get('/internal/v1/echo')).rejects.toThrow(
      'no member of the cluster any more',
    )
  })

  test('is asked for again after the connections of a member were dropped', async () => {
    const stuck: PeerRoute = {
      method: 'GET',
      answer({ caller, response }) {
        response.writeHead(200).write(String(caller))
        return new Promise<void>(() => undefined)
      },
    }
    const all = new Map([...routes, ['/internal/v1/stuck', stuck]])
    const { client, listener } = await pair({ routes: all })
    const answer = await client.get('/internal/v1/stuck')
    const ended = textOf(answer).catch((error: unknown) => String(error))
    listener.drop(3)
    expect(await textOf(await client.get('/internal/v1/echo'))).toBe('2')
    expect(answer.destroyed).toBe(false)
    listener.drop(2)
    expect(await ended).toBe('Error: aborted')
    expect(await textOf(await client.get('/internal/v1/echo'))).toBe('2')
  })

  test('is not asked of a connection before TLS 1.3', async () => {
    const { listener, other } = await pair()
    const options = { ...tlsOf(other), minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const
    const socket = connect({ host: '127.0.0.1', port: listener.port, ...options })
    const error = await new Promise((resolve) => socket.once('error', resolve))
    expect(String(error)).toMatch(/protocol version/i)
  })
})

describe('a listener', () => {
  test('answers unknown paths and methods with JSON, and keeps its faults for itself', async () => {
    const faults: unknown[] = []
    const broken: PeerRoute = {
      method: 'GET',
      answer: () => Promise.reject(new Error('what happened inside')),
    }
    const all = new Map([...routes, ['/internal/v1/broken', broken]])
    const { client, listener, other } = await pair({ routes: all, faults })
    await expect(client.get('/internal/v1/none')).rejects.toMatchObject({ problem: 'path' })
    await expect(client.get('/internal/v1/echo/')).rejects.toMatchObject({ problem: 'path' })
    const posted = 'POST /internal/v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n'
    expect(await raw(listener.port, posted, other)).toMatch(/^HTTP\/1\.1 405 /)
    const said = await raw(
      listener.port,
      'GET /internal/v1/broken HTTP/1.1\r\nHost: a\r\n\r\n',
      other,
    )
    expect(said).toMatch(/^HTTP\/1\.1 500 /)
    expect(said).not.toContain('inside')
    expect(faults.map(String)).toEqual(['Error: what happened inside'])
  })

  test('ends connections that send too long a head, or no HTTP', async () => {
    const { listener, other } = await pair()
    const long = `GET /internal/v1/echo HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(10_000)}\r\n\r\n`
    expect(await raw(listener.port, long, other)).toBe('')
    expect(await raw(listener.port, 'no HTTP\r\n\r\n', other)).toBe('')
    const upgrade = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'
    expect(await raw(listener.port, upgrade, other)).toBe('')
  })

  test('holds 64 connections of strangers, and members beside them', async () => {
    const { listener, client } = await pair()
    const open = () => {
      const socket = connect({ host: '127.0.0.1', port: listener.port, rejectUnauthorized: false })
      socket.on('error', () => undefined)
      onTestFinished(() => void socket.destroy())
      return socket
    }
    const sockets = Array.from({ length: 64 }, open)
    await Promise.all(
      sockets.map((socket) => new Promise((resolve) => socket.once('secureConnect', resolve))),
    )
    const more = open()
    await new Promise((resolve) => more.once('close', resolve))
    expect(sockets.some((socket) => socket.destroyed)).toBe(false)
    expect(await textOf(await client.get('/internal/v1/echo'))).toBe('2')
  })

  test('and its peer refuse each other when they follow different logs', async () => {
    const { listener, other, client } = await pair()
    const port = listener.port
    const astray = clientOf(other, { member: 1, port }, { log: () => 'log 2' })
    await expect(astray.get('/internal/v1/echo')).rejects.toMatchObject({ problem: 'log' })
    const unknowing = clientOf(other, { member: 1, port }, { log: () => undefined })
    expect(await textOf(await unknowing.get('/internal/v1/echo'))).toBe('2')
    expect(await textOf(await client.get('/internal/v1/echo'))).toBe('2')
    const head = 'GET /internal/v1/echo HTTP/1.1\r\nHost: a\r\nFastRegistry-Log: log%202\r\n\r\n'
    expect(await raw(port, head, other)).toMatch(/^HTTP\/1\.1 409 /)
    // The client looks too.
    let log: string | undefined
    const later = clientOf(other, { member: 1, port }, { log: () => log })
    const asked = later.open('GET', '/internal/v1/echo').end()
    const answer = await new Promise<Parameters<typeof later.accept>[0]>((resolve) =>
      asked.once('response', resolve),
    )
    expect(answer.headers['fastregistry-log']).toBe(LOG)
    log = 'log 2'
    await expect(later.accept(answer)).rejects.toMatchObject({ problem: 'log' })
  })

  test('that cannot be reached, or that says nothing, is told as silent', async () => {
    const authority = await authorityOf()
    const own = await credentialsOf(authority, 2)
    const listener = await listen({ credentials: await credentialsOf(authority, 1), routes })
    const { port } = listener
    const proxy = await TcpProxy.to(port)
    onTestFinished(() => proxy.close())
    proxy.stop()
    const client = clientOf(own, { member: 1, port: proxy.port }, { silentMs: 100 })
    await expect(client.get('/internal/v1/echo')).rejects.toMatchObject({
      problem: 'silent',
      message: 'the peer does not answer',
    })
    await listener.close()
    const gone = clientOf(own, { member: 1, port })
    await expect(gone.get('/internal/v1/echo')).rejects.toMatchObject({
      problem: 'silent',
      message: expect.stringContaining('ECONNREFUSED') as unknown,
    })
  })
})

describe('streams', () => {
  async function two() {
    const authority = await authorityOf()
    const [one, other] = [
      await LinkedNode.start(authority, 1),
      await LinkedNode.start(authority, 2),
    ]
    return { authority, one, other }
  }

  test('carry what reads show to every peer, once a turn and the newest', async () => {
    const { authority, one, other } = await two()
    const third = await LinkedNode.start(authority, 3)
    const all = [one, other, third]
    for (const node of all) node.links.setPeers(all.map((it) => it.at()))
    for (const node of all) await until(() => expect(node.links.open).toHaveLength(2))
    for (let visible = 1; visible <= 10_000; visible += 1) one.links.report(5, visible)
    await until(() => expect(other.said).toContainEqual({ member: 1, boot: 5, visible: 10_000 }))
    await until(() => expect(third.said).toContainEqual({ member: 1, boot: 5, visible: 10_000 }))
    expect(other.said.every(({ visible }) => visible === 10_000)).toBe(true)
    expect(one.said).toEqual([])
  })

  test('say again what they have said, so that nothing is lost with a connection', async () => {
    const { one, other } = await two()
    one.links.report(1, 7)
    one.links.setPeers([other.at()])
    other.links.setPeers([one.at()])
    await until(() => expect(other.said.length).toBeGreaterThan(3))
    expect(new Set(other.said.map(({ visible }) => visible))).toEqual(new Set([7]))
  })

  test('are opened again when half of the connection is gone', async () => {
    const { one, other } = await two()
    const proxy = await TcpProxy.to(other.port)
    onTestFinished(() => proxy.close())
    other.links.setPeers([one.at()])
    one.links.setPeers([other.at(proxy.port)])
    one.links.report(1, 1)
    await until(() => expect(other.said).toContainEqual({ member: 1, boot: 1, visible: 1 }))
    proxy.stop()
    one.links.report(1, 2)
    await until(() => expect(one.changes).toContainEqual({ member: 2, problem: 'silent' }))
    expect(other.said.some(({ visible }) => visible === 2)).toBe(false)
    proxy.go()
    await until(() => expect(other.said).toContainEqual({ member: 1, boot: 1, visible: 2 }))
    expect(proxy.count).toBeGreaterThan(1)
  })

  test('end with a peer that is none any more, and move to its new address', async () => {
    const { one, other } = await two()
    one.links.setPeers([other.at()])
    other.links.setPeers([one.at()])
    one.links.report(1, 1)
    await until(() => expect(one.links.open).toEqual([2]))
    await until(() => expect(other.links.open).toEqual([1]))
    other.links.setPeers([])
    await until(() => expect(one.links.open).toEqual([]))
    expect(other.links.open).toEqual([])
    other.links.setPeers([one.at()])
    await until(() => expect(one.links.open).toEqual([2]))
    const proxy = await TcpProxy.to(other.port)
    onTestFinished(() => proxy.close())
    one.links.setPeers([other.at(proxy.port)])
    await until(() => expect([one.links.open, proxy.count]).toEqual([[2], 1]))
    expect(() => one.links.setPeers([{ member: 9, address: 'nowhere' }])).toThrow(RangeError)
    expect(one.links.open).toEqual([2])
  })

  async function spoken(text: string, member = 2) {
    const authority = await authorityOf()
    const node = await LinkedNode.start(authority, 1)
    const credentials = await credentialsOf(authority, member)
    node.links.setPeers([{ member: 2, address: '127.0.0.1:1' }])
    const head = `POST ${paths.stream} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`
    const chunk = `${text.length.toString(16)}\r\n${text}\r\n`
    const answer = await raw(node.port, head + chunk, credentials)
    return { answer, said: node.said }
  }

  test('end at a line that is not understood to its last byte', async () => {
    const { answer, said } = await spoken('2 1 5\n2 1 x\n')
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(said).toEqual([])
  })

  test('end at a line that is too long', async () => {
    const { said } = await spoken('2'.repeat(60_000))
    expect(said).toEqual([])
  })

  test('end when one member speaks for another', async () => {
    const { said } = await spoken('3 1 5\n')
    expect(said).toEqual([])
  })

  test('end when nothing comes any more', async () => {
    const { said } = await spoken('2 1 5\n')
    expect(said).toEqual([{ member: 2, boot: 1, visible: 5 }])
  })

  test('are refused to a member that is no peer', async () => {
    const { answer } = await spoken('3 1 5\n', 3)
    expect(answer).toMatch(/^HTTP\/1\.1 503 /)
  })

  test('do not grow a queue for a peer that does not read, which hears the newest when it does', async () => {
    const { one, other } = await two()
    const proxy = await TcpProxy.to(other.port)
    onTestFinished(() => proxy.close())
    other.links.setPeers([one.at()])
    one.links.setPeers([other.at(proxy.port)])
    await until(() => expect(one.links.open).toEqual([2]))
    const before = process.memoryUsage().arrayBuffers
    for (let visible = 1; visible <= 2_000; visible += 1) {
      one.links.report(1, visible)
      if (visible === 10) proxy.stop()
      await new Promise(setImmediate)
    }
    proxy.go()
    await until(() => expect(other.said.at(-1)?.visible).toBe(2_000))
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024)
  })

  test('are not opened by a plain connection', async () => {
    const { one } = await two()
    const socket = connectTcp({ host: '127.0.0.1', port: one.port })
    socket.write(`POST ${paths.stream} HTTP/1.1\r\nHost: a\r\n\r\n`)
    socket.on('error', () => undefined)
    await new Promise((resolve) => socket.once('close', resolve))
    expect(one.said).toEqual([])
  })
})
