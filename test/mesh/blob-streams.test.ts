/**
 * @module Layers that a second node gets while they arrive: what it has of them before the end, and that nothing of
 * them stays where they do not come to an end.
 */
import { randomBytes } from 'node:crypto'
import { stat, writeFile } from 'node:fs/promises'
import { type ClientRequest, request } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { blobPaths, digestTrailer, sizeTrailer } from '../../src/mesh/blobs/protocol.ts'
import { digestOf } from '../../src/registry/hasher.ts'
import { until } from '../support/in-process.ts'
import { clientOf, countFiles, hasFile, holders, pull } from '../support/mesh/blob-files.ts'
import { EtcdCluster, etcdVersion, needEtcd } from '../support/mesh/etcd.ts'
import { MeshRegistries } from '../support/mesh/mesh-registries.ts'

needEtcd()

let etcd: EtcdCluster
let mesh: MeshRegistries

beforeAll(async () => {
  if (etcdVersion === undefined) return
  etcd = await EtcdCluster.start()
  const log = { endpoints: etcd.endpoints, cluster: 'streams' }
  mesh = await MeshRegistries.start(log, 3, { inlineLimit: 1_024, engines: ['uws', 'node'] })
})
afterAll(async () => {
  await mesh?.stop()
  await etcd?.stop()
})

const client = (at: number) => clientOf(mesh, at)

interface Sending {
  readonly location: string
  readonly asked: ClientRequest
  /** Status of the answer; 0: there was none. */
  readonly answered: Promise<number>
}

/** A PATCH that goes on, of which these bytes are sent. */
async function send(at: number, bytes: Uint8Array, length?: number): Promise<Sending> {
  const location = await client(at).open('team/streams')
  const asked = request({
    host: '127.0.0.1',
    port: mesh.registries[at]!.port,
    method: 'PATCH',
    path: location,
    headers: {
      'Content-Type': 'application/octet-stream',
      ...(length !== undefined && { 'Content-Length': length }),
    },
  })
  const answered = new Promise<number>((resolve) => {
    asked.on('response', (answer) => resolve(answer.resume().statusCode!))
    asked.on('close', () => resolve(0))
    asked.on('error', () => resolve(0))
  })
  asked.write(bytes)
  return { location, asked, answered }
}

/** Bytes of files that arrive at a node. */
async function arriving(at: number): Promise<number> {
  const { folder } = mesh.registries[at]!
  const names = await mesh.registries[at]!.uploadFiles()
  const sizes = names.map((name) =>
    stat(join(folder, 'uploads', name)).then(
      (it) => it.size,
      () => 0,
    ),
  )
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

/** The other node that has got so much by now. */
async function receiver(from: number, bytes: number): Promise<number> {
  const others = [0, 1, 2].filter((at) => at !== from)
  let found: number | undefined
  await until(async () => {
    for (const at of others) if ((await arriving(at)) >= bytes) found = at
    return found !== undefined
  })
  return found!
}

async function expectNothingLeft(): Promise<void> {
  for (const at of mesh.registries.keys()) {
    await until(async () => (await mesh.registries[at]!.uploadFiles()).length === 0)
  }
}

describe('a layer that arrives', () => {
  test('is at a second node before its end, and is not sent again then', async () => {
    const whole = countFiles(mesh, 'keep')
    // With a length the socket is read by a thread of the engine, where there is one.
    for (const [from, length] of [
      [0, 8_000_000],
      [0, undefined],
      [1, undefined],
    ] as const) {
      const layer = randomBytes(8_000_000)
      const { location, asked, answered } = await send(from, layer.subarray(0, 6_000_000), length)
      const at = await receiver(from, 5_000_000)
      asked.end(layer.subarray(6_000_000))
      expect(await answered).toBe(202)
      const digest = digestOf('sha256', layer)
      const put = await client(from).request('PUT', `${location}?digest=${digest}`)
      expect(put.status).toBe(201)
      expect(await holders(mesh, digest)).toEqual([from, at].sort())
      for (const reader of [0, 1, 2]) {
        expect((await pull(mesh, reader, 'team/streams', digest)).body.equals(layer)).toBe(true)
      }
    }
    expect(whole).toEqual([])
    await expectNothingLeft()
  })

  test('in chunks is one file at the second node', async () => {
    const whole = countFiles(mesh, 'keep')
    const layer = randomBytes(3_000_000)
    const location = await client(0).open('team/streams')
    for (let at = 0; at < 3_000_000; at += 1_000_000) {
      const patched = await client(0).request('PATCH', location, {
        body: layer.subarray(at, at + 1_000_000),
        headers: { 'Content-Range': `${at}-${at + 999_999}` },
      })
      expect(patched.status).toBe(202)
    }
    const digest = digestOf('sha256', layer)
    expect((await client(0).request('PUT', `${location}?digest=${digest}`)).status).toBe(201)
    expect(await holders(mesh, digest)).toHaveLength(2)
    expect(whole).toEqual([])
  })

  test('whose blob is there is not sent, when the client says before which it is', async () => {
    const layer = randomBytes(2_000_000)
    const { digest } = await client(0).pushBlob('team/streams', layer)
    const sent = [countFiles(mesh, 'keep'), countFiles(mesh, 'arrive')]
    const location = await client(1).open('team/again')
    const put = await client(1).request('PUT', `${location}?digest=${digest}`, { body: layer })
    expect(put.status).toBe(201)
    const whole = await client(2).request(
      'POST',
      `/v2/team/third/blobs/uploads/?digest=${digest}`,
      {
        body: layer,
      },
    )
    expect(whole.status).toBe(201)
    expect(sent).toEqual([[], []])
  })

  test('that is cancelled leaves nothing at the second node', async () => {
    const { location, answered } = await send(0, randomBytes(2_000_000))
    await receiver(0, 1_000_000)
    expect((await client(0).request('DELETE', location)).status).toBe(204)
    await answered
    await expectNothingLeft()
  })

  test('whose digest is another one leaves nothing', async () => {
    const { location, asked, answered } = await send(0, randomBytes(2_000_000))
    await receiver(0, 1_000_000)
    asked.end()
    expect(await answered).toBe(202)
    const other = digestOf('sha256', Buffer.from('another'))
    expect((await client(0).request('PUT', `${location}?digest=${other}`)).status).toBe(400)
    await expectNothingLeft()
  })

  test('whose client is lost begins again, and has two copies in the end', async () => {
    const layer = randomBytes(2_000_000)
    const { location, asked } = await send(0, layer)
    await receiver(0, 1_000_000)
    asked.destroy()
    for (const at of [1, 2]) {
      await until(async () => (await mesh.registries[at]!.uploadFiles()).length === 0)
    }
    const digest = digestOf('sha256', layer)
    const put = await client(0).request('PUT', `${location}?digest=${digest}`, { body: layer })
    expect(put.status).toBe(201)
    expect(await holders(mesh, digest)).toHaveLength(2)
    await expectNothingLeft()
  })
})

describe('hostile words between nodes', () => {
  const bytes = Buffer.alloc(50_000, 'x')
  const digest = digestOf('sha256', bytes)

  function post(
    query: string,
    headers: Record<string, string> = { 'Transfer-Encoding': 'chunked' },
  ) {
    const asked = mesh.peers(1).client(2).open('POST', `${blobPaths.arrive}${query}`)
    for (const [name, value] of Object.entries(headers)) asked.setHeader(name, value)
    const answered = new Promise<number>((resolve) => {
      asked.on('response', (answer) => resolve(answer.resume().statusCode!))
      asked.on('error', () => resolve(0))
      asked.on('close', () => resolve(0))
    })
    return { asked, answered }
  }

  test('a file of which nothing, or something else, is said in the end is refused', async () => {
    const other = digestOf('sha256', Buffer.from('y'))
    for (const trailers of [
      [],
      [[digestTrailer, digest]],
      [[sizeTrailer, '50000']],
      [
        [digestTrailer, other],
        [sizeTrailer, '50000'],
      ],
      [
        [digestTrailer, digest],
        [sizeTrailer, '50001'],
      ],
      [
        [digestTrailer, digest],
        [sizeTrailer, '49999'],
      ],
      [
        [digestTrailer, digest],
        [sizeTrailer, '050000'],
      ],
      [
        [digestTrailer, digest],
        [digestTrailer, digest],
        [sizeTrailer, '50000'],
      ],
      [
        [digestTrailer, `${digest}0`],
        [sizeTrailer, '50000'],
      ],
    ] as [string, string][][]) {
      const { asked, answered } = post('?algorithm=sha256')
      asked.write(bytes)
      asked.addTrailers(trailers)
      asked.end()
      expect(await answered).toBe(400)
    }
    await expectNothingLeft()
    expect(await hasFile(mesh.registries[1]!, digest)).toBe(false)
  })

  test('a path or a length that is none is refused before a byte is read', async () => {
    for (const [query, headers] of [
      ['', undefined],
      ['?algorithm=md5', undefined],
      ['?algorithm=sha256&more=1', undefined],
      ['?algorithm=sha256', { 'Content-Length': '5' }],
    ] as const) {
      const { asked, answered } = post(query, headers)
      asked.flushHeaders()
      asked.write('hel')
      expect(await answered).toBe(400)
      asked.destroy()
    }
    await expectNothingLeft()
  })
})

// Last: they end nodes.
describe('nodes that go while a layer arrives', () => {
  test('what a crash has left of a layer is removed at the next start', async () => {
    const { folder } = mesh.registries[2]!
    await mesh.restart(3, async () => {
      await writeFile(join(folder, 'uploads', '0123456789abcdef'.repeat(2)), randomBytes(5_000))
    })
    await until(async () => (await mesh.registries[2]!.uploadFiles()).length === 0)
  })

  test('a node that stops leaves nothing of what came, and the third one takes its place', async () => {
    const whole = countFiles(mesh, 'keep')
    const layer = randomBytes(5_000_000)
    const { location, asked, answered } = await send(0, layer.subarray(0, 3_000_000))
    const first = await receiver(0, 2_000_000)
    await mesh.end(first + 1)
    expect(await mesh.registries[first]!.uploadFiles()).toEqual([])
    const third = 3 - first
    expect(await receiver(0, 2_000_000)).toBe(third)
    asked.end(layer.subarray(3_000_000))
    expect(await answered).toBe(202)
    const digest = digestOf('sha256', layer)
    expect((await client(0).request('PUT', `${location}?digest=${digest}`)).status).toBe(201)
    expect(await holders(mesh, digest)).toEqual([0, third])
    expect(whole).toEqual([])
  })
})
