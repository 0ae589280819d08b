/**
 * @module Two nodes and a witness, as operators start them: any one of the three may go.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { etcdVersion, needEtcd } from '../support/mesh/etcd.ts'
import { MeshProcess, meshPorts, overview, poll, WitnessProcess } from '../support/mesh/nodes.ts'

needEtcd()

const all: (MeshProcess | WitnessProcess)[] = []
let first: MeshProcess
let second: MeshProcess
let witness: WitnessProcess
let dataDir: string
let witnessPort: number

beforeAll(async () => {
  if (etcdVersion === undefined) return
  dataDir = await mkdtemp(join(tmpdir(), 'fastregistry-etcd-'))
  const ports = await meshPorts(4)
  witnessPort = ports[3]!
  const peers = ports.slice(0, 2).map((port) => `127.0.0.1:${port}`)
  const mesh = { peers, replication_factor: 2 }
  // The folder of its etcd is elsewhere: the mesh cares for none of that.
  const own = [{ ...mesh, log: { data_dir: dataDir } }, mesh]
  const nodes = ports.slice(0, 2).map(async (port, at) => {
    const node = await MeshProcess.start(port, { mesh: own[at]! })
    all.push(node)
    return node
  })
  const voter = WitnessProcess.start(ports[2]!, {
    ...{ peers, log: { keep: '1MiB' } },
    witness_addr: `127.0.0.1:${witnessPort}`,
  })
  ;[first, second] = (await Promise.all(nodes)) as [MeshProcess, MeshProcess]
  witness = await voter
  all.push(witness)
})
afterAll(async () => {
  await Promise.all(all.map((one) => one.dispose()))
  if (dataDir !== undefined) await rm(dataDir, { recursive: true, force: true })
})

/** Resolves when all three vote and both nodes serve. */
const allVote = (node: MeshProcess): Promise<void> =>
  poll(async () => {
    const { members } = await overview(node)
    const nodes = members.filter(({ state }) => state === 'active')
    return (
      members.length === 3 &&
      members.every((it) => it.voter && it.reached) &&
      nodes.length === 2 &&
      nodes.every((it) => it.serving)
    )
  })

const push = (node: MeshProcess, text: string) =>
  node.client.pushBlob('team/app', Buffer.from(text))

test('a witness votes, and has nothing', async () => {
  await allVote(first)
  await allVote(second)
  const { members } = await overview(first)
  expect(members.find(({ state }) => state === 'witness')).toMatchObject({
    serving: false,
    present: false,
    voter: true,
  })
  for (const path of ['/livez', '/readyz']) {
    expect((await fetch(`http://127.0.0.1:${witnessPort}${path}`)).status).toBe(200)
  }
  const { text } = await first.client.get('/readyz')
  expect(JSON.parse(text)).toMatchObject({ status: 'ready', checks: { mesh: 'ok', etcd: 'ok' } })
  expect(await readdir(dataDir)).toEqual([expect.stringMatching(/^m[0-9a-f]{16}-[123]$/)])
  expect(existsSync(join(first.storage, 'mesh', 'etcd'))).toBe(false)
})

test('any one of the three may go: a node, which comes back, and the witness', async () => {
  await push(first, 'before')
  await second.kill()
  await poll(async () => (await push(first, 'without a node').catch(() => undefined)) !== undefined)
  await second.restart()
  await allVote(first)
  await witness.end('SIGKILL')
  await push(first, 'without a witness')
  await push(second, 'without a witness, too')
})

test('a witness is refused where there is nothing to vote in, and on the store of a node', async () => {
  for (const [mesh, storage, reason] of [
    [{ peers: [] }, undefined, 'a witness needs the nodes in mesh.peers'],
    [{ peers: ['127.0.0.1:7'] }, first.storage, 'storage.path is the store of a registry'],
    [
      { peers: ['127.0.0.1:7'], log: { endpoints: ['127.0.0.1:7'] } },
      undefined,
      'with mesh.log.endpoints the nodes run no etcd',
    ],
  ] as const) {
    const at = storage === undefined ? undefined : () => storage
    const [port] = await meshPorts(1)
    const refused = await WitnessProcess.start(port!, mesh, at)
    all.push(refused)
    expect([await refused.end('SIGTERM'), refused.lines.join('\n')]).toEqual([
      1,
      expect.stringContaining(reason),
    ])
  }
})
