/**
 * @module A mesh some of whose nodes have no room for files: the others take what clients bring to any node, and only
 * when none has room a client hears of it.
 */
import { randomBytes } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { blobPaths } from '../../src/mesh/blobs/protocol.ts'
import { digestOf } from '../../src/registry/hasher.ts'
import { until } from '../support/in-process.ts'
import { clientOf, holders, pull } from '../support/mesh/blob-files.ts'
import { useEtcd } from '../support/mesh/etcd.ts'
import { MeshRegistries } from '../support/mesh/mesh-registries.ts'

const etcd = useEtcd()
let meshes = 0

/** Three nodes; these members are to keep more free than any disk has. */
async function withFull(...full: number[]): Promise<MeshRegistries> {
  meshes += 1
  const log = { endpoints: etcd().endpoints, cluster: `room-${meshes}` }
  const own = await MeshRegistries.start(log, 3, {
    inlineLimit: 1_024,
    engines: ['uws', 'node'],
    storageOf: (member) => (full.includes(member) ? { reserve_mb: 16_777_216 } : {}),
  })
  onTestFinished(() => own.stop())
  return own
}

/** Opens a session by a node; it may be told 507 before the node knows who has room. */
async function openBy(own: MeshRegistries, at: number): Promise<string> {
  let location: string | undefined
  await until(async () => {
    const { status, headers } = await clientOf(own, at).request(
      'POST',
      '/v2/team/room/blobs/uploads/',
    )
    expect([202, 507]).toContain(status)
    if (status === 202) location = headers['location'] as string
    return location !== undefined
  })
  return location!
}

test('a node without room has its sessions opened by one that has some, and gets no files', async () => {
  const own = await withFull(1)
  const location = await openBy(own, 0)
  expect(location).toMatch(/uploads\/[23]-[0-9a-f]{32}$/)
  const layer = randomBytes(2_000_000)
  const digest = digestOf('sha256', layer)
  const patched = await clientOf(own, 0).request('PATCH', location, { body: layer })
  expect(patched.status).toBe(202)
  const put = await clientOf(own, 0).request('PUT', `${location}?digest=${digest}`)
  expect(put.status).toBe(201)
  expect(await holders(own, digest)).toEqual([1, 2])
  expect((await pull(own, 0, 'team/room', digest)).body.equals(layer)).toBe(true)

  const whole = randomBytes(70_000)
  const path = `/v2/team/room/blobs/uploads/?digest=${digestOf('sha256', whole)}`
  expect((await clientOf(own, 0).request('POST', path, { body: whole })).status).toBe(201)
  expect(await holders(own, digestOf('sha256', whole))).toEqual([1, 2])

  const mount = `/v2/team/mounted/blobs/uploads/?mount=${digest}&from=team/room`
  expect((await clientOf(own, 0).request('POST', mount)).status).toBe(201)
})

test('each node says how much of its disk is used, and how many files it gets', async () => {
  const own = await withFull()
  const answer = await own.peers(1).client(2).get(blobPaths.room)
  const pieces: Buffer[] = []
  for await (const piece of answer as AsyncIterable<Buffer>) pieces.push(piece)
  const { bytes, used, files } = JSON.parse(Buffer.concat(pieces).toString()) as Record<
    string,
    number
  >
  expect(bytes).toBeGreaterThan(0)
  expect(used! >= 0 && used! <= 1_000).toBe(true)
  expect(files).toBe(0)
})

test('when none has room a client hears what it hears of a node alone', async () => {
  const own = await withFull(1, 2, 3)
  for (const at of [0, 1, 2]) {
    const refused = await clientOf(own, at).request('POST', '/v2/team/room/blobs/uploads/')
    expect(refused.status).toBe(507)
  }
})

test('when one alone has room for what needs two copies, a push is to be sent again', async () => {
  const own = await withFull(2, 3)
  const layer = randomBytes(100_000)
  const location = await openBy(own, 0)
  const path = `${location}?digest=${digestOf('sha256', layer)}`
  const refused = await clientOf(own, 0).request('PUT', path, { body: layer })
  expect([refused.status, refused.headers['retry-after']]).toEqual([503, '5'])
})
