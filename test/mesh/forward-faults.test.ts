/**
 * @module Requests that are handed from node to node and do not end well: clients that leave, nodes that die,
 * bodies that are refused before they are whole, users who have no business there, and peers that send what no node
 * would.
 */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { forwardPath, headBytesMax } from '../../src/mesh/forward/messages.ts'
import { basic, htpasswd } from '../support/access.ts'
import { ENGINES, type EngineName, until } from '../support/in-process.ts'
import { EtcdCluster, etcdVersion, needEtcd } from '../support/mesh/etcd.ts'
import { MeshRegistries } from '../support/mesh/mesh-registries.ts'
import {
  type Answer,
  type RegistryClient,
  type RequestOptions,
  refusal,
  sha256,
  someBytes,
} from '../support/registry-client.ts'

needEtcd()

let etcd: EtcdCluster
let folder: string
let users: string
beforeAll(async () => {
  if (etcdVersion === undefined) return
  etcd = await EtcdCluster.start({ members: 1 })
  folder = mkdtempSync(join(tmpdir(), 'fastregistry-users-'))
  users = join(folder, 'users')
  writeFileSync(users, htpasswd({ alice: 'secret', bob: 'secret' }))
})
afterAll(async () => {
  await etcd?.stop()
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})

const logOf = (cluster: string) => ({ endpoints: etcd.endpoints, cluster })
const inlineLimit = 4_096
const type = 'Content-Type: application/octet-stream'

describe.each(ENGINES)('in front: %s', (engine: EngineName) => {
  let mesh: MeshRegistries
  const registry = (at: number) => mesh.registries[at % 3]!
  const client = (at: number): RegistryClient => registry(at).client

  beforeAll(async () => {
    if (etcdVersion === undefined) return
    mesh = await MeshRegistries.start(logOf(`faults-${engine}`), 3, {
      inlineLimit,
      engines: [engine],
    })
  })
  afterAll(async () => {
    await mesh?.stop()
    expect(mesh?.peerFaults ?? []).toEqual([])
    for (const { faults } of mesh?.registries ?? []) expect(faults).toEqual([])
  })

  const linesAbout = (at: number, text: string) =>
    registry(at).logLines.filter((line) => line.includes(text))

  /** So many bytes are in files of sessions of the first node. */
  const arrived = (bytes: number) =>
    until(async () => {
      const names = await registry(0).uploadFiles()
      const sizes = names.map((name) => statSync(join(registry(0).folder, 'uploads', name)).size)
      return sizes.reduce((sum, size) => sum + size, 0) === bytes
    })

  test('a client that leaves within a chunk leaves what has arrived, as on one node', async () => {
    const location = await client(0).open('team/left')
    const raw = await registry(1).connect()
    const length = 10 * 1024 ** 3
    const range = `Content-Range: 0-${length - 1}`
    await raw.request('PATCH', location, [type, range, `Content-Length: ${length}`])
    await raw.send(someBytes(100_000))
    await arrived(100_000)
    raw.close()
    await until(() => linesAbout(0, location).length > 0 && linesAbout(1, location).length > 0)
    for (const at of [0, 1]) {
      expect(JSON.parse(linesAbout(at, location)[0]!)).toMatchObject({ aborted: true, status: 0 })
    }
    await until(async () => (await client(2).get(location)).headers['range'] === '0-99999')
    const rest = { headers: { 'Content-Range': '100000-100002' }, body: 'end' }
    expect((await client(2).request('PATCH', location, rest)).status).toBe(202)
    const whole = Buffer.concat([someBytes(100_000), Buffer.from('end')])
    const done = await client(1).request('PUT', `${location}?digest=${sha256(whole)}`)
    expect(done.status).toBe(201)
  })

  test('a client that leaves within a chunked stream leaves nothing', async () => {
    const location = await client(0).open('team/cut')
    const raw = await registry(1).connect()
    await raw.request('PATCH', location, [type, 'Transfer-Encoding: chunked'])
    await raw.send(`1000\r\n${'x'.repeat(0x1000)}\r\n10\r\nhalf`)
    await arrived(0x1004)
    raw.close()
    await until(() => linesAbout(0, location).length > 0)
    const status = await client(2).get(location)
    expect([status.status, status.headers['range']]).toEqual([204, '0-0'])
  })

  test('what is refused is refused before its body has come', async () => {
    const raw = await registry(1).connect()
    const location = `/v2/team/early/blobs/uploads/1-${'a'.repeat(32)}`
    await raw.request('PATCH', location, [type, `Content-Length: ${10 * 1024 ** 3}`])
    await raw.send(someBytes(1_000))
    const answer = await raw.readResponse()
    expect([answer.status, answer.body.toString()]).toEqual([
      404,
      expect.stringContaining('BLOB_UPLOAD_UNKNOWN'),
    ])
    raw.close()
  })

  test('a client that asks first whether to send, and closes after it', async () => {
    const location = await client(0).open('team/expect')
    const raw = await registry(1).connect()
    const headers = [type, 'Content-Length: 3', 'Expect: 100-continue', 'Connection: close']
    await raw.request('PATCH', location, headers)
    expect((await raw.readHead()).status).toBe(100)
    await raw.send('abc')
    const answer = await raw.readResponse()
    expect([answer.status, answer.headers.get('range')]).toEqual([202, '0-2'])
    await raw.closed
  })

  test('the host is the one that the client sees: pages of other sites are refused', async () => {
    const location = await client(0).open('team/site')
    const raw = await registry(1).connect()
    const ask = async (host: string, origin: string) => {
      const lines = [`PATCH ${location} HTTP/1.1`, `Host: ${host}`, `Origin: ${origin}`]
      await raw.send(`${lines.join('\r\n')}\r\nContent-Length: 0\r\n\r\n`)
      return (await raw.readResponse()).status
    }
    expect(await ask('127.0.0.1:5000', 'http://evil.test')).toBe(403)
    expect(await ask('127.0.0.1:5000', 'http://127.0.0.1:5000')).toBe(202)
  })
})

describe('who may', () => {
  let mesh: MeshRegistries
  const as = (name: string) => basic(name, 'secret')

  beforeAll(async () => {
    if (etcdVersion === undefined) return
    mesh = await MeshRegistries.start(logOf('users'), 3, {
      inlineLimit,
      config: { auth: { type: 'htpasswd', htpasswd_file: users } },
    })
  })
  afterAll(() => mesh?.stop())

  test("another user's session, and none at all, as on the node itself", async () => {
    const client = (at: number) => mesh.registries[at]!.client
    const ask = (at: number, method: string, location: string, options: RequestOptions) =>
      client(at).request(method, location, options)
    const opened = await ask(0, 'POST', '/v2/team/own/blobs/uploads/', { headers: as('alice') })
    const location = opened.headers['location']!
    const said = ({ status, headers, text }: Answer) => ({
      status,
      challenge: headers['www-authenticate'],
      code: text === '' ? '' : (JSON.parse(text) as { errors: [{ code: string }] }).errors[0].code,
    })
    for (const method of ['GET', 'PATCH', 'DELETE']) {
      for (const headers of [as('bob'), {}, basic('alice', 'wrong')]) {
        const [there, here] = [
          await ask(1, method, location, { headers }),
          await ask(0, method, location, { headers }),
        ]
        expect(there.status).toBeGreaterThanOrEqual(401)
        expect(said(there)).toEqual(said(here))
      }
    }
    const sent = await ask(2, 'PATCH', location, { headers: as('alice'), body: 'abc' })
    expect([sent.status, sent.headers['range']]).toEqual([202, '0-2'])
  })

  test('a client is counted once, and where its request is answered', async () => {
    const limited = await MeshRegistries.start(logOf('limits'), 2, {
      config: { limits: { requests_per_second: 3, bytes_per_second: 100_000 } },
    })
    try {
      const [first, second] = limited.registries.map(({ client }) => client)
      const location = await first!.open('team/limits')
      const answers = await Promise.all(
        Array.from({ length: 12 }, () => second!.request('PATCH', location)),
      )
      // The node in front has counted none: the owner refuses what is too much.
      expect(answers.some((answer) => answer.status === 503)).toBe(true)
      expect((await second!.get('/v2/')).status).toBe(200)
      expect(answers.find(({ status }) => status === 503)!.headers['retry-after']).toBeDefined()
      // Nor the bytes: what a session has taken is booked where it is.
      await until(async () => (await second!.request('PATCH', location)).status === 202)
      const sent = await second!.request('PATCH', location, { body: someBytes(400_000) })
      expect(sent.status).toBe(202)
      expect((await first!.get('/v2/')).status).toBe(503)
      expect((await second!.get('/v2/')).status).toBe(200)
    } finally {
      await limited.stop()
    }
  })
})

describe('members that are not there', () => {
  let mesh: MeshRegistries
  beforeAll(async () => {
    if (etcdVersion === undefined) return
    mesh = await MeshRegistries.start(logOf('gone'), 3, { inlineLimit })
  })
  afterAll(() => mesh?.stop())

  test('one that starts again takes and hands on as before', async () => {
    const [first, , third] = mesh.registries
    const [of1, of3] = [await first!.client.open('team/a'), await third!.client.open('team/a')]
    await third!.restart()
    await until(async () => (await first!.client.get(of3)).status === 204)
    await until(async () => (await third!.client.get(of1)).status === 204)
    expect((await third!.client.request('PATCH', of1, { body: 'abc' })).status).toBe(202)
  })

  test('one that dies within a body, one that is silent, and one that has left', async () => {
    const [first, second] = mesh.registries
    const location = await first!.client.open('team/dies')
    const raw = await second!.connect()
    await raw.request('PATCH', location, [type, 'Content-Length: 1000000'])
    await raw.send(someBytes(50_000))
    const told = raw.readResponse()
    await mesh.cutOff(1)
    const broken = await told
    expect([broken.status, broken.headers.get('retry-after')]).toEqual([503, '1'])
    expect(broken.body.toString()).toContain('UNAVAILABLE')
    expect(broken.body.toString()).toContain('"outcome":"unknown"')
    const silent = await second!.client.get(location)
    expect(refusal(silent)).toBe('503 UNAVAILABLE')
    expect(silent.headers['retry-after']).toBe('1')
    expect(silent.text).not.toContain('outcome')
    // The member itself goes on with what it has.
    expect((await first!.client.get(location)).headers['range']).toBe('0-0')
    const peers = mesh.peers(2)
    peers.setMembers(peers.members.filter(({ number }) => number !== 1))
    expect(refusal(await second!.client.get(location))).toBe('404 BLOB_UPLOAD_UNKNOWN')
    expect(second!.faults).toEqual([])
  })
})

describe('what peers send', () => {
  let mesh: MeshRegistries
  let own: string
  beforeAll(async () => {
    if (etcdVersion === undefined) return
    mesh = await MeshRegistries.start(logOf('hostile'), 2, { inlineLimit })
    own = await mesh.registries[1]!.client.open('team/hostile')
  })
  afterAll(() => mesh?.stop())

  const good = () => ({
    id: 'id-1',
    method: 'GET',
    path: own,
    query: '',
    headers: [['accept', '*/*']] as unknown[],
    client: '192.0.2.7',
    scheme: 'http',
    host: 'registry.test',
    isTls: false,
    bodyBytes: 0 as number | null,
  })

  const framed = (head: string | Uint8Array, length = Buffer.byteLength(head)): Buffer => {
    const prefix = Buffer.alloc(4)
    prefix.writeUInt32BE(length)
    return Buffer.concat([prefix, Buffer.from(head)])
  }

  /** Status of what the first node's answer to these bytes is; 0: the connection was ended. */
  async function send(bytes: Uint8Array, prepare?: (asked: ClientRequest) => void) {
    const asked = mesh.peers(1).client(2).open('POST', forwardPath)
    prepare?.(asked)
    const answer = await new Promise<IncomingMessage | undefined>((resolve) => {
      asked.on('response', resolve)
      asked.on('error', () => resolve(undefined))
      asked.end(bytes)
    })
    if (answer === undefined) return { status: 0, text: '' }
    const pieces: Buffer[] = []
    for await (const piece of answer as AsyncIterable<Buffer>) pieces.push(piece)
    return { status: answer.statusCode, text: Buffer.concat(pieces).toString() }
  }

  const withFields = (fields: object) => framed(JSON.stringify({ ...good(), ...fields }))

  test('a good head is answered', async () => {
    const answer = await send(withFields({}))
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.text.slice(4))).toMatchObject({ status: 204, sizeBytes: null })
    const lines = mesh.registries[1]!.logLines.filter((line) => line.includes('"id":"id-1"'))
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ via: 1, client: '192.0.2.7' }])
  })

  const other = `/v2/team/hostile/blobs/uploads/1-${'0'.repeat(32)}`
  const cases: readonly (readonly [what: string, bytes: () => Buffer, status: number])[] = [
    ['nothing', () => Buffer.alloc(0), 400],
    ['half a length', () => Buffer.from([0, 0]), 400],
    ['a length of nothing', () => Buffer.alloc(4), 400],
    ['half a head', () => framed('{"id"', 400), 400],
    ['a head that is too long', () => framed('{', headBytesMax + 1), 413],
    ['a head of 4 GiB', () => framed('{', 0xffff_ffff), 413],
    ['no JSON', () => framed('{"id":'), 400],
    ['no UTF-8', () => framed(Buffer.from([0x22, 0xff, 0x22])), 400],
    ['a list', () => framed('[]'), 400],
    ['a field that nobody knows', () => withFields({ admin: true }), 400],
    ['a field that is missing', () => withFields({ client: undefined }), 400],
    ['a line end in a header', () => withFields({ headers: [['a', 'b\r\nx: y']] }), 400],
    ['a line end in a name', () => withFields({ headers: [['a\nb', 'c']] }), 400],
    ['a header of upper case', () => withFields({ headers: [['Accept', 'c']] }), 400],
    ['a header of three parts', () => withFields({ headers: [['a', 'b', 'c']] }), 400],
    ['a length as a header', () => withFields({ headers: [['content-length', '5']] }), 400],
    ['an upgrade as a header', () => withFields({ headers: [['upgrade', 'h2c']] }), 400],
    ['a host as a header', () => withFields({ headers: [['host', 'evil']] }), 400],
    ['too many headers', () => withFields({ headers: Array(513).fill(['a', 'b']) }), 400],
    ['a method of lower case', () => withFields({ method: 'get' }), 400],
    ['a method with a line end', () => withFields({ method: 'GET\r\n' }), 400],
    ['an id with a quote', () => withFields({ id: 'a","b":"c' }), 400],
    ['a client that is no address', () => withFields({ client: 'localhost' }), 400],
    ['a scheme that is none', () => withFields({ scheme: 'ftp' }), 400],
    ['a path with a space', () => withFields({ path: `${own} HTTP/1.1` }), 400],
    ['a path with a query', () => withFields({ path: `${own}?x=1`, query: '' }), 400],
    ['a path that is no upload', () => withFields({ path: '/v2/_catalog' }), 400],
    ['a path of a manifest', () => withFields({ path: '/v2/team/a/manifests/latest' }), 400],
    ['a path of the admin API', () => withFields({ path: '/admin/gc', method: 'POST' }), 400],
    ['an upload of another member', () => withFields({ path: other }), 400],
    ['an upload of no member', () => withFields({ path: own.replace('/2-', '/') }), 400],
    ['a path that hides another', () => withFields({ path: `${own}/../../../../admin/gc` }), 400],
    ['a body that was not told of', () => Buffer.concat([withFields({}), Buffer.from('x')]), 400],
    ['less body than told of', () => withFields({ method: 'PATCH', bodyBytes: 5 }), 400],
    ['a length below nothing', () => withFields({ bodyBytes: -1 }), 400],
    ['half a byte', () => withFields({ bodyBytes: 0.5 }), 400],
    ['no length where one is', () => withFields({ method: 'PATCH', bodyBytes: null }), 400],
  ]

  test.each(cases)('%s is refused, and no handler hears of it', async (_what, bytes, status) => {
    const before = mesh.registries[1]!.logLines.length
    const answer = await send(bytes(), (asked) => {
      asked.setHeader('Content-Length', bytes().byteLength)
    })
    expect(answer.status).toBe(status)
    expect(mesh.registries[1]!.logLines.length).toBe(before)
  })

  test('an upgrade ends the connection', async () => {
    const bytes = withFields({})
    const answer = await send(bytes, (asked) => {
      asked.setHeader('Content-Length', bytes.byteLength)
      asked.setHeader('Connection', 'Upgrade')
      asked.setHeader('Upgrade', 'h2c')
    })
    expect(answer.status).toBe(0)
  })

  test('a body that ends before it is whole leaves the session as it was', async () => {
    const head = withFields({ method: 'PATCH', bodyBytes: 5_000, id: 'id-short' })
    const asked = mesh.peers(1).client(2).open('POST', forwardPath)
    asked.on('error', () => undefined)
    asked.setHeader('Content-Length', head.byteLength + 5_000)
    await new Promise((sent) => asked.write(Buffer.concat([head, someBytes(3_000)]), sent))
    asked.destroy()
    const { logLines, client } = mesh.registries[1]!
    await until(() => logLines.some((line) => line.includes('"id":"id-short"')))
    expect((await client.get(own)).headers['range']).toBe('0-0')
  })
})
