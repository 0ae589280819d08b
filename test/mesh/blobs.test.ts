/**
 * @module Files of blobs in a mesh of three registries, through their front doors: what one has acknowledged has two
 * copies, is read through every node, outlives a disk, and goes everywhere when it goes.
 */
import { randomBytes } from 'node:crypto'
import type { ClientRequest } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { blobPaths } from '../../src/mesh/blobs/protocol.ts'
import { digestOf } from '../../src/registry/hasher.ts'
import { mediaTypes } from '../../src/registry/media-type.ts'
import { until } from '../support/in-process.ts'
import {
  clientOf,
  countReads,
  hasFile,
  holders,
  pull,
  stranger,
} from '../support/mesh/blob-files.ts'
import { EtcdCluster, etcdVersion, needEtcd } from '../support/mesh/etcd.ts'
import { MeshRegistries } from '../support/mesh/mesh-registries.ts'
import { imageManifest } from '../support/registry-client.ts'

needEtcd()

let etcd: EtcdCluster
let mesh: MeshRegistries

beforeAll(async () => {
  if (etcdVersion === undefined) return
  etcd = await EtcdCluster.start()
  const log = { endpoints: etcd.endpoints, cluster: 'blobs' }
  mesh = await MeshRegistries.start(log, 3, { inlineLimit: 1_024 })
})
afterAll(async () => {
  await mesh?.stop()
  await etcd?.stop()
})

const client = (at: number, of = mesh) => clientOf(of, at)
const bytesOf = (length: number) => randomBytes(length)

describe('a blob that is a file', () => {
  test('has two copies when it is acknowledged, and is read through every node, byte for byte', async () => {
    for (const at of [0, 1, 2]) {
      const layer = bytesOf(5_000_000)
      const pushed = await client(at).pushBlob('team/app', layer)
      const there = await holders(mesh, pushed.digest)
      expect(there).toHaveLength(2)
      expect(there).toContain(at)
      const config = await client((at + 1) % 3).pushBlob('team/app', '{}')
      const manifest = imageManifest({ ...config, mediaType: 'application/x.config' }, [pushed], {
        mediaType: mediaTypes.ociManifest,
      })
      const put = await client((at + 1) % 3).putManifest('team/app', `t${at}`, manifest)
      expect(put.status).toBe(201)
      for (const reader of [2, 1, 0]) {
        const head = await client(reader).head(`/v2/team/app/blobs/${pushed.digest}`)
        expect([head.status, head.headers['content-length']]).toEqual([200, '5000000'])
        const pulled = await pull(mesh, reader, 'team/app', pushed.digest)
        expect(pulled.status).toBe(200)
        expect(pulled.body.equals(layer)).toBe(true)
      }
    }
  })

  test('is a copy where it was pulled, and read there from then on', async () => {
    const pushed = await client(0).pushBlob('team/cached', bytesOf(300_000))
    const reader = await stranger(mesh, pushed.digest)
    expect((await pull(mesh, reader, 'team/cached', pushed.digest)).status).toBe(200)
    await until(() => hasFile(mesh.registries[reader]!, pushed.digest))
    const asked = countReads(mesh)
    expect((await pull(mesh, reader, 'team/cached', pushed.digest)).status).toBe(200)
    expect(asked).toEqual([])
  })

  test('is asked of its owners once, however many pull it at once', async () => {
    const layer = bytesOf(3_000_000)
    const pushed = await client(1).pushBlob('team/herd', layer)
    const reader = await stranger(mesh, pushed.digest)
    const asked = countReads(mesh)
    const all = await Promise.all(
      Array.from({ length: 20 }, () => pull(mesh, reader, 'team/herd', pushed.digest)),
    )
    for (const { status, body } of all) expect([status, body.equals(layer)]).toEqual([200, true])
    expect(asked).toHaveLength(1)
  })

  test('is read in ranges on a node without a copy', async () => {
    const layer = bytesOf(2_000_000)
    const pushed = await client(2).pushBlob('team/ranges', layer)
    const reader = await stranger(mesh, pushed.digest)
    const path = `/v2/team/ranges/blobs/${pushed.digest}`
    for (const [first, last] of [
      [1_900_000, 1_999_999],
      [0, 0],
      [777, 1_234_567],
    ] as const) {
      const part = await client(reader).get(path, { Range: `bytes=${first}-${last}` })
      expect(part.status).toBe(206)
      expect(part.headers['content-range']).toBe(`bytes ${first}-${last}/2000000`)
      expect(part.body.equals(layer.subarray(first, last + 1))).toBe(true)
    }
  })

  test('that is there already is not sent again: its rows are touched', async () => {
    const layer = bytesOf(100_000)
    const first = await client(0).pushBlob('team/again', layer)
    const again = await stranger(mesh, first.digest)
    await client(again).pushBlob('team/other', layer)
    expect(await holders(mesh, first.digest)).toHaveLength(3)
    for (const at of [0, 1, 2]) {
      expect((await pull(mesh, at, 'team/other', first.digest)).body.equals(layer)).toBe(true)
    }
  })

  test('is read by the server itself on a node without a copy', async () => {
    const padding = 'x'.repeat(4_000)
    const config = JSON.stringify({ architecture: 'riscv64', os: 'plan9', padding })
    const pushed = await client(0).pushBlob('team/inspect', config)
    const reader = await stranger(mesh, pushed.digest)
    const typed = { ...pushed, mediaType: 'application/vnd.oci.image.config.v1+json' }
    const manifest = imageManifest(typed, [], { mediaType: mediaTypes.ociManifest })
    const put = await client(0).putManifest('team/inspect', 'v1', manifest)
    expect(put.status).toBe(201)
    const shown = await client(reader).get('/admin/repositories/team/inspect/manifests/v1')
    expect(JSON.stringify(shown.json ?? shown.text)).toContain('riscv64')
  })
})

describe('hostile words between nodes', () => {
  /** Sends the head and these bytes, and ends the body if the length was right. */
  function send(query: string, headers: Record<string, string | number>, body?: Uint8Array) {
    const asked: ClientRequest = mesh.peers(1).client(2).open('POST', `${blobPaths.keep}?${query}`)
    for (const [name, value] of Object.entries(headers)) asked.setHeader(name, value)
    const answered = new Promise<number>((resolve) => {
      asked.on('response', (answer) => resolve(answer.resume().statusCode!))
      asked.on('error', () => resolve(0))
      asked.on('close', () => resolve(0))
    })
    asked.flushHeaders()
    if (body !== undefined) asked.write(body)
    return { asked, answered }
  }

  const registry = () => mesh.registries[1]!
  const bytes = Buffer.alloc(50_000, 'x')
  const right = digestOf('sha256', bytes)
  const wrong = digestOf('sha256', Buffer.from('y'))

  async function expectNothing(digest: string): Promise<void> {
    await until(async () => (await registry().uploadFiles()).length === 0)
    expect(await hasFile(registry(), digest)).toBe(false)
  }

  test('a file with another digest is refused, and nothing stays', async () => {
    const { asked, answered } = send(
      `digest=${wrong}&size=50000`,
      { 'Content-Length': 50_000 },
      bytes,
    )
    asked.end()
    expect(await answered).toBe(400)
    await expectNothing(wrong)
  })

  test('a file that is cut is refused, and nothing stays', async () => {
    const { asked, answered } = send(
      `digest=${right}&size=50000`,
      { 'Content-Length': 50_000 },
      bytes.subarray(0, 40_000),
    )
    await until(async () => (await registry().uploadFiles()).length === 1)
    asked.destroy()
    expect(await answered).toBe(0)
    await expectNothing(right)
  })

  test('a length that is not the one of the path is refused before a byte is read', async () => {
    for (const headers of [{ 'Content-Length': 50_001 }, { 'Transfer-Encoding': 'chunked' }]) {
      const { asked, answered } = send(`digest=${right}&size=50000`, headers)
      expect(await answered).toBe(400)
      asked.destroy()
    }
    await expectNothing(right)
  })

  test('paths and messages that are not understood to the last byte are refused', async () => {
    for (const query of [
      '',
      `digest=${right}`,
      `digest=${right}&size=0`,
      `digest=${right}&size=01`,
      `digest=${right}&size=-1`,
      `digest=${right}&size=50000&more=1`,
      `digest=md5:00&size=50000`,
      `digest=${right.toUpperCase()}&size=50000`,
    ]) {
      const { asked, answered } = send(query, { 'Content-Length': 5 }, Buffer.from('hello'))
      asked.end()
      expect([400, 0]).toContain(await answered)
    }
    const ask = async (path: string, message: unknown) => {
      const asked = mesh.peers(1).client(2).open('POST', path)
      const body = Buffer.from(JSON.stringify(message))
      asked.setHeader('Content-Length', body.byteLength)
      return new Promise<number>((resolve, reject) => {
        asked.on('response', (answer) => resolve(answer.resume().statusCode!)).on('error', reject)
        asked.end(body)
      })
    }
    for (const message of [
      {},
      { ask: 'keep' },
      { ask: 'keep', digest: 'sha256:1' },
      { ask: 'keep', digest: right, more: 1 },
      { ask: 'release', copy: { member: 1, boot: -1, pin: 1 } },
      { ask: 'restore', digest: right, size: 1.5 },
    ]) {
      expect(await ask(blobPaths.pins, message)).toBe(400)
    }
    const blobs = Array.from({ length: 1_001 }, () => ({ digest: right, size: 1 }))
    expect(await ask(blobPaths.copies, { blobs })).toBe(400)
    expect(await ask(blobPaths.copies, { blobs: blobs.slice(0, 1_000) })).toBe(200)
    await expectNothing(right)
  })
})
