/**
 * @module Three nodes of ours as one registry, each with an etcd of its own, all on this machine; beside them one node
 * alone, which is what a mesh is measured against.
 */
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { Bench } from './bench.ts'
import { findProgram, freePort, loopback } from './child-process.ts'
import { type Blob, withDigest } from './content.ts'
import { HttpConnection, type Target } from './http-client.ts'
import type { BenchServer } from './server.ts'
import { Skipped } from './skipped.ts'

export const nodeCount = 3
/** The internal port of a node, and two for its etcd. */
const portsOfNode = 3
/** In which three nodes serve and vote, ms. */
const readyMs = 60_000

export interface MeshNode extends BenchServer {
  readonly folder: string
  /** Starts it again after its end, on the same folder. */
  again(): Promise<MeshNode>
}

interface MemberView {
  readonly state: string
  readonly serving: boolean
  readonly voter: boolean
  readonly reached: boolean
  readonly visible: number
}

/** Resolves when all serve, reach each other, and vote. Throws Skipped without etcd. */
export async function startMesh(bench: Bench, name: string): Promise<readonly MeshNode[]> {
  if (findProgram('etcd') === undefined) throw new Skipped('etcd is not installed')
  const ports: number[] = []
  while (ports.length < nodeCount) ports.push(await portsInRow())
  const peers = ports.map((port) => `"${loopback}:${port}"`).join(', ')
  const start = async (port: number, folder: string): Promise<MeshNode> => {
    const config = `mesh: { enabled: true, bind: "${loopback}:${port}", peers: [${peers}] }\n`
    const server = await bench.kind('ours').start({ folder, config })
    return { ...server, folder, again: () => start(port, folder) }
  }
  const nodes = await Promise.all(ports.map((port) => start(port, bench.newFolder(name))))
  await untilReady(nodes)
  return nodes
}

export async function untilReady(nodes: readonly BenchServer[]): Promise<void> {
  const isReady = ({ state, serving, voter, reached }: MemberView) =>
    state === 'active' && serving && voter && reached
  for (const { target } of nodes) {
    await until(async () => {
      const members = await membersOf(target)
      return members.length === nodes.length && members.every(isReady)
    })
  }
}

/** What a node says of all; none while it does not answer. */
export async function membersOf(target: Target): Promise<readonly MemberView[]> {
  const connection = await HttpConnection.open(target).catch(() => undefined)
  if (connection === undefined) return []
  try {
    const reply = await connection.request({
      method: 'GET',
      path: '/admin/mesh',
      keepsBody: true,
    })
    if (reply.status !== 200) return []
    return (JSON.parse(reply.body.toString()) as { members: MemberView[] }).members
  } finally {
    connection.close()
  }
}

/** Asks every 20 ms. */
export async function until(holds: () => Promise<boolean>, waitMs = readyMs): Promise<void> {
  const deadline = performance.now() + waitMs
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error('the nodes are not ready in time')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Whether a node has the file of a blob. */
export function hasFile({ folder }: MeshNode, digest: string): boolean {
  const encoded = digest.slice('sha256:'.length)
  return existsSync(join(folder, 'storage/blobs/sha256', encoded.slice(0, 2), encoded))
}

export function blobsOf(seed: number, count: number, sizeBytes: number): readonly Blob[] {
  return Array.from({ length: count }, (_, index) => withDigest({ seed: seed + index, sizeBytes }))
}

/** The first of three ports of which none is taken. */
async function portsInRow(): Promise<number> {
  while (true) {
    const first = await freePort()
    const others = await Promise.all(
      Array.from({ length: portsOfNode - 1 }, (_, at) => isFree(first + at + 1)),
    )
    if (others.every((it) => it)) return first
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, loopback, () => server.close(() => resolve(true)))
  })
}
