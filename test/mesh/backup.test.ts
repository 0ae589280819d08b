/** @module Work on the store of one node that needs the files of others: a backup has all blobs, and so has a store that is detached. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { secretFolder } from '../../src/auth/secret-file.ts'
import { blobPaths } from '../../src/mesh/blobs/protocol.ts'
import { PeerFiles } from '../../src/mesh/standing/peer-files.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { backup } from '../../src/storage/backup.ts'
import { detach } from '../../src/storage/detach.ts'
import type { OpenFileSource } from '../../src/storage/file-source.ts'
import { clientOf, hasFile, pathOf } from '../support/mesh/blob-files.ts'
import { EtcdCluster, etcdVersion, needEtcd } from '../support/mesh/etcd.ts'
import { MeshRegistries } from '../support/mesh/mesh-registries.ts'

needEtcd()

let etcd: EtcdCluster
let mesh: MeshRegistries
const layers = new Map<string, Buffer>()

beforeAll(async () => {
  if (etcdVersion === undefined) return
  etcd = await EtcdCluster.start()
  mesh = await MeshRegistries.start({ endpoints: etcd.endpoints, cluster: 'backup' }, 3, {
    inlineLimit: 1_024,
  })
  for (let at = 0; at < 9; at += 1) {
    const layer = randomBytes(300_000 + at)
    layers.set((await clientOf(mesh, at % 3).pushBlob('team/app', layer)).digest, layer)
  }
})
afterAll(async () => {
  await mesh?.stop()
  await etcd?.stop()
})

/** The peers of the first node, which are asked as it asks. */
const peers: OpenFileSource = async (_path, members) =>
  new PeerFiles(
    { client: (member) => mesh.peers(1).client(member) },
    members.map(({ number }) => number).filter((number) => number !== 1),
  )

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'fastregistry-backup-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

async function lacking(): Promise<string[]> {
  const here = await Promise.all([...layers.keys()].map((it) => hasFile(mesh.registries[0]!, it)))
  return [...layers.keys()].filter((_, at) => !here[at])
}

test('a backup has the files that only other nodes have, beside the running node', async () => {
  const source = mesh.registries[0]!.folder
  const away = await lacking()
  expect(away.length).toBeGreaterThan(0)
  const alone = await backup(source, await folder(), secretFolder, systemClock)
  expect([...alone.missing].sort()).toEqual([...away].sort())
  const target = await folder()
  const whole = await backup(source, target, secretFolder, systemClock, peers)
  expect([whole.missing, whole.fetched, whole.blobs]).toEqual([[], away.length, layers.size])
  for (const [digest, layer] of layers) {
    const path = pathOf({ folder: target }, digest)
    expect((await readFile(path)).equals(layer)).toBe(true)
  }
})

test('what a node sends is compared: other bytes are none, and leave nothing', async () => {
  const [digest] = (await lacking()) as [string]
  const target = await folder()
  for (const member of [2, 3]) {
    const routes = mesh.peers(member)
    const route = routes.routes.get(blobPaths.bytes)!
    routes.dropRoute(blobPaths.bytes)
    routes.addRoute(blobPaths.bytes, {
      ...route,
      answer: async ({ response }) => {
        const size = layers.get(digest)!.length
        response.writeHead(200, { 'Content-Length': size, 'fastregistry-size': size })
        response.end(Buffer.alloc(size))
      },
    })
    onTestFinished(() => {
      routes.dropRoute(blobPaths.bytes)
      routes.addRoute(blobPaths.bytes, route)
    })
  }
  const source = mesh.registries[0]!.folder
  const { missing, fetched } = await backup(source, target, secretFolder, systemClock, peers)
  expect([fetched, missing.includes(digest as never)]).toEqual([0, true])
  await expect(readFile(pathOf({ folder: target }, digest))).rejects.toThrow(/ENOENT/)
})

test('a store that is detached has all files before, while its peers run', async () => {
  const away = await lacking()
  const [registry] = mesh.registries as [(typeof mesh.registries)[0]]
  await registry.stop()
  const alone = await detach(registry.folder, false)
  expect([alone.isDone, [...alone.missing].sort()]).toEqual([false, [...away].sort()])
  const done = await detach(registry.folder, false, peers)
  expect([done.isDone, done.missing]).toEqual([true, []])
  expect(await lacking()).toEqual([])
})
