/**
 * @module Upload sessions in a mesh, through the front doors of three registries: a session lives on the node that
 * opened it, and a client may come to any other with each of its requests.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ENGINES, type EngineName, until } from '../support/in-process.ts'
import { EtcdCluster, etcdVersion, needEtcd } from '../support/mesh/etcd.ts'
import { MeshRegistries } from '../support/mesh/mesh-registries.ts'
import { RoundRobin } from '../support/mesh/round-robin.ts'
import {
  inByteOrder,
  RegistryClient,
  refusal,
  sha256,
  someBytes,
} from '../support/registry-client.ts'

needEtcd()

let etcd: EtcdCluster
beforeAll(async () => {
  if (etcdVersion !== undefined) etcd = await EtcdCluster.start({ members: 1 })
})
afterAll(() => etcd?.stop())

const inlineLimit = 4_096

describe.each(ENGINES)('in front: %s', (engine: EngineName) => {
  let mesh: MeshRegistries
  let balancer: RoundRobin
  let anywhere: RegistryClient
  const client = (at: number): RegistryClient => mesh.registries[at % 3]!.client

  beforeAll(async () => {
    if (etcdVersion === undefined) return
    const log = { endpoints: etcd.endpoints, cluster: `forward-${engine}` }
    mesh = await MeshRegistries.start(log, 3, { inlineLimit, engines: [engine] })
    balancer = await RoundRobin.over(mesh.registries.map(({ port }) => port))
    anywhere = new RegistryClient(balancer.port)
  })
  afterAll(async () => {
    anywhere?.close()
    await balancer?.close()
    await mesh?.stop()
    expect(mesh?.faults ?? []).toEqual([])
    expect(mesh?.peerFaults ?? []).toEqual([])
  })

  test('an id names the node that opened the session', async () => {
    for (const at of [0, 1, 2]) {
      const opened = await client(at).request('POST', '/v2/team/ids/blobs/uploads/')
      const id = opened.headers['docker-upload-uuid']!
      expect(id).toMatch(new RegExp(`^${at + 1}-[0-9a-f]{32}$`))
      expect(opened.headers['location']).toBe(`/v2/team/ids/blobs/uploads/${id}`)
    }
  })

  test.each([900, 70_000])('chunks of %d bytes, each request to another node', async (size) => {
    const chunks = Array.from({ length: 5 }, (_, at) => someBytes(size, at + 1))
    const whole = Buffer.concat(chunks)
    let location = await anywhere.open('team/chunks')
    for (const [at, body] of chunks.entries()) {
      const range = `${at * size}-${at * size + size - 1}`
      const headers = { 'Content-Range': range, 'Content-Type': 'application/octet-stream' }
      const sent = await anywhere.request('PATCH', location, { headers, body })
      expect([sent.status, sent.headers['range']]).toEqual([202, `0-${at * size + size - 1}`])
      location = sent.headers['location']!
      const status = await anywhere.get(location)
      expect([status.status, status.headers['range']]).toEqual([204, `0-${at * size + size - 1}`])
    }
    const digest = sha256(whole)
    const done = await anywhere.request('PUT', `${location}?digest=${digest}`)
    expect([done.status, done.headers['location']]).toEqual([
      201,
      `/v2/team/chunks/blobs/${digest}`,
    ])
    expect((await client(0).head(`/v2/team/chunks/blobs/${digest}`)).status).toBe(200)
    expect(refusal(await anywhere.get(location))).toBe('404 BLOB_UPLOAD_UNKNOWN')
  })

  test.each([false, true])('a stream of 3 MiB to another node (chunked: %s)', async (isChunked) => {
    const whole = someBytes(3 * 1024 * 1024, isChunked ? 2 : 3)
    const location = await client(0).open('team/stream')
    const sent = await client(1).request('PATCH', location, { body: whole, isChunked })
    expect([sent.status, sent.headers['range']]).toEqual([202, `0-${whole.length - 1}`])
    const digest = sha256(whole)
    const done = await client(2).request('PUT', `${location}?digest=${digest}`)
    expect(done.status).toBe(201)
    const pulled = await client(0).get(`/v2/team/stream/blobs/${digest}`)
    expect(pulled.body.equals(whole)).toBe(true)
  })

  test('a blob in the final PUT, by another node', async () => {
    const whole = someBytes(200_000, 9)
    const digest = sha256(whole)
    const location = await client(1).open('team/final')
    const done = await client(2).request('PUT', `${location}?digest=${digest}`, { body: whole })
    expect(done.status).toBe(201)
    expect((await client(1).get(`/v2/team/final/blobs/${digest}`)).body.equals(whole)).toBe(true)
  })

  test('a session that was cancelled by another node is gone', async () => {
    const location = await client(0).open('team/cancel')
    await client(1).request('PATCH', location, { body: someBytes(10_000) })
    const cancelled = await client(2).delete(location)
    expect([cancelled.status, cancelled.text]).toEqual([204, ''])
    for (const at of [0, 1, 2]) {
      expect(refusal(await client(at).get(location))).toBe('404 BLOB_UPLOAD_UNKNOWN')
    }
    // The file goes behind the answer.
    await until(async () => (await mesh.registries[0]!.uploadFiles()).length === 0)
  })

  test('HEAD by another node is GET without a body, and other methods are refused', async () => {
    const location = await client(0).open('team/methods')
    const [got, head] = await Promise.all([client(1).get(location), client(1).head(location)])
    const named = ['location', 'range', 'docker-upload-uuid', 'cache-control']
    expect(named.map((name) => head.headers[name])).toEqual(named.map((name) => got.headers[name]))
    expect(head.status).toBe(204)
    const wrong = await client(1).request('POST', location)
    expect([refusal(wrong), wrong.headers['allow']]).toEqual([
      '405 UNSUPPORTED',
      'GET, HEAD, PATCH, PUT, DELETE',
    ])
    const here = await client(0).request('POST', location)
    const names = (headers: object) =>
      Object.keys(headers)
        .filter((name) => name !== 'date')
        .sort(inByteOrder)
    expect(names(wrong.headers)).toEqual(names(here.headers))
  })

  test('a chunk out of order is refused with where the session stands', async () => {
    const location = await client(2).open('team/order')
    await client(0).request('PATCH', location, { body: someBytes(500) })
    const headers = { 'Content-Range': '600-699' }
    const body = someBytes(100)
    const refused = await client(1).request('PATCH', location, { headers, body })
    expect(refusal(refused)).toBe('416 BLOB_UPLOAD_INVALID')
    expect([refused.headers['location'], refused.headers['range']]).toEqual([location, '0-499'])
  })

  test('bytes of another digest are refused, and the session has ended', async () => {
    const location = await client(0).open('team/wrong')
    const digest = sha256('something else')
    const options = { body: someBytes(50_000) }
    const refused = await client(1).request('PUT', `${location}?digest=${digest}`, options)
    expect(refusal(refused)).toBe('400 DIGEST_INVALID')
    expect(refusal(await client(0).get(location))).toBe('404 BLOB_UPLOAD_UNKNOWN')
  })

  test('both nodes log a request once, under one id', async () => {
    const location = await client(0).open('team/log')
    const sent = await client(1).request('PATCH', location, { body: 'abc' })
    expect(sent.status).toBe(202)
    const linesOf = (at: number) =>
      mesh.registries[at]!.logLines.filter((line) => line.includes(location)).map((line) =>
        JSON.parse(line),
      )
    await until(() => linesOf(0).length > 0 && linesOf(1).length > 0)
    expect([linesOf(0).length, linesOf(1).length, linesOf(2).length]).toEqual([1, 1, 0])
    const [[owner], [front]] = [linesOf(0), linesOf(1)]
    expect(owner).toMatchObject({ id: front.id, method: 'PATCH', status: 202, via: 2 })
    expect(owner.client).toBe(front.client)
    expect(front.via).toBeUndefined()
  })

  test('a session of a member that is none is unknown on every node', async () => {
    const id = `9-${'0'.repeat(32)}`
    for (const at of [0, 1, 2]) {
      const answer = await client(at).request('PATCH', `/v2/team/none/blobs/uploads/${id}`)
      expect(refusal(answer)).toBe('404 BLOB_UPLOAD_UNKNOWN')
    }
  })
})
