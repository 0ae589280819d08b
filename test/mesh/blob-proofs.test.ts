/**
 * @module What a node of a mesh believes of the copies of others before it lets go of what it has: only what they have
 * read; and that the number of copies is one of the mesh.
 */
import { randomBytes } from 'node:crypto'
import { readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { blobPaths } from '../../src/mesh/blobs/protocol.ts'
import { MeshError } from '../../src/mesh/identity/problem.ts'
import type { MemberState } from '../../src/metadata/rows/mesh.ts'
import { until } from '../support/in-process.ts'
import {
  clientOf,
  hasFile,
  holders,
  pathOf,
  pull,
  stranger,
  writeBelow,
} from '../support/mesh/blob-files.ts'
import { useEtcd } from '../support/mesh/etcd.ts'
import { MeshRegistries, type MeshRegistriesOptions } from '../support/mesh/mesh-registries.ts'

const etcd = useEtcd()
let meshes = 0

async function ownMesh(options: MeshRegistriesOptions = {}): Promise<MeshRegistries> {
  meshes += 1
  const log = { endpoints: etcd().endpoints, cluster: `proofs-${meshes}` }
  const own = await MeshRegistries.start(log, 3, { inlineLimit: 1_024, ...options })
  onTestFinished(() => own.stop())
  return own
}

function setStates(own: MeshRegistries, stateOf: (at: number) => MemberState): void {
  const members = own.peers(1).members.map((it, at) => ({ ...it, state: stateOf(at) }))
  for (const at of members.keys()) own.peers(at + 1).setMembers(members)
}

/** As a disk does it: nothing else of the file tells. */
async function flipBit(path: string): Promise<void> {
  const bytes = await readFile(path)
  const { atime, mtime } = await stat(path)
  bytes[bytes.length >> 1]! ^= 1
  await writeFile(path, bytes)
  await utimes(path, atime, mtime)
}

test('the only good copy stays while all of its owners have bad ones, which are made anew from it', async () => {
  const own = await ownMesh()
  const layer = randomBytes(400_000)
  const { digest } = await clientOf(own, 0).pushBlob('team/safe', layer)
  const third = await stranger(own, digest)
  expect((await pull(own, third, 'team/safe', digest)).status).toBe(200)
  await until(() => hasFile(own.registries[third]!, digest))
  const paths = [1, 2].map((at) => pathOf(own.registries[at]!, digest))
  for (const path of paths) await flipBit(path)
  setStates(own, (at) => (at === 0 ? 'draining' : 'active'))
  for (const path of paths) {
    await until(async () => (await readFile(path).catch(() => undefined))?.equals(layer) === true)
  }
  for (const at of [1, 2]) {
    const bad = await readdir(join(own.registries[at]!.folder, 'trash', 'quarantine'))
    expect(bad).toHaveLength(1)
  }
  expect((await readFile(pathOf(own.registries[0]!, digest))).equals(layer)).toBe(true)
})

test('a copy that others own by now goes when they have read theirs', async () => {
  const own = await ownMesh({ cacheBytesMax: 0 })
  const { digest } = await clientOf(own, 0).pushBlob('team/moved', randomBytes(300_000))
  setStates(own, (at) => (at === 0 ? 'draining' : 'active'))
  const have = () => Promise.all([1, 2].map((at) => hasFile(own.registries[at]!, digest)))
  await until(async () => (await have()).every((it) => it))
  // The next walk, a minute later, would do as well.
  setStates(own, (at) => (at === 0 ? 'out' : 'active'))
  await until(async () => !(await hasFile(own.registries[0]!, digest)))
  expect(await holders(own, digest)).toEqual([1, 2])
})

test('a blob is not lost while a member that says it has none finds a right one when it looks', async () => {
  const own = await ownMesh()
  const layer = randomBytes(200_000)
  const { digest } = await clientOf(own, 0).pushBlob('team/kept', layer)
  const reader = await stranger(own, digest)
  const [one, other] = (await holders(own, digest)) as [number, number]
  await rm(pathOf(own.registries[one]!, digest))
  const route = own.peers(other + 1).routes.get(blobPaths.bytes)!
  own.peers(other + 1).dropRoute(blobPaths.bytes)
  let proofs = 0
  const proof = own.peers(other + 1).routes.get(blobPaths.proof)!
  own.peers(other + 1).dropRoute(blobPaths.proof)
  own.peers(other + 1).addRoute(blobPaths.proof, {
    ...proof,
    answer: async (call) => {
      await proof.answer(call)
      proofs += 1
    },
  })
  own.peers(other + 1).addRoute(blobPaths.bytes, {
    ...route,
    answer: () => Promise.reject(new MeshError('blob', 'this node has no copy of the blob')),
  })
  expect((await pull(own, reader, 'team/kept', digest)).status).toBe(404)
  await until(async () => proofs > 0)
  own.peers(other + 1).dropRoute(blobPaths.bytes)
  own.peers(other + 1).addRoute(blobPaths.bytes, route)
  await until(async () => (await pull(own, reader, 'team/kept', digest)).status === 200)
  expect((await pull(own, reader, 'team/kept', digest)).body.equals(layer)).toBe(true)
})

test.each([true, false])('the last look at this node is one at the bytes: %s', async (isRight) => {
  const own = await ownMesh()
  const layer = randomBytes(150_000)
  const { digest } = await clientOf(own, 0).pushBlob('team/last', layer)
  const reader = await stranger(own, digest)
  const path = pathOf(own.registries[reader]!, digest)
  const old = new Date(Date.now() - 60_000)
  // The others would find it: here it is for the look alone.
  if (!isRight) own.peers(reader + 1).dropRoute(blobPaths.bytes)
  let isThere = false
  for (const at of await holders(own, digest)) {
    await rm(pathOf(own.registries[at]!, digest))
    const peers = own.peers(at + 1)
    const route = peers.routes.get(blobPaths.bytes)!
    peers.dropRoute(blobPaths.bytes)
    // As if it came here by another way, while the others are asked.
    const answer = async () => {
      if (!isThere) {
        isThere = true
        await writeBelow(path, isRight ? layer : Buffer.alloc(layer.length))
        // Nothing but its bytes tells that it is bad.
        await utimes(path, old, old)
      }
      throw new MeshError('blob', 'this node has no copy of the blob')
    }
    peers.addRoute(blobPaths.bytes, { ...route, answer })
  }
  expect((await pull(own, reader, 'team/last', digest)).status).toBe(404)
  if (isRight) {
    await until(async () => (await pull(own, reader, 'team/last', digest)).status === 200)
    expect((await pull(own, reader, 'team/last', digest)).body.equals(layer)).toBe(true)
    // They lost theirs: the one here is enough to make them anew.
    await until(async () => (await holders(own, digest)).length === 3)
  } else {
    const blob = `/v2/team/last/blobs/${digest}`
    await until(async () => (await clientOf(own, reader).head(blob)).status === 404)
    expect(await hasFile(own.registries[reader]!, digest)).toBe(false)
    const quarantine = join(own.registries[reader]!.folder, 'trash', 'quarantine')
    expect(await readdir(quarantine)).toHaveLength(1)
  }
})

test('the number of copies is that of the founding, and a node with another one says so once', async () => {
  const own = await ownMesh({ replicationFactor: 3 })
  const { digest } = await clientOf(own, 0).pushBlob('team/three', randomBytes(90_000))
  await until(async () => (await holders(own, digest)).length === 3)
  const said = (at: number) =>
    own.registries[at]!.logLines.filter((line) => line.includes('mesh.replication_factor is 2'))
  for (const at of [0, 1, 2]) {
    await until(async () => said(at).length > 0)
    expect(said(at)).toHaveLength(1)
    expect(said(at)[0]).toContain('founded with 3')
  }
})
