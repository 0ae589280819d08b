/**
 * @module Nodes as an operator starts them: processes with a configuration of a few lines, each with its own etcd. Who
 * founds, who joins, who is refused with which words, and what a client notices when one is killed.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import { secretFilePaths } from '../../src/auth/secret-file.ts'
import { IdentityFolder } from '../../src/mesh/identity/kept.ts'
import { EtcdLog } from '../../src/metadata/log/etcd/log.ts'
import { basic, bearer, htpasswd } from '../support/access.ts'
import { needEtcd } from '../support/mesh/etcd.ts'
import { followFrom, START } from '../support/mesh/follow.ts'
import {
  haveRoles,
  MeshProcess,
  meshPorts,
  type NodeOptions,
  overview,
  poll,
} from '../support/mesh/nodes.ts'
import { projectRoot } from '../support/start-registry.ts'

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

/** So many nodes that have the same list, this one in it, as operators write it. */
async function startAll(count: number): Promise<readonly MeshProcess[]> {
  const ports = await meshPorts(count)
  const peers = ports.map((port) => `127.0.0.1:${port}`)
  return Promise.all(ports.map((port) => start(port, { mesh: { peers } })))
}

/** Why a node does not start. */
async function refusal(port: number, options: NodeOptions): Promise<string> {
  const error = await start(port, options).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return error instanceof Error ? error.message : 'it has started'
}

async function tagsOf(node: MeshProcess, repository: string): Promise<unknown> {
  const { status, json } = await node.client.get(`/v2/${repository}/tags/list`)
  return status === 200 ? (json as { tags: unknown }).tags : status
}

describe('three nodes with one list', () => {
  test('start in any order, and are one registry', async () => {
    const [a, b, c] = (await startAll(3)) as [MeshProcess, MeshProcess, MeshProcess]
    const config = await a.client.pushBlob('team/app', '{}')
    const image = { ...config, mediaType: 'application/vnd.oci.image.config.v1+json' }
    const manifest = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: image,
      layers: [],
    }
    expect((await b.client.putManifest('team/app', 'v1', manifest)).status).toBe(201)
    const pulled = await c.client.get('/v2/team/app/manifests/v1')
    expect(pulled.json).toEqual(manifest)
    expect((await c.client.get(`/v2/team/app/blobs/${config.digest}`)).text).toBe('{}')
    expect((await a.client.delete('/v2/team/app/manifests/v1')).status).toBe(202)
    for (const node of [a, b, c]) expect(await tagsOf(node, 'team/app')).toEqual([])
  })

  test('go on when one is killed: one push stalls for seconds, and it is back after a restart', async () => {
    const [a, b, c] = (await startAll(3)) as [MeshProcess, MeshProcess, MeshProcess]
    await a.client.pushImage('app', 'v1')
    await haveRoles([a, b, c])
    await b.kill()
    let longest = 0
    for (let at = 0; at < 20; at += 1) {
      const before = performance.now()
      await (at % 2 === 0 ? a : c).client.pushImage('app', `t${at}`)
      longest = Math.max(longest, performance.now() - before)
      expect((await c.client.get(`/v2/app/manifests/t${at}`)).status).toBe(200)
    }
    console.log(`MEASURED a killed node stalls a push for ${Math.round(longest)} ms`)
    expect(longest).toBeLessThan(5_000)
    await b.restart()
    expect(await tagsOf(b, 'app')).toHaveLength(21)
    expect((await b.client.get('/v2/app/manifests/t19')).status).toBe(200)
  })

  test('stop in order, all at once, and go on with what they have', async () => {
    const all = await startAll(3)
    await all[1]!.client.pushImage('app', 'v1')
    expect(await Promise.all(all.map((node) => node.terminate()))).toEqual([0, 0, 0])
    await Promise.all(all.map((node) => node.restart()))
    for (const node of all) expect(await tagsOf(node, 'app')).toEqual(['v1'])
    await all[2]!.client.pushImage('app', 'v2')
    for (const node of all) expect(await tagsOf(node, 'app')).toEqual(['v1', 'v2'])
  })
})

describe('a node that has content', () => {
  test('becomes a mesh by a restart, and who joins has it all', async () => {
    const [one, two] = (await meshPorts(2)) as [number, number]
    const alone = await start(one, { mesh: { enabled: false } })
    await alone.client.pushImage('old/app', 'v1')
    expect(await alone.terminate()).toBe(0)
    const { storage } = alone
    const founder = await start(one, { storage })
    expect(await tagsOf(founder, 'old/app')).toEqual(['v1'])
    const joined = await start(two, { mesh: { peers: [founder.address] } })
    expect(await tagsOf(joined, 'old/app')).toEqual(['v1'])
    await joined.client.pushImage('old/app', 'v2')
    expect(await tagsOf(founder, 'old/app')).toEqual(['v1', 'v2'])
  })

  test('does not join: its content would be lost', async () => {
    const [one, two] = (await meshPorts(2)) as [number, number]
    const alone = await start(two, { mesh: { enabled: false } })
    await alone.client.pushImage('old/app', 'v1')
    await alone.terminate()
    const founder = await start(one)
    const { storage } = alone
    const why = await refusal(two, { storage, mesh: { peers: [founder.address] } })
    expect(why).toContain('the joining node has data of its own')
    const again = await start(two, { storage, mesh: { enabled: false } })
    expect(await tagsOf(again, 'old/app')).toEqual(['v1'])
  })
})

describe('a node is refused', () => {
  test('with another secret', async () => {
    const [one, two] = (await meshPorts(2)) as [number, number]
    const founder = await start(one, { mesh: { secret: 'the secret of this mesh' } })
    const why = await refusal(two, {
      mesh: { secret: 'another secret of a mesh', peers: [founder.address] },
    })
    expect(why).toContain('the secret of the joining node is not the one of the cluster')
    expect(why).toContain('ended at once with 1')
  })

  test('whose port another program has, with the setting to change', async () => {
    const [one] = (await meshPorts(1)) as [number]
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(one, '127.0.0.1', resolve))
    const why = await refusal(one, {})
    expect(why).toContain(`mesh.bind: 127.0.0.1:${one} is in use by another process`)
    await new Promise((resolve) => other.close(resolve))
  })

  test('that has no etcd to run, with what to install', async () => {
    const [one] = (await meshPorts(1)) as [number]
    const why = await refusal(one, { mesh: { log: { binary: '/nowhere/etcd' } } })
    expect(why).toMatch(/mesh\.log\.binary: .*Install etcd 3\.5 to 3\.7/)
  })
})

test('the nodes say who they are, and one that was removed ends with a sentence', async () => {
  const [a, b, c] = (await startAll(3)) as [MeshProcess, MeshProcess, MeshProcess]
  await haveRoles([a, b, c])
  const { member } = await overview(c)
  const ended = c.ended()
  expect((await a.client.request('POST', `/admin/mesh/members/${member}/remove`)).status).toBe(200)
  expect(await ended).toBe(1)
  expect(c.logs.join('\n')).toContain('this node takes no part in the mesh any more')
  await b.client.pushImage('app', 'v1')
  const left = (await overview(a)).members.find(({ number }) => number === member)
  expect(left).toMatchObject({ state: 'left', serving: false })
  const text = (await a.client.get('/metrics')).text
  expect(text).toContain('fastregistry_mesh_members{state="left"} 1')
  expect(text).toContain('fastregistry_mesh_serving 1')
})

test('a login at one node is good at all, and so is an access token', async () => {
  const ports = await meshPorts(2)
  const folder = await mkdtemp(join(tmpdir(), 'fastregistry-users-'))
  const users = join(folder, 'htpasswd')
  await writeFile(users, htpasswd({ alice: 'secret' }))
  const peers = ports.map((port) => `127.0.0.1:${port}`)
  const config = {
    auth: { type: 'htpasswd', htpasswd_file: users },
    access: [{ repositories: ['**'], users: ['alice'], actions: ['pull', 'push', 'list'] }],
  }
  const [a, b] = (await Promise.all(
    ports.map((port) => start(port, { mesh: { peers }, config })),
  )) as [MeshProcess, MeshProcess]
  const keysOf = (node: MeshProcess) => {
    const { keys, accessTokens } = secretFilePaths(node.storage)
    return `${readFileSync(keys, 'utf8')}${readFileSync(accessTokens, 'utf8')}`
  }
  const areSame = async () => {
    while (keysOf(a) !== keysOf(b)) await new Promise((resolve) => setTimeout(resolve, 50))
  }
  await areSame()
  // Both nodes get one at the same time: neither is lost.
  const made = await Promise.all([a, b].map((node) => createToken(node, users)))
  const ids = () =>
    (
      JSON.parse(readFileSync(secretFilePaths(a.storage).accessTokens, 'utf8')) as {
        tokens: unknown[]
      }
    ).tokens
  while (ids().length < 2) await new Promise((resolve) => setTimeout(resolve, 50))
  await areSame()
  for (const node of [a, b]) {
    for (const token of made) {
      const answer = async () => (await node.client.get('/v2/', basic('alice', token))).status
      while ((await answer()) !== 200) await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  const asked = await a.client.get(
    '/token?scope=repository:team/app:pull,push',
    basic('alice', 'secret'),
  )
  expect(asked.status).toBe(200)
  const { token } = asked.json as { token: string }
  expect((await b.client.get('/v2/', bearer(token))).status).toBe(200)
  // A login in the pages of one is good at the other, until it ends at either.
  const login = await a.client.request('POST', '/admin/session', {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ user: 'alice', password: 'secret' }),
  })
  const cookie = { Cookie: String(login.headers['set-cookie']).split(';', 1)[0]! }
  const session = async (node: MeshProcess) => node.client.get('/admin/session', cookie)
  expect((await session(b)).json).toMatchObject({ user: 'alice', features: { mesh: true } })
  const ended = await b.client.request('DELETE', '/admin/session', {
    headers: { ...cookie, Origin: `http://127.0.0.1:${b.client.port}` },
  })
  expect(ended.json).toEqual({ ended: true })
  expect((await session(b)).status).toBe(401)
  while ((await session(a)).status !== 401) await new Promise((resolve) => setTimeout(resolve, 50))
  await rm(folder, { recursive: true })
})

test('a node that was away for longer than the log is kept takes the tail of a peer, or its view, and goes on', async () => {
  const [a, b, c] = (await startAll(3)) as [MeshProcess, MeshProcess, MeshProcess]
  await a.client.pushImage('app', 'v1')
  expect(await tagsOf(c, 'app')).toEqual(['v1'])
  const shows = async (tag: string) => {
    const tags: unknown = await tagsOf(c, 'app').catch(() => undefined)
    return Array.isArray(tags) && tags.includes(tag)
  }
  const viewsTaken = () => c.logs.filter((line) => line.includes('took the view of a peer')).length
  const atJoin = viewsTaken()
  let place = START
  const leaveBehind = async (pushed: readonly string[], meanwhile: () => Promise<void>) => {
    await haveRoles([a, b, c])
    await c.terminate()
    for (const tag of pushed) await b.client.pushImage('app', tag)
    await meanwhile()
    const { log, close } = await logOf(a)
    const index = await log.head()
    const following = followFrom(log, place)
    await following.until(index)
    following.stop()
    place = following.place
    await log.truncate(place)
    await close()
    await c.restart()
    await poll(() => shows(pushed.at(-1)!))
  }
  await leaveBehind(['v2', 'v3'], async () => undefined)
  await c.client.pushImage('app', 'v4')
  expect(await tagsOf(a, 'app')).toEqual(['v1', 'v2', 'v3', 'v4'])
  expect(c.logs.join('\n')).toContain('the log has left this node behind')
  expect(viewsTaken()).toBe(atJoin)

  await leaveBehind(['v5', 'v6'], async () => {
    for (const { storage } of [a, b]) await rm(join(storage, 'tail'), { recursive: true })
  })
  await c.client.pushImage('app', 'v7')
  expect(await tagsOf(a, 'app')).toEqual(['v1', 'v2', 'v3', 'v4', 'v5', 'v6', 'v7'])
  expect(viewsTaken()).toBe(atJoin + 1)
})

test('a node whose disk is lost comes back as a new one at its address, with a vote', async () => {
  const [a, b, c] = (await startAll(3)) as [MeshProcess, MeshProcess, MeshProcess]
  const layer = randomBytes(300_000)
  const { digest } = await c.client.pushBlob('app', layer)
  await a.client.pushImage('app', 'v1')
  await haveRoles([a, b, c])
  const { member } = await overview(c)
  await c.kill()
  for (const name of readdirSync(c.storage)) rmSync(join(c.storage, name), { recursive: true })
  await c.restart()
  expect((await overview(c)).member).toBe(4)
  expect(await tagsOf(c, 'app')).toEqual(['v1'])
  expect((await c.client.get(`/v2/app/blobs/${digest}`)).body.equals(layer)).toBe(true)
  expect((await a.client.request('POST', `/admin/mesh/members/${member}/remove`)).status).toBe(200)
  const hasVote = async () =>
    (await overview(a)).members.some(({ number, voter }) => number === 4 && voter)
  while (!(await hasVote())) await new Promise((resolve) => setTimeout(resolve, 100))
  await c.client.pushImage('app', 'v2')
  expect(await tagsOf(b, 'app')).toEqual(['v1', 'v2'])
})

test('the secret is changed while the mesh goes on, one node after the other', async () => {
  const [one, two, three] = (await meshPorts(3)) as [number, number, number]
  const folder = await mkdtemp(join(tmpdir(), 'fastregistry-secret-'))
  const file = join(folder, 'secret')
  const old = 'the first secret of the mesh'
  const fresh = 'the second secret of the mesh'
  await writeFile(file, `${old}\n`)
  const a = await start(one, { mesh: { secret_file: file } })
  const b = await start(two, { mesh: { secret_file: file, peers: [a.address] } })
  await writeFile(file, `${fresh}\n${old}\n`)
  for (const node of [a, b]) await node.restart()
  const stranger = await refusal(three, {
    mesh: { secret: 'a third secret of a mesh', peers: [a.address] },
  })
  expect(stranger).toContain('is not the one of the cluster')
  // The first node has sealed all with the new one while the second one started.
  await writeFile(file, `${fresh}\n`)
  await a.restart()
  await b.restart()
  const c = await start(three, { mesh: { secret: fresh, peers: [a.address, b.address] } })
  await c.client.pushImage('app', 'v1')
  for (const node of [a, b, c]) expect(await tagsOf(node, 'app')).toEqual(['v1'])
  await rm(folder, { recursive: true })
})

test('etcd is lost for good: one store goes on, the others join it with the files that they have', async () => {
  const [a, b, c] = (await startAll(3)) as [MeshProcess, MeshProcess, MeshProcess]
  const layer = randomBytes(300_000)
  const { digest } = await b.client.pushBlob('app', layer)
  const small = await b.client.pushBlob('app', 'small')
  await c.client.pushImage('app', 'v1')
  await haveRoles([a, b, c])
  await Promise.all([a, b, c].map((node) => node.terminate()))
  for (const node of [a, b, c]) rmSync(join(node.storage, 'mesh', 'etcd'), { recursive: true })
  // What is named by its digest is served, and nothing that may be old is said.
  await a.restart()
  expect((await a.client.get(`/v2/app/blobs/${small.digest}`)).text).toBe('small')
  expect(await tagsOf(a, 'app')).toBe(503)
  await a.terminate()
  await expect(command(b, 'verify')).rejects.toThrow('take it out of the mesh first')
  await command(b, 'mesh', 'detach', '--even-so')
  for (const node of [a, c]) {
    expect(await command(node, 'mesh', 'rejoin')).toContain('joins as a new node at its next start')
  }
  await Promise.all([a, b, c].map((node) => node.restart()))
  for (const node of [a, b, c]) {
    expect(await tagsOf(node, 'app')).toEqual(['v1'])
    const pulled = await node.client.get(`/v2/app/blobs/${digest}`)
    expect(pulled.status).toBe(200)
    expect(pulled.body.equals(layer)).toBe(true)
  }
  await a.client.pushImage('app', 'v2')
  expect(await tagsOf(b, 'app')).toEqual(['v1', 'v2'])
})

/** Runs a command on the store of a node that has stopped; what it prints. Rejects with what it says. */
async function command(node: MeshProcess, ...words: readonly string[]): Promise<string> {
  const cli = join(projectRoot(), 'dist/src/cli.js')
  const all = [cli, ...words, '--storage', node.storage]
  const { stdout } = await promisify(execFile)(process.execPath, all)
  return stdout
}

/** The log of a node's mesh, as the node itself reaches it. */
async function logOf(node: MeshProcess): Promise<{ log: EtcdLog; close: () => Promise<void> }> {
  const folder = new IdentityFolder(join(node.storage, 'mesh'))
  const { cluster, endpoints } = (await folder.identity())!
  const { ca, cert, key } = folder.files
  const tls = { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) }
  const log = new EtcdLog({ endpoints, cluster, tls })
  return { log, close: () => log.close() }
}

/** What `fastregistry token create` prints. */
async function createToken(node: MeshProcess, users: string): Promise<string> {
  const file = `${node.storage}.yaml`
  const auth = { type: 'htpasswd', htpasswd_file: users }
  await writeFile(file, JSON.stringify({ storage: { path: node.storage }, auth }))
  const { stdout } = await promisify(execFile)(process.execPath, [
    join(projectRoot(), 'dist/src/cli.js'),
    'token',
    'create',
    ...['--user', 'alice', '--repositories', '**', '--actions', 'pull', '--expires', '1d'],
    ...['--config', file],
  ])
  await rm(file)
  return stdout.trim().split('\n').at(-1)!
}
