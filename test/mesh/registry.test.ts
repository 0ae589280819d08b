/**
 * @module Three whole registries on one log, through their front doors: what one has acknowledged, all serve, list,
 * refuse and delete.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../support/in-process.ts'
import { EtcdCluster, etcdVersion, needEtcd } from '../support/mesh/etcd.ts'
import { checkLinearizable } from '../support/mesh/linearizable.ts'
import { MeshRegistries } from '../support/mesh/mesh-registries.ts'
import { HistoryRecorder } from '../support/mesh/register-history.ts'
import { SeededRandom } from '../support/mesh/seeded-random.ts'
import type { RegistryClient } from '../support/registry-client.ts'

needEtcd()

let etcd: EtcdCluster
let mesh: MeshRegistries
const client = (at: number): RegistryClient => mesh.registries[at % 3]!.client

beforeAll(async () => {
  if (etcdVersion === undefined) return
  etcd = await EtcdCluster.start()
  mesh = await MeshRegistries.start({ endpoints: etcd.endpoints, cluster: 'registries' }, 3)
})
afterAll(async () => {
  await mesh?.stop()
  await etcd?.stop()
})

const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const accept = { Accept: manifestType }

/** A manifest of small blobs that are in the repository. */
function manifestOf(config: object, note: string): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: manifestType,
    config,
    layers: [],
    annotations: { note },
  })
}

async function pushConfig(at: number, repository: string, text: string) {
  const digest = await client(at).pushBlob(repository, Buffer.from(text))
  return { mediaType: 'application/vnd.oci.image.config.v1+json', ...asDescriptor(digest, text) }
}

function asDescriptor(digest: unknown, text: string): { digest: string; size: number } {
  const found = typeof digest === 'string' ? digest : (digest as { digest: string }).digest
  return { digest: found, size: Buffer.byteLength(text) }
}

function put(at: number, repository: string, tag: string, body: string, headers = {}) {
  return client(at).request('PUT', `/v2/${repository}/manifests/${tag}`, {
    headers: { 'Content-Type': manifestType, ...headers },
    body,
  })
}

describe('one registry', () => {
  test('a layer through the first, its manifest through the second, a pull through the third', async () => {
    for (let turn = 0; turn < 12; turn += 1) {
      const repository = `team/app${turn % 3}`
      const config = await pushConfig(turn, repository, `{"turn":${turn}}`)
      const body = manifestOf(config, `turn ${turn}`)
      const pushed = await put(turn + 1, repository, 'latest', body)
      expect(pushed.status).toBe(201)
      for (const at of [2, 0, 1]) {
        const pulled = await client(turn + at).get(`/v2/${repository}/manifests/latest`, accept)
        expect([pulled.status, pulled.text]).toEqual([200, body])
        const blob = await client(turn + at).get(`/v2/${repository}/blobs/${config.digest}`)
        expect([blob.status, blob.text]).toEqual([200, `{"turn":${turn}}`])
      }
    }
  })

  test('lists, the catalog, referrers and deletes are the same on all, at once', async () => {
    const repository = 'team/lists'
    const config = await pushConfig(0, repository, '{"lists":1}')
    const subject = await put(1, repository, 'v1', manifestOf(config, 'subject'))
    const digest = subject.headers['docker-content-digest']!
    for (const at of [0, 1, 2]) {
      const tags = await client(at).get(`/v2/${repository}/tags/list`)
      expect(tags.json).toMatchObject({ tags: ['v1'] })
      const catalog = await client(at).get('/v2/_catalog')
      expect((catalog.json as { repositories: string[] }).repositories).toContain(repository)
    }
    const referrer = JSON.stringify({
      ...JSON.parse(manifestOf(config, 'referrer')),
      artifactType: 'application/vnd.example',
      subject: {
        mediaType: manifestType,
        digest,
        size: subject.status === 201 ? Buffer.byteLength(manifestOf(config, 'subject')) : 0,
      },
    })
    const attached = await put(2, repository, 'sig', referrer)
    expect(attached.status).toBe(201)
    for (const at of [1, 0, 2]) {
      const list = await client(at).get(`/v2/${repository}/referrers/${digest}`)
      expect((list.json as { manifests: unknown[] }).manifests).toHaveLength(1)
    }
    const gone = await client(0).delete(`/v2/${repository}/manifests/sig`)
    expect(gone.status).toBe(202)
    for (const at of [2, 1, 0]) {
      expect((await client(at).get(`/v2/${repository}/manifests/sig`, accept)).status).toBe(404)
      expect((await client(at).get(`/v2/${repository}/tags/list`)).json).toMatchObject({
        tags: ['v1'],
      })
    }
  })

  test('a manifest whose blob was pushed elsewhere a moment ago is taken, one without is refused', async () => {
    for (let turn = 0; turn < 10; turn += 1) {
      const config = await pushConfig(turn, 'team/blobs', `{"b":${turn}}`)
      const taken = await put(turn + 2, 'team/blobs', `t${turn}`, manifestOf(config, 'x'))
      expect(taken.status).toBe(201)
    }
    const none = { ...asDescriptor(`sha256:${'0'.repeat(64)}`, 'x'), mediaType: 'application/json' }
    const refused = await put(0, 'team/blobs', 'none', manifestOf(none, 'x'))
    expect([refused.status, refused.text]).toEqual([
      400,
      expect.stringContaining('MANIFEST_BLOB_UNKNOWN'),
    ])
  })

  test('of pushes that all want to be the first, one is', async () => {
    const config = await pushConfig(0, 'team/first', '{"first":1}')
    for (let round = 0; round < 5; round += 1) {
      const answers = await Promise.all(
        Array.from({ length: 9 }, (_, at) =>
          put(at, 'team/first', `r${round}`, manifestOf(config, `${round}-${at}`), {
            'If-None-Match': '*',
          }),
        ),
      )
      const statuses = answers.map(({ status }) => status).sort()
      expect(statuses).toEqual([201, ...Array.from({ length: 8 }, () => 412)])
    }
  })

  test('the admin API shows on each what was done on another', async () => {
    const config = await pushConfig(0, 'team/pins', '{"pins":1}')
    const made = await client(1).request('PUT', `/admin/pins/${config.digest}/keep`, {
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ note: 'for the release' }),
    })
    expect([made.status < 300, made.text]).toEqual([true, expect.anything()])
    for (const at of [0, 2]) {
      expect((await client(at).get('/admin/pins')).text).toContain(config.digest)
    }
  })
})

test('pulls and pushes of a tag through all doors are linearizable while etcd members die', async () => {
  const config = await pushConfig(0, 'team/race', '{"race":1}')
  const bodies = new Map<string, string>()
  const history = new HistoryRecorder()
  const random = new SeededRandom(11)
  let values = 0
  let isOver = false
  const run = async (): Promise<void> => {
    while (!isOver) {
      const at = random.below(3)
      if (random.chance(0.7)) {
        const open = history.read('t')
        const answer = await client(at).head('/v2/team/race/manifests/t', accept)
        if (answer.status === 404) open.saw(undefined)
        else if (answer.status === 200) open.saw(answer.headers['docker-content-digest'])
        continue
      }
      values += 1
      const body = manifestOf(config, `v${values}`)
      const { createHash } = await import('node:crypto')
      const value = `sha256:${createHash('sha256').update(body).digest('hex')}`
      bodies.set(value, body)
      const open = history.change('t', { kind: 'write', value })
      const answer = await put(at, 'team/race', 't', body)
      if (answer.status === 201) open.done()
      else if (answer.text.includes('not done')) open.refused()
    }
  }
  const clients = Array.from({ length: 6 }, () => run())
  for (const member of etcd.members) {
    await new Promise((resolve) => setTimeout(resolve, 500))
    await member.kill()
    await new Promise((resolve) => setTimeout(resolve, 900))
    member.start()
    await etcd.ready()
  }
  isOver = true
  await Promise.all(clients)
  const verdict = checkLinearizable(history.operations)
  expect(verdict.outcome, JSON.stringify(verdict)).toBe('linearizable')
  expect(values).toBeGreaterThan(50)
  console.log(
    `MEASURED three registries: ${history.operations.length} operations, ${values} pushes`,
  )
})

test('without a majority nothing is promised: pushes say so, tags too, digests are served; then all is well', async () => {
  const config = await pushConfig(0, 'team/cut', '{"cut":1}')
  const body = manifestOf(config, 'before')
  const { headers } = await put(0, 'team/cut', 'latest', body)
  const digest = headers['docker-content-digest']!
  await Promise.all(etcd.members.slice(0, 2).map((member) => member.kill()))
  const cutAt = performance.now()
  const pushed = await put(1, 'team/cut', 'latest', manifestOf(config, 'during'))
  expect(pushed.status).toBe(503)
  expect(Number(pushed.headers['retry-after'])).toBeGreaterThan(0)
  expect(pushed.text).toMatch(/"outcome":"(unknown|not done)"/)
  console.log(`MEASURED refused after ${Math.round(performance.now() - cutAt)} ms`)
  const byDigest = await client(2).get(`/v2/team/cut/manifests/${digest}`, accept)
  expect([byDigest.status, byDigest.text]).toEqual([200, body])
  const blob = await client(1).get(`/v2/team/cut/blobs/${config.digest}`)
  expect(blob.status).toBe(200)
  const byTag = await client(2).get('/v2/team/cut/manifests/latest', accept)
  expect([byTag.status, byTag.headers['retry-after']]).toEqual([503, '1'])
  const unknown = await client(0).get(`/v2/team/cut/manifests/sha256:${'1'.repeat(64)}`, accept)
  expect(unknown.status).toBe(503)
  expect((await client(0).get('/livez')).status).toBe(200)
  for (const member of etcd.members.slice(0, 2)) member.start()
  await etcd.ready()
  const healedAt = performance.now()
  await until(async () => {
    const again = await put(0, 'team/cut', 'latest', manifestOf(config, 'after'))
    return again.status === 201
  })
  for (const at of [0, 1, 2]) {
    const pulled = await client(at).get('/v2/team/cut/manifests/latest', accept)
    expect([pulled.status, pulled.text]).toEqual([200, manifestOf(config, 'after')])
  }
  expect(mesh.faults).toEqual([])
  console.log(`MEASURED back after ${Math.round(performance.now() - healedAt)} ms`)
})
