/**
 * @module Files of blobs on nodes as an operator starts them: read through every node, also when the one is killed that
 * took them, and of a registry that was one node before.
 */
import { randomBytes } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import { until } from '../support/in-process.ts'
import { needEtcd } from '../support/mesh/etcd.ts'
import { MeshProcess, meshPorts, type NodeOptions } from '../support/mesh/nodes.ts'

needEtcd()

const nodes: MeshProcess[] = []
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.dispose()))
})

async function start(port: number, options?: NodeOptions): Promise<MeshProcess> {
  const node = await MeshProcess.start(port, options)
  nodes.push(node)
  return node
}

interface Shown {
  readonly voter: boolean
  readonly serving: boolean
}

async function membersOf(node: MeshProcess): Promise<readonly Shown[]> {
  const { json } = await node.client.get('/admin/mesh')
  return (json as { readonly members: readonly Shown[] }).members
}

/** As clients do: until the others know that a node is gone a push may have an outcome that nobody knows. */
async function pushPatiently(node: MeshProcess, bytes: Uint8Array): Promise<{ digest: string }> {
  const push = () => node.client.pushBlob('team/app', bytes)
  return push().catch((error: unknown) => {
    expect(String(error)).toContain('503')
    return push()
  })
}

async function expectBytes(node: MeshProcess, digest: string, bytes: Uint8Array): Promise<void> {
  const { status, body } = await node.client.get(`/v2/team/app/blobs/${digest}`)
  expect([status, body.equals(bytes)]).toEqual([200, true])
}

test('a layer outlives the node that took it, at the moment of its 201', async () => {
  const ports = await meshPorts(3)
  const peers = ports.map((port) => `127.0.0.1:${port}`)
  const all = await Promise.all(ports.map((port) => start(port, { mesh: { peers } })))
  const [a, b, c] = all as [MeshProcess, MeshProcess, MeshProcess]
  // Before that the one that is killed may be all that orders the log.
  await until(async () => (await membersOf(c)).every(({ voter, serving }) => voter && serving))
  const layers = Array.from({ length: 6 }, () => randomBytes(2_000_000))
  const digests: string[] = []
  for (const layer of layers) digests.push((await a.client.pushBlob('team/app', layer)).digest)
  await a.kill()
  for (const [at, layer] of layers.entries()) {
    for (const node of [b, c]) await expectBytes(node, digests[at]!, layer)
  }
  const later = randomBytes(1_000_000)
  const { digest } = await pushPatiently(b, later)
  await a.restart()
  for (const node of [a, b, c]) await expectBytes(node, digest, later)
})

test('layers of one node are layers of the mesh that it becomes', async () => {
  const [one, two] = (await meshPorts(2)) as [number, number]
  const alone = await start(one, { mesh: { enabled: false } })
  const layer = randomBytes(3_000_000)
  const { digest } = await alone.client.pushBlob('team/app', layer)
  expect(await alone.terminate()).toBe(0)
  const founder = await start(one, { storage: alone.storage })
  await expectBytes(founder, digest, layer)
  const joined = await start(two, { mesh: { peers: [founder.address] } })
  await expectBytes(joined, digest, layer)
  const later = randomBytes(500_000)
  const pushed = await joined.client.pushBlob('team/app', later)
  await expectBytes(founder, pushed.digest, later)
})

test('a push waits for as many copies as its node is told to, and for fewer where that is allowed', async () => {
  const [one, two] = (await meshPorts(2)) as [number, number]
  const founder = await start(one, { mesh: { degraded_writes: 'allow' } })
  const peers = [founder.address]
  const joined = await start(two, { mesh: { peers, write_copies: 1 } })
  const counted = async ({ client }: MeshProcess, outcome: string) => {
    const { text } = await client.get('/metrics')
    return new RegExp(`placements_total{outcome="${outcome}"} (\\d+)`).exec(text)?.[1]
  }
  await until(async () => (await membersOf(founder)).every(({ serving }) => serving))
  for (const node of [founder, joined]) await node.client.pushBlob('team/app', randomBytes(90_000))
  expect(await counted(founder, 'streamed')).toBe('1')
  // It has sent nothing: the other copy comes behind the answer.
  expect([await counted(joined, 'streamed'), await counted(joined, 'sent')]).toEqual(['0', '1'])
  await joined.kill()
  const layer = randomBytes(100_000)
  const { digest } = await pushPatiently(founder, layer)
  await expectBytes(founder, digest, layer)
  expect(await counted(founder, 'degraded')).toBe('1')
})

test('a mesh has the number of copies of the node that founded it', async () => {
  const [one, two] = (await meshPorts(2)) as [number, number]
  const founder = await start(one, { mesh: { replication_factor: 1 } })
  const joined = await start(two, { mesh: { peers: [founder.address] } })
  const saysOther = ({ logs }: MeshProcess) =>
    logs.filter((line) => line.includes('mesh.replication_factor is 2 on this node'))
  await until(() => saysOther(joined).length > 0)
  expect(saysOther(joined)).toHaveLength(1)
  expect(saysOther(joined)[0]).toContain('founded with 1')
  expect(founder.logs.filter((line) => line.includes('mesh.replication_factor'))).toEqual([])
})
