/**
 * @module Clients that a node of a mesh sends to another one for a large blob: with a link that is their only
 * credential there, and that is good for nothing else.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { digestOf } from '../../src/registry/hasher.ts'
import { basic, htpasswd } from '../support/access.ts'
import { etcdVersion, needEtcd } from '../support/mesh/etcd.ts'
import { haveRoles, MeshProcess, meshPorts, poll } from '../support/mesh/nodes.ts'
import { type Answer, RegistryClient } from '../support/registry-client.ts'

needEtcd()

const alice = basic('alice', 'secret')
const root = basic('root', 'secret')
const large = 1_500_000

let folder: string
let nodes: readonly MeshProcess[] = []
/** Where clients of the others reach each node. */
let doors: readonly RegistryClient[] = []
let doorPorts: readonly number[] = []

/** Three nodes; the third one sends clients on, the second one those of another network alone. */
beforeAll(async () => {
  if (etcdVersion === undefined) return
  folder = await mkdtemp(join(tmpdir(), 'fastregistry-users-'))
  const users = join(folder, 'htpasswd')
  await writeFile(users, htpasswd({ alice: 'secret', bob: 'secret', root: 'secret' }))
  const ports = await meshPorts(6)
  const peers = ports.slice(0, 3).map((port) => `127.0.0.1:${port}`)
  doorPorts = ports.slice(3)
  const redirects = [[], ['10.0.0.0/8'], ['10.0.0.0/8', '127.0.0.0/8']]
  const starting = [0, 1, 2].map((at) =>
    MeshProcess.start(ports[at]!, {
      engine: at === 0 ? 'auto' : 'node',
      mesh: {
        peers,
        inline_limit: '1KiB',
        cache_max: 0,
        redirect: redirects[at]!,
        advertise_url: `http://127.0.0.1:${doorPorts[at]}`,
      },
      config: {
        server: { also_listen: `127.0.0.1:${doorPorts[at]}` },
        auth: { type: 'htpasswd', htpasswd_file: users },
        access: [
          { repositories: ['team/**'], users: ['alice'], actions: ['pull', 'push'] },
          { repositories: ['**'], users: ['root'], actions: ['admin'] },
        ],
      },
    }),
  )
  nodes = await Promise.all(starting)
  doors = doorPorts.map((port) => new RegistryClient(port))
  await haveRoles(nodes, root)
})
afterAll(async () => {
  for (const door of doors) door.close()
  await Promise.all(nodes.map((node) => node.dispose()))
  if (folder !== undefined) await rm(folder, { recursive: true })
})

function hasFile(at: number, digest: string): Promise<boolean> {
  const hex = digest.slice('sha256:'.length)
  return stat(join(nodes[at]!.storage, 'blobs', 'sha256', hex.slice(0, 2), hex)).then(
    () => true,
    () => false,
  )
}

async function push(at: number, bytes: Buffer): Promise<string> {
  const { client } = nodes[at]!
  const opened = await client.request('POST', '/v2/team/app/blobs/uploads/', { headers: alice })
  expect(opened.status).toBe(202)
  const digest = digestOf('sha256', bytes)
  const path = `${opened.headers['location'] as string}?digest=${digest}`
  const put = await client.request('PUT', path, { headers: alice, body: bytes })
  expect(put.status).toBe(201)
  return digest
}

/** A blob of which that node has no copy. */
async function blobWithout(at: number, sizeBytes: number) {
  for (;;) {
    const bytes = randomBytes(sizeBytes)
    const digest = await push((at + 1) % 3, bytes)
    if (!(await hasFile(at, digest))) {
      return { bytes, digest, path: `/v2/team/app/blobs/${digest}` }
    }
  }
}

const pull = (at: number, path: string, headers: Record<string, string> = alice) =>
  nodes[at]!.client.get(path, headers)

/** Waits until the third node knows where the others are reached. */
async function sentOn(path: string): Promise<{ readonly at: number; readonly query: string }> {
  let answer: Answer | undefined
  await poll(async () => {
    answer = await pull(2, path)
    return answer.status === 307
  })
  const { port, pathname, search } = new URL(answer!.headers['location'] as string)
  expect([pathname, answer!.headers['cache-control'], answer!.body.length]).toEqual([
    path,
    'no-store',
    0,
  ])
  return { at: doorPorts.indexOf(Number(port)), query: search }
}

test('a large blob is sent by a node that has it, without any other credential', async () => {
  const { bytes, digest, path } = await blobWithout(2, large)
  const { at, query } = await sentOn(path)
  expect(await hasFile(at, digest)).toBe(true)
  const got = await doors[at]!.get(`${path}${query}`)
  expect([got.status, got.headers['docker-content-digest']]).toEqual([200, digest])
  expect(got.body.equals(bytes)).toBe(true)
  const part = await doors[at]!.get(`${path}${query}`, { range: 'bytes=5-9' })
  expect([part.status, part.body.equals(bytes.subarray(5, 10))]).toEqual([206, true])
})

test('who may not pull is not sent on, nor is a HEAD, a small blob, or a client that no network names', async () => {
  const { path } = await blobWithout(2, large)
  await sentOn(path)
  expect((await pull(2, path, {})).status).toBe(401)
  expect((await pull(2, path, basic('bob', 'secret'))).status).toBe(401)
  expect((await nodes[2]!.client.head(path, alice)).status).toBe(200)
  const has = { ...alice, 'if-none-match': `"${path.slice(path.lastIndexOf('/') + 1)}"` }
  expect((await pull(2, path, has)).status).toBe(304)
  const small = await blobWithout(2, 20_000)
  expect((await pull(2, small.path)).body.equals(small.bytes)).toBe(true)
  const other = await blobWithout(1, large)
  expect((await pull(1, other.path)).body.equals(other.bytes)).toBe(true)
})

test('a link gives no other right', async () => {
  const { path } = await blobWithout(2, large)
  const other = await blobWithout(2, large)
  const { at, query } = await sentOn(path)
  const door = doors[at]!
  const late = query.replace(/=\d{10}/, '=1000000000')
  const later = query.replace(/=(\d{9})\d/, (_, most: string) => `=${most}9`)
  const refused = [
    `${other.path}${query}`,
    `${path.replace('team/app', 'team/other')}${query}`,
    `${path}${late}`,
    ...(later === query ? [] : [`${path}${later}`]),
    `${path}${query}&a=b`,
    `${path}${query.slice(0, -1)}`,
    `${path}${query.replace(/\.[^.]{4}/, '.AAAA')}`,
    `${path}?fastregistry-redirect=`,
  ]
  for (const target of refused) {
    const answer = await door.get(target)
    expect([answer.status, answer.text], target).toEqual([403, expect.stringContaining('DENIED')])
    // A login does not make it better: it is no link.
    expect((await door.get(target, alice)).status, target).toBe(403)
  }
  for (const [method, target] of [
    ['HEAD', `${path}${query}`],
    ['DELETE', `${path}${query}`],
    ['PUT', `${path}${query}`],
    ['GET', `${path}?a=b&${query.slice(1)}`],
    ['GET', path],
    ['GET', `/v2/team/app/manifests/latest${query}`],
    ['GET', `/v2/team/app/tags/list${query}`],
    ['GET', `/v2/${query}`],
    ['POST', `/v2/team/app/blobs/uploads/${query}`],
  ] as const) {
    const answer = await door.request(method, target)
    expect(answer.status, `${method} ${target}`).toBeOneOf([401, 405])
  }
  // It is of the node that it names, where another one has the blob as well.
  const third = [0, 1].find((it) => it !== at)!
  expect((await doors[third]!.get(`${path}${query}`)).status).toBe(403)
  // And the node that has sent the client on takes no link to another one either.
  expect((await doors[2]!.get(`${path}${query}`)).status).toBe(403)
})

test('no client is sent to a node that is gone', async () => {
  const { bytes, path } = await blobWithout(2, large)
  const { at } = await sentOn(path)
  await nodes[at]!.kill()
  const other = [0, 1].find((it) => it !== at)!
  let query = ''
  await poll(async () => {
    const answers = await Promise.all([1, 2, 3, 4].map(() => pull(2, path)))
    const places = answers.map(({ headers }) => String(headers['location']))
    query = places[0]!.split('?')[1]!
    return places.every((it) => it.startsWith(`http://127.0.0.1:${doorPorts[other]}/`))
  })
  expect((await doors[other]!.get(`${path}?${query}`)).body.equals(bytes)).toBe(true)
})
