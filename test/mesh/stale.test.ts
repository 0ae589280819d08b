/**
 * @module Nodes whose log does not answer, where the operator wants old answers rather than none: through their front
 * doors, on both engines.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { StaleReads } from '../../src/http/stale-reads.ts'
import { ENGINES, until } from '../support/in-process.ts'
import { EtcdCluster, etcdVersion, needEtcd } from '../support/mesh/etcd.ts'
import { MeshRegistries } from '../support/mesh/mesh-registries.ts'

needEtcd()

const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const accept = { Accept: manifestType }
const warning = '110 - "Response is Stale"'

let etcd: EtcdCluster
let mesh: MeshRegistries
const stale = new StaleReads()

beforeAll(async () => {
  if (etcdVersion === undefined) return
  etcd = await EtcdCluster.start({ members: 1 })
  const log = { endpoints: etcd.endpoints, cluster: 'stale' }
  mesh = await MeshRegistries.start(log, 2, { engines: ENGINES, stale })
})
afterAll(async () => {
  await mesh?.stop()
  await etcd?.stop()
})

test('they answer tags and lists with a mark, refuse writes and promises, and are degraded', async () => {
  const clients = mesh.registries.map(({ client }) => client)
  const [first] = clients
  const { digest: config } = await first!.pushBlob('team/app', Buffer.from('{}'))
  const descriptor = {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: config,
    size: 2,
  }
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: manifestType,
    config: descriptor,
    layers: [],
  })
  const put = (tag: string, at = 0) =>
    clients[at]!.request('PUT', `/v2/team/app/manifests/${tag}`, {
      headers: { 'Content-Type': manifestType },
      body,
    })
  expect((await put('v1')).status).toBe(201)
  for (const client of clients) {
    const fresh = await client.get('/v2/team/app/manifests/v1', accept)
    expect([fresh.status, fresh.headers['warning']]).toEqual([200, undefined])
  }
  const { headers } = await first!.get('/v2/team/app/manifests/v1', accept)
  const name = String(headers['docker-content-digest'])

  await etcd.members[0]!.kill()
  await until(() => [1, 2].every((member) => mesh.set(member).state === 'silent'))

  const writes = clients.map((_, at) => put('v2', at))
  for (const client of clients) {
    const read = (path: string, method = 'GET') => client.request(method, path, { headers: accept })
    const tag = await read('/v2/team/app/manifests/v1')
    expect([tag.status, tag.headers['warning'], tag.text]).toEqual([200, warning, body])
    const head = await read('/v2/team/app/manifests/v1', 'HEAD')
    expect([head.status, head.headers['warning']]).toEqual([200, warning])
    const gone = await read('/v2/team/app/manifests/none')
    expect([gone.status, gone.headers['warning']]).toEqual([404, warning])
    const tags = await read('/v2/team/app/tags/list')
    expect([tags.status, tags.headers['warning'], tags.json]).toEqual([
      200,
      warning,
      { name: 'team/app', tags: ['v1'] },
    ])
    expect((await read('/v2/_catalog')).headers['warning']).toBe(warning)
    const named = await read(`/v2/team/app/manifests/${name}`)
    expect([named.status, named.headers['warning']]).toEqual([200, undefined])
    expect((await read(`/v2/team/app/manifests/${name}`, 'HEAD')).status).toBe(503)

    for (const path of ['/health', '/readyz']) {
      const answer = await client.get(path)
      expect([answer.status, answer.json]).toMatchObject([
        200,
        {
          status: 'degraded',
          checks: { mesh: 'the log does not answer; tags and lists may be old' },
        },
      ])
    }
  }
  for (const { status } of await Promise.all(writes)) expect(status).toBe(503)
  expect(stale.count).toBeGreaterThanOrEqual(10)

  await etcd.revive()
  for (const client of clients) {
    await until(async () => {
      const back = await client.get('/v2/team/app/manifests/v1', accept)
      return back.status === 200 && back.headers['warning'] === undefined
    })
    await until(async () => (await client.get('/readyz')).text.includes('"status":"ready"'))
  }
})
