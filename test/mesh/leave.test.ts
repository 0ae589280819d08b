/**
 * @module Nodes that leave as an operator lets them: by a command that returns when all is handed over. Whose copies are
 * the only ones is not removed by mistake.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { runCli } from '../support/cli.ts'
import { needEtcd } from '../support/mesh/etcd.ts'
import { haveRoles, MeshProcess, meshPorts, overview, poll } from '../support/mesh/nodes.ts'

needEtcd()

const nodes: MeshProcess[] = []
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.dispose()))
})

async function startAll(count: number): Promise<readonly MeshProcess[]> {
  const ports = await meshPorts(count)
  const peers = ports.map((port) => `127.0.0.1:${port}`)
  const all = await Promise.all(
    ports.map((port) => MeshProcess.start(port, { mesh: { peers, inline_limit: '1KiB' } })),
  )
  nodes.push(...all)
  return all
}

const server = ({ client }: MeshProcess) => `http://127.0.0.1:${client.port}`

function pathOf({ storage }: MeshProcess, digest: string): string {
  const hex = digest.slice('sha256:'.length)
  return join(storage, 'blobs', 'sha256', hex.slice(0, 2), hex)
}

function hasFile(node: MeshProcess, digest: string): Promise<boolean> {
  return stat(pathOf(node, digest)).then(
    () => true,
    () => false,
  )
}

test('a node that is killed while it leaves goes on with it, unless it was taken back meanwhile', async () => {
  const all = await startAll(3)
  await haveRoles(all)
  const [a, , c] = all as [MeshProcess, MeshProcess, MeshProcess]
  const { digest } = await c.client.pushBlob('team/app', randomBytes(50_000))
  const { member } = await overview(c)
  const mark = join(c.storage, 'mesh', 'leaving')
  const stateOfC = async () =>
    (await overview(a)).members.find(({ number }) => number === member)!.state
  const beginAndDie = async () => {
    expect((await c.client.request('POST', '/admin/mesh/leave')).status).toBe(200)
    await c.kill()
    expect(await stateOfC()).toBe('draining')
    expect((await stat(mark)).isFile()).toBe(true)
  }
  await beginAndDie()
  const back = await a.client.request('POST', `/admin/mesh/members/${member}/undrain`)
  expect(back.status).toBe(200)
  await c.restart()
  await poll(async () => (await stat(mark).catch(() => undefined)) === undefined)
  await haveRoles(all)
  expect(await stateOfC()).toBe('active')

  await beginAndDie()
  await c.restart()
  expect(await c.ended()).toBe(0)
  expect(await stateOfC()).toBe('left')
  expect((await a.client.get(`/v2/team/app/blobs/${digest}`)).status).toBe(200)
})

test('nodes leave one after the other, the last one has all, and cannot', async () => {
  const all = await startAll(3)
  await haveRoles(all)
  const layers = Array.from({ length: 12 }, () => randomBytes(20_000))
  const digests: string[] = []
  for (const [at, layer] of layers.entries()) {
    digests.push((await all[at % 3]!.client.pushBlob('team/app', layer)).digest)
  }
  const [a, b, c] = all as [MeshProcess, MeshProcess, MeshProcess]

  // A backup of one node has what the others have.
  const copy = await mkdtemp(join(tmpdir(), 'fastregistry-backup-'))
  const saved = await runCli(['backup', join(copy, 'all'), '--storage', c.storage])
  expect([saved.code, saved.stderr, saved.stdout]).toEqual([
    0,
    '',
    expect.stringMatching(/12 blob files, .* from other nodes/),
  ])
  await rm(copy, { recursive: true })

  // What only it has is not removed by mistake.
  const held = await Promise.all(digests.map((digest) => hasFile(c, digest)))
  const digest = digests[held.indexOf(true)]!
  const other = (await hasFile(a, digest)) ? a : b
  await rm(pathOf(other, digest))
  const { member } = await overview(c)
  const refused = await a.client.request('POST', `/admin/mesh/members/${member}/remove`)
  expect([refused.status, refused.text]).toEqual([
    409,
    expect.stringContaining('has 1 of its blobs'),
  ])

  for (const [gone, left] of [
    [c, [a, b]],
    [b, [a]],
  ] as const) {
    const since = performance.now()
    const ended = gone.ended()
    const { code, stdout } = await runCli(['mesh', 'leave', '--server', server(gone)])
    expect([code, stdout.trim().split('\n').at(-1)]).toEqual([
      0,
      'the node has handed over all that it had; it leaves, and its process ends',
    ])
    expect(await ended).toBe(0)
    console.log(`MEASURED a node has left after ${Math.round(performance.now() - since)} ms`)
    for (const node of left) {
      for (const one of digests) expect(await hasFile(node, one)).toBe(true)
    }
    await left[0]!.client.pushImage('team/app', `v${left.length}`)
  }
  await poll(
    async () => (await overview(a)).members.filter((it) => it.state !== 'left').length === 1,
  )
  const alone = await runCli(['mesh', 'leave', '--server', server(a)])
  expect([alone.code, alone.stderr]).toEqual([
    1,
    expect.stringContaining('a mesh of one node has no other to hand over to'),
  ])
  for (const [at, layer] of layers.entries()) {
    const pulled = await a.client.get(`/v2/team/app/blobs/${digests[at]}`)
    expect(pulled.body.equals(layer)).toBe(true)
  }
})
