/**
 * @module Files of blobs in a mesh while nodes, disks and rows go: what was acknowledged outlives a node and a disk, and
 * goes everywhere when its rows do.
 */
import { randomBytes } from 'node:crypto'
import { readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { blobPaths } from '../../src/mesh/blobs/protocol.ts'
import type { MemberState } from '../../src/metadata/rows/mesh.ts'
import { digestOf } from '../../src/registry/hasher.ts'
import { mediaTypes } from '../../src/registry/media-type.ts'
import { adminJson, collect } from '../support/admin.ts'
import { until } from '../support/in-process.ts'
import {
  clientOf,
  hasFile,
  holders,
  pathOf,
  pull,
  stranger,
  takeNothing,
  trashed,
  writeBelow,
} from '../support/mesh/blob-files.ts'
import { useEtcd } from '../support/mesh/etcd.ts'
import { MeshRegistries, type MeshRegistriesOptions } from '../support/mesh/mesh-registries.ts'
import { imageManifest } from '../support/registry-client.ts'

const etcd = useEtcd()
let meshes = 0

/** One that goes with the test. */
async function ownMesh(options: MeshRegistriesOptions = {}, count = 3): Promise<MeshRegistries> {
  meshes += 1
  const log = { endpoints: etcd().endpoints, cluster: `blobs-${meshes}` }
  const own = await MeshRegistries.start(log, count, { inlineLimit: 1_024, ...options })
  onTestFinished(() => own.stop())
  return own
}

const client = (at: number, of: MeshRegistries) => clientOf(of, at)
const bytesOf = (length: number) => randomBytes(length)

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
        const { status, body } = await pull(own, at, 'team/left', digest)
        expect([status, body.equals(layers[number]!)]).toEqual([200, true])
      }
    }
    const later = await client(1, own).pushBlob('team/left', bytesOf(200_000))
    expect(await holders(own, later.digest)).toEqual([1, 2])
  })

  test('a push that finds no second node is refused, and goes on where it stood', async () => {
    const own = await ownMesh()
    const layer = bytesOf(300_000)
    const digest = digestOf('sha256', layer)
    const location = await client(0, own).open('team/short')
    const giveBack = [2, 3].flatMap((member) => takeNothing(own, member))
    const path = `${location}?digest=${digest}`
    const refused = await client(0, own).request('PUT', path, { body: layer })
    expect(refused.status).toBe(503)
    expect(refused.headers['retry-after']).toBe('5')
    expect(await holders(own, digest)).toEqual([])
    for (const give of giveBack) give()
    const again = await client(0, own).request('PUT', path, { body: layer })
    expect(again.status).toBe(201)
    expect(await holders(own, digest)).toHaveLength(2)
  })

  test('an owner whose files were wiped gives the bytes of the other, and has them again', async () => {
    const own = await ownMesh()
    const layer = bytesOf(700_000)
    const pushed = await client(0, own).pushBlob('team/wiped', layer)
    await rm(join(own.registries[0]!.folder, 'blobs'), { recursive: true })
    for (const at of [0, 1, 2]) {
      const { status, body } = await pull(own, at, 'team/wiped', pushed.digest)
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
    const { status, body } = await pull(own, 1, 'team/rot', pushed.digest)
    expect([status, body.equals(layer)]).toEqual([200, true])
    await until(async () => (await readFile(path).catch(() => undefined))?.equals(layer) === true)
    const quarantined = await readdir(join(own.registries[1]!.folder, 'trash', 'quarantine'))
    expect(quarantined).toHaveLength(1)
    for (const at of [0, 2]) {
      expect((await pull(own, at, 'team/rot', pushed.digest)).body.equals(layer)).toBe(true)
    }
  })

  test('a bit that has rotten away unseen is found by the node that fetches, and made good', async () => {
    const own = await ownMesh()
    const layer = bytesOf(500_000)
    const pushed = await client(0, own).pushBlob('team/unseen', layer)
    const reader = await stranger(own, pushed.digest)
    const bad = (await holders(own, pushed.digest))[0]!
    const path = pathOf(own.registries[bad]!, pushed.digest)
    const flipped = Buffer.from(layer)
    flipped[499_999]! ^= 1
    const { atime, mtime } = await stat(path)
    await writeFile(path, flipped)
    await utimes(path, atime, mtime)
    let isWhole = false
    for (let turn = 0; turn < 3 && !isWhole; turn += 1) {
      // One that is cut is no answer; one that is whole is right.
      const pulled = await pull(own, reader, 'team/unseen', pushed.digest).catch(() => undefined)
      if (pulled?.status === 200) isWhole = pulled.body.equals(layer)
      if (pulled?.status === 200) expect(isWhole).toBe(true)
    }
    expect(isWhole).toBe(true)
    await until(async () => (await readFile(path).catch(() => undefined))?.equals(layer) === true)
  })

  test('a blob whose copies are all gone is one that the registry does not have, until it is pushed again', async () => {
    const own = await ownMesh()
    const layer = bytesOf(250_000)
    const { digest } = await client(0, own).pushBlob('team/gone', layer)
    for (const { folder } of own.registries) {
      await rm(join(folder, 'blobs'), { recursive: true, force: true })
    }
    expect((await pull(own, 2, 'team/gone', digest)).status).toBe(404)
    await until(
      async () => (await client(1, own).head(`/v2/team/gone/blobs/${digest}`)).status === 404,
    )
    await client(2, own).pushBlob('team/gone', layer)
    expect(await holders(own, digest)).toHaveLength(2)
    expect((await pull(own, 0, 'team/gone', digest)).body.equals(layer)).toBe(true)
  })

  test('a node that has no answer of those with copies says so, and does not say that there is none', async () => {
    const own = await ownMesh()
    const { digest } = await client(0, own).pushBlob('team/silent', bytesOf(100_000))
    const reader = await stranger(own, digest)
    for (const at of await holders(own, digest)) own.peers(at + 1).dropRoute(blobPaths.bytes)
    const refused = await pull(own, reader, 'team/silent', digest)
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
      const at = await stranger(own, digest)
      fetched.push({ at, digest })
      expect((await pull(own, at, 'team/lru', digest)).status).toBe(200)
    }
    for (const at of [1, 2]) {
      const mine = fetched.filter((it) => it.at === at).map(({ digest }) => digest)
      await until(async () => {
        const left = await Promise.all(mine.map((digest) => hasFile(own.registries[at]!, digest)))
        return left.filter(Boolean).length === Math.min(2, mine.length)
      })
    }
    for (const digest of digests) expect((await holders(own, digest)).length).toBeGreaterThan(1)
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
    expect((await pull(own, 2, 'team/restart', digest)).status).toBe(200)
    expect(await holders(own, digest)).toHaveLength(2)
  })
})

describe('what happens to members', () => {
  function setStates(own: MeshRegistries, states: readonly MemberState[]): void {
    const members = own.peers(1).members.map((it, at) => ({ ...it, state: states[at]! }))
    for (const member of states.keys()) own.peers(member + 1).setMembers(members)
  }

  test('a node alone keeps files alone', async () => {
    const own = await ownMesh({}, 1)
    const layer = bytesOf(80_000)
    const { digest } = await client(0, own).pushBlob('team/alone', layer)
    expect((await pull(own, 0, 'team/alone', digest)).body.equals(layer)).toBe(true)
    const range = { Range: 'bytes=5-9' }
    const part = await client(0, own).get(`/v2/team/alone/blobs/${digest}`, range)
    expect(part.body.equals(layer.subarray(5, 10))).toBe(true)
  })

  test('a new one fetches what it owns', async () => {
    const own = await ownMesh()
    setStates(own, ['active', 'active', 'joining'])
    // By a pull the new one looks at who is who.
    const seen = await client(0, own).pushBlob('team/grow', bytesOf(8_000))
    expect((await pull(own, 2, 'team/grow', seen.digest)).status).toBe(200)
    const digests: string[] = []
    for (let turn = 0; turn < 16; turn += 1) {
      digests.push((await client(turn % 2, own).pushBlob('team/grow', bytesOf(9_000))).digest)
    }
    for (const digest of digests) expect(await holders(own, digest)).toEqual([0, 1])
    setStates(own, ['active', 'active', 'active'])
    await until(async () => {
      const all = await Promise.all(digests.map((digest) => holders(own, digest)))
      return all.some((it) => it.includes(2))
    })
    for (const digest of digests) {
      expect((await pull(own, 2, 'team/grow', digest)).status).toBe(200)
    }
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
    const reader = await stranger(own, lost.digest)
    await pull(own, reader, 'team/collect', lost.digest)
    await until(async () => (await holders(own, lost.digest)).length === 3)
    await collect(client(2, own))
    await collect(client(2, own))
    await until(async () => (await holders(own, lost.digest)).length === 0)
    for (const registry of own.registries) {
      await until(async () => (await trashed(registry)).length === 0)
    }
    expect(await holders(own, kept.digest)).toHaveLength(2)
    for (const at of [0, 1, 2]) {
      expect((await pull(own, at, 'team/collect', kept.digest)).status).toBe(200)
      expect((await pull(own, at, 'team/collect', lost.digest)).status).toBe(404)
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
    const without = await stranger(own, pushed.digest)
    const gone = await client(1, own).delete('/v2/team/back/manifests/v1')
    expect(gone.status).toBe(202)
    await collect(client(0, own))
    await until(async () => (await holders(own, pushed.digest)).length === 0)
    expect((await pull(own, 0, 'team/back', pushed.digest)).status).toBe(404)
    const body = { repository: 'team/back', tag: 'v1' }
    await adminJson(client(without, own), 'POST', '/admin/undelete', body)
    for (const at of [0, 1, 2]) {
      const pulled = await pull(own, at, 'team/back', pushed.digest)
      expect([pulled.status, pulled.body.equals(layer)]).toEqual([200, true])
    }
  })
})
