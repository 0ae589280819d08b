/**
 * @module Files of blobs in a mesh of three registries, through their front doors: what one has acknowledged has two
 * copies, is read through every node, outlives a disk, and goes everywhere when it goes.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import type { ClientRequest } from 'node:http'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { blobPaths } from '../../src/mesh/blobs/protocol.ts'
import { digestOf } from '../../src/registry/hasher.ts'
import { mediaTypes } from '../../src/registry/media-type.ts'
import { adminJson, collect } from '../support/admin.ts'
import { type InProcessRegistry, until } from '../support/in-process.ts'
import { EtcdCluster, etcdVersion, needEtcd } from '../support/mesh/etcd.ts'
import { MeshRegistries, type MeshRegistriesOptions } from '../support/mesh/mesh-registries.ts'
import { imageManifest } from '../support/registry-client.ts'

needEtcd()

let etcd: EtcdCluster
let mesh: MeshRegistries
let meshes = 0

beforeAll(async () => {
  if (etcdVersion === undefined) return
  etcd = await EtcdCluster.start()
  mesh = await startMesh()
})
afterAll(async () => {
  await mesh?.stop()
  await etcd?.stop()
})

function startMesh(options: MeshRegistriesOptions = {}): Promise<MeshRegistries> {
  meshes += 1
  const log = { endpoints: etcd.endpoints, cluster: `blobs-${meshes}` }
  return MeshRegistries.start(log, 3, { inlineLimit: 1_024, ...options })
}

/** One that goes with the test. */
async function ownMesh(options: MeshRegistriesOptions = {}): Promise<MeshRegistries> {
  const own = await startMesh(options)
  onTestFinished(() => own.stop())
  return own
}

const client = (at: number, of = mesh) => of.registries[at]!.client
const bytesOf = (length: number) => randomBytes(length)

/** Numbers (from 0) of the nodes that have the blob's file. */
async function holders(digest: string, of = mesh): Promise<number[]> {
  const found = await Promise.all(of.registries.map((it) => hasFile(it, digest)))
  return found.flatMap((isThere, at) => (isThere ? [at] : []))
}

function pathOf({ folder }: InProcessRegistry, digest: string, below = 'blobs'): string {
  const [algorithm, hex] = digest.split(':') as [string, string]
  return join(folder, below, algorithm, hex.slice(0, 2), hex)
}

function hasFile(registry: InProcessRegistry, digest: string): Promise<boolean> {
  return stat(pathOf(registry, digest)).then(
    () => true,
    () => false,
  )
}

async function writeBelow(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, bytes)
}

/** Names of the files that collections have put aside. */
async function trashed(folder: string): Promise<string[]> {
  const found = await readdir(join(folder, 'trash'), { recursive: true, withFileTypes: true })
  return found.filter((entry) => entry.isFile()).map(({ name }) => name)
}

/** A node without the file. */
async function stranger(digest: string, of = mesh): Promise<number> {
  const there = await holders(digest, of)
  return [0, 1, 2].find((at) => !there.includes(at))!
}

async function pull(at: number, repository: string, digest: string, of = mesh) {
  return client(at, of).get(`/v2/${repository}/blobs/${digest}`)
}

/** GETs for bytes that the node's peers were asked, by those who ask. */
function countReads(of: MeshRegistries) {
  const counted: number[] = []
  for (const member of [1, 2, 3]) {
    const { routes } = of.peers(member)
    const route = routes.get(blobPaths.bytes)!
    of.peers(member).dropRoute(blobPaths.bytes)
    of.peers(member).addRoute(blobPaths.bytes, {
      ...route,
      answer: (call) => {
        counted.push(member)
        return route.answer(call)
      },
    })
  }
  return counted
}

describe('a blob that is a file', () => {
  test('has two copies when it is acknowledged, and is read through every node, byte for byte', async () => {
    for (const at of [0, 1, 2]) {
      const layer = bytesOf(5_000_000)
      const pushed = await client(at).pushBlob('team/app', layer)
      const there = await holders(pushed.digest)
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
        const pulled = await pull(reader, 'team/app', pushed.digest)
        expect(pulled.status).toBe(200)
        expect(pulled.body.equals(layer)).toBe(true)
      }
    }
  })

  test('is a copy where it was pulled, and read there from then on', async () => {
    const pushed = await client(0).pushBlob('team/cached', bytesOf(300_000))
    const reader = await stranger(pushed.digest)
    expect((await pull(reader, 'team/cached', pushed.digest)).status).toBe(200)
    await until(() => hasFile(mesh.registries[reader]!, pushed.digest))
    const asked = countReads(mesh)
    expect((await pull(reader, 'team/cached', pushed.digest)).status).toBe(200)
    expect(asked).toEqual([])
  })

  test('is asked of its owners once, however many pull it at once', async () => {
    const layer = bytesOf(3_000_000)
    const pushed = await client(1).pushBlob('team/herd', layer)
    const reader = await stranger(pushed.digest)
    const asked = countReads(mesh)
    const all = await Promise.all(
      Array.from({ length: 20 }, () => pull(reader, 'team/herd', pushed.digest)),
    )
    for (const { status, body } of all) expect([status, body.equals(layer)]).toEqual([200, true])
    expect(asked).toHaveLength(1)
  })

  test('is read in ranges on a node without a copy', async () => {
    const layer = bytesOf(2_000_000)
    const pushed = await client(2).pushBlob('team/ranges', layer)
    const reader = await stranger(pushed.digest)
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
    const again = await stranger(first.digest)
    await client(again).pushBlob('team/other', layer)
    expect(await holders(first.digest)).toHaveLength(3)
    for (const at of [0, 1, 2]) {
      expect((await pull(at, 'team/other', first.digest)).body.equals(layer)).toBe(true)
    }
  })

  test('is read by the server itself on a node without a copy', async () => {
    const padding = 'x'.repeat(4_000)
    const config = JSON.stringify({ architecture: 'riscv64', os: 'plan9', padding })
    const pushed = await client(0).pushBlob('team/inspect', config)
    const reader = await stranger(pushed.digest)
    const typed = { ...pushed, mediaType: 'application/vnd.oci.image.config.v1+json' }
    const manifest = imageManifest(typed, [], { mediaType: mediaTypes.ociManifest })
    const put = await client(0).putManifest('team/inspect', 'v1', manifest)
    expect(put.status).toBe(201)
    const shown = await client(reader).get('/admin/repositories/team/inspect/manifests/v1')
    expect(JSON.stringify(shown.json ?? shown.text)).toContain('riscv64')
  })
})

describe('what happens to nodes and disks', () => {
  test('a node that is gone after the 201 takes nothing with it, and pushes go on', async () => {
    const own = await ownMesh()
    const layers = [bytesOf(400_000), bytesOf(400_001), bytesOf(400_002)]
    const pushed = await Promise.all(
      layers.map((layer) => client(0, own).pushBlob('team/left', layer)),
    )
    await own.end(1)
    for (const [number, { digest }] of pushed.entries()) {
      for (const at of [1, 2]) {
        const { status, body } = await pull(at, 'team/left', digest, own)
        expect([status, body.equals(layers[number]!)]).toEqual([200, true])
      }
    }
    const later = await client(1, own).pushBlob('team/left', bytesOf(200_000))
    expect(await holders(later.digest, own)).toEqual([1, 2])
  })

  test('a push that finds no second node is refused, and goes on where it stood', async () => {
    const own = await ownMesh()
    const layer = bytesOf(300_000)
    const digest = digestOf('sha256', layer)
    const location = await client(0, own).open('team/short')
    const keepRoutes = [2, 3].map((member) => own.peers(member).routes.get(blobPaths.keep)!)
    for (const member of [2, 3]) own.peers(member).dropRoute(blobPaths.keep)
    const path = `${location}?digest=${digest}`
    const refused = await client(0, own).request('PUT', path, { body: layer })
    expect(refused.status).toBe(503)
    expect(refused.headers['retry-after']).toBe('5')
    expect(await holders(digest, own)).toEqual([])
    for (const [at, route] of keepRoutes.entries())
      own.peers(at + 2).addRoute(blobPaths.keep, route)
    const again = await client(0, own).request('PUT', path, { body: layer })
    expect(again.status).toBe(201)
    expect(await holders(digest, own)).toHaveLength(2)
  })

  test('an owner whose files were wiped gives the bytes of the other, and has them again', async () => {
    const own = await ownMesh()
    const layer = bytesOf(700_000)
    const pushed = await client(0, own).pushBlob('team/wiped', layer)
    await rm(join(own.registries[0]!.folder, 'blobs'), { recursive: true })
    for (const at of [0, 1, 2]) {
      const { status, body } = await pull(at, 'team/wiped', pushed.digest, own)
      expect([status, body.equals(layer)]).toEqual([200, true])
    }
    await until(() => hasFile(own.registries[0]!, pushed.digest))
  })

  test('a bit that has flipped in a copy is never sent, and the copy is made anew', async () => {
    const own = await ownMesh()
    const layer = bytesOf(600_000)
    const pushed = await client(1, own).pushBlob('team/rot', layer)
    const path = pathOf(own.registries[1]!, pushed.digest)
    const flipped = Buffer.from(layer)
    flipped[300_000]! ^= 1
    await writeFile(path, flipped)
    const { status, body } = await pull(1, 'team/rot', pushed.digest, own)
    expect([status, body.equals(layer)]).toEqual([200, true])
    await until(async () => (await readFile(path).catch(() => undefined))?.equals(layer) === true)
    const quarantined = await readdir(join(own.registries[1]!.folder, 'trash', 'quarantine'))
    expect(quarantined).toHaveLength(1)
    for (const at of [0, 2]) {
      expect((await pull(at, 'team/rot', pushed.digest, own)).body.equals(layer)).toBe(true)
    }
  })

  test('a blob whose copies are all gone is one that the registry does not have, until it is pushed again', async () => {
    const own = await ownMesh()
    const layer = bytesOf(250_000)
    const { digest } = await client(0, own).pushBlob('team/gone', layer)
    for (const { folder } of own.registries) {
      await rm(join(folder, 'blobs'), { recursive: true, force: true })
    }
    expect((await pull(2, 'team/gone', digest, own)).status).toBe(404)
    await until(
      async () => (await client(1, own).head(`/v2/team/gone/blobs/${digest}`)).status === 404,
    )
    await client(2, own).pushBlob('team/gone', layer)
    expect(await holders(digest, own)).toHaveLength(2)
    expect((await pull(0, 'team/gone', digest, own)).body.equals(layer)).toBe(true)
  })

  test('a node that has no answer of those with copies says so, and does not say that there is none', async () => {
    const own = await ownMesh()
    const { digest } = await client(0, own).pushBlob('team/silent', bytesOf(100_000))
    const reader = await stranger(digest, own)
    for (const at of await holders(digest, own)) own.peers(at + 1).dropRoute(blobPaths.bytes)
    const refused = await pull(reader, 'team/silent', digest, own)
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '2'])
    expect((await client(reader, own).head(`/v2/team/silent/blobs/${digest}`)).status).toBe(200)
  })

  test('copies that were fetched for pulls go when they are too many, those of owners stay', async () => {
    const own = await ownMesh({ cacheBytesMax: 250_000 })
    const digests: string[] = []
    for (let turn = 0; turn < 6; turn += 1) {
      digests.push((await client(0, own).pushBlob('team/lru', bytesOf(100_000 + turn))).digest)
    }
    const fetched: { readonly at: number; readonly digest: string }[] = []
    for (const digest of digests) {
      const at = await stranger(digest, own)
      fetched.push({ at, digest })
      expect((await pull(at, 'team/lru', digest, own)).status).toBe(200)
    }
    for (const at of [1, 2]) {
      const mine = fetched.filter((it) => it.at === at).map(({ digest }) => digest)
      await until(async () => {
        const left = await Promise.all(mine.map((digest) => hasFile(own.registries[at]!, digest)))
        return left.filter(Boolean).length === Math.min(2, mine.length)
      })
    }
    for (const digest of digests) expect((await holders(digest, own)).length).toBeGreaterThan(1)
  })

  test('a node that starts again removes what has no row, and serves what has one', async () => {
    const own = await ownMesh()
    const { digest } = await client(2, own).pushBlob('team/restart', bytesOf(90_000))
    const stray = bytesOf(50_000)
    const strayPath = pathOf(own.registries[2]!, digestOf('sha256', stray))
    await own.restart(3, async () => {
      await rm(strayPath, { force: true })
      await writeBelow(strayPath, stray)
    })
    await until(async () => !(await hasFile(own.registries[2]!, digestOf('sha256', stray))))
    expect((await pull(2, 'team/restart', digest, own)).status).toBe(200)
    expect(await holders(digest, own)).toHaveLength(2)
  })
})

describe('files follow the rows', () => {
  const gc = { grace: '0s', undelete_window: '0s', keep_recent: 0 }

  test('a collection on one node removes the files of all nodes', async () => {
    const own = await ownMesh({ storage: { gc } })
    const kept = await client(0, own).pushBlob('team/collect', bytesOf(120_000))
    const config = await client(0, own).pushBlob('team/collect', '{}')
    const typed = { ...config, mediaType: 'application/x.config' }
    const manifest = imageManifest(typed, [kept], { mediaType: mediaTypes.ociManifest })
    await client(1, own).putManifest('team/collect', 'v1', manifest)
    const lost = await client(1, own).pushBlob('team/collect', bytesOf(130_000))
    const reader = await stranger(lost.digest, own)
    await pull(reader, 'team/collect', lost.digest, own)
    await until(async () => (await holders(lost.digest, own)).length === 3)
    await collect(client(2, own))
    await collect(client(2, own))
    await until(async () => (await holders(lost.digest, own)).length === 0)
    for (const { folder } of own.registries) {
      await until(async () => (await trashed(folder)).length === 0)
    }
    expect(await holders(kept.digest, own)).toHaveLength(2)
    for (const at of [0, 1, 2]) {
      expect((await pull(at, 'team/collect', kept.digest, own)).status).toBe(200)
      expect((await pull(at, 'team/collect', lost.digest, own)).status).toBe(404)
    }
  })

  test('a deleted image comes back with its files, by any node', async () => {
    const own = await ownMesh({ storage: { gc: { ...gc, undelete_window: '1h' } } })
    const layer = bytesOf(140_000)
    const pushed = await client(0, own).pushBlob('team/back', layer)
    const config = await client(0, own).pushBlob('team/back', '{}')
    const typed = { ...config, mediaType: 'application/x.config' }
    const manifest = imageManifest(typed, [pushed], { mediaType: mediaTypes.ociManifest })
    await client(0, own).putManifest('team/back', 'v1', manifest)
    const gone = await client(1, own).delete('/v2/team/back/manifests/v1')
    expect(gone.status).toBe(202)
    await collect(client(0, own))
    await until(async () => (await holders(pushed.digest, own)).length === 0)
    expect((await pull(0, 'team/back', pushed.digest, own)).status).toBe(404)
    const body = { repository: 'team/back', tag: 'v1' }
    await adminJson(client(2, own), 'POST', '/admin/undelete', body)
    for (const at of [0, 1, 2]) {
      const pulled = await pull(at, 'team/back', pushed.digest, own)
      expect([pulled.status, pulled.body.equals(layer)]).toEqual([200, true])
    }
  })
})

describe('hostile words between nodes', () => {
  /** Sends the head and these bytes, and ends the body if the length was right. */
  function send(query: string, headers: Record<string, string | number>, body: Uint8Array) {
    const asked: ClientRequest = mesh.peers(1).client(2).open('POST', `${blobPaths.keep}?${query}`)
    for (const [name, value] of Object.entries(headers)) asked.setHeader(name, value)
    const answered = new Promise<number>((resolve) => {
      asked.on('response', (answer) => resolve(answer.resume().statusCode!))
      asked.on('error', () => resolve(0))
      asked.on('close', () => resolve(0))
    })
    asked.write(body)
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
      const { asked, answered } = send(`digest=${right}&size=50000`, headers, bytes)
      expect([400, 0]).toContain(await answered)
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
