/**
 * @module Upload sessions on nodes as an operator starts them: a push through all of them in turn, and one whose
 * session dies with its node.
 */
import { request } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../support/in-process.ts'
import { etcdVersion, needEtcd } from '../support/mesh/etcd.ts'
import { haveRoles, MeshProcess, meshPorts } from '../support/mesh/nodes.ts'
import { RoundRobin } from '../support/mesh/round-robin.ts'
import { RegistryClient, refusal, sha256, someBytes } from '../support/registry-client.ts'

needEtcd()

let nodes: readonly MeshProcess[] = []
beforeAll(async () => {
  if (etcdVersion === undefined) return
  const ports = await meshPorts(3)
  const peers = ports.map((port) => `127.0.0.1:${port}`)
  nodes = await Promise.all(ports.map((port) => MeshProcess.start(port, { mesh: { peers } })))
  // Before, one of them may be the only one that votes: without it there is no log.
  await haveRoles(nodes)
})
afterAll(() => Promise.all(nodes.map((node) => node.dispose())))

test('a push in chunks through all of them in turn', async () => {
  const balancer = await RoundRobin.over(nodes.map(({ client }) => client.port))
  const client = new RegistryClient(balancer.port)
  try {
    const chunks = Array.from({ length: 7 }, (_, at) => someBytes(1_500, at + 1))
    let location = await client.open('team/app')
    for (const [at, body] of chunks.entries()) {
      const headers = { 'Content-Range': `${at * 1_500}-${at * 1_500 + 1_499}` }
      const sent = await client.request('PATCH', location, { headers, body })
      expect(sent.status, sent.text).toBe(202)
      location = sent.headers['location']!
    }
    const digest = sha256(Buffer.concat(chunks))
    expect((await client.request('PUT', `${location}?digest=${digest}`)).status).toBe(201)
    for (const node of nodes) {
      expect((await node.client.head(`/v2/team/app/blobs/${digest}`)).status).toBe(200)
    }
  } finally {
    client.close()
    await balancer.close()
  }
})

test('a node that is killed within a body: 503, and the layer can begin anew on another', async () => {
  const [owner, front] = nodes as [MeshProcess, MeshProcess, MeshProcess]
  const location = await owner.client.open('team/killed')
  const answered = new Promise<{ status: number; retry: string | undefined }>((resolve, reject) => {
    const asked = request({
      host: '127.0.0.1',
      port: front.client.port,
      method: 'PATCH',
      path: location,
      headers: { 'Content-Length': 10_000_000 },
    })
    asked.on('response', ({ statusCode = 0, headers }) => {
      resolve({ status: statusCode, retry: headers['retry-after'] })
    })
    asked.on('error', reject)
    asked.write(someBytes(1_000_000), () => void owner.kill())
  })
  expect(await answered).toEqual({ status: 503, retry: '1' })
  expect(refusal(await front.client.get(location))).toBe('503 UNAVAILABLE')
  // The serving set goes on without it within seconds.
  const again = { digest: '' }
  await until(async () => {
    try {
      again.digest = (await front.client.pushBlob('team/killed', someBytes(2_000, 5))).digest
      return true
    } catch {
      return false
    }
  })
  expect((await front.client.head(`/v2/team/killed/blobs/${again.digest}`)).status).toBe(200)
})
