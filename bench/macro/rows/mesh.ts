/**
 * @module Rows about several nodes as one registry: what it costs beside one node alone, in the same run on the same
 * machine; and what clients see of a node that is killed, and of one that comes back.
 */
import { latencyMetrics, type Metrics } from '../../statistics.ts'
import { type Bench, measured, type Row, type RowResult } from '../bench.ts'
import { runClient } from '../client.ts'
import { clientOf, runGetLoad } from '../get-load.ts'
import { HttpConnection, type Target } from '../http-client.ts'
import { buildImage, type Image, manifestType, smallImage } from '../images.ts'
import {
  blobsOf,
  hasFile,
  type MeshNode,
  membersOf,
  nodeCount,
  startMesh,
  until,
  untilReady,
} from '../mesh-nodes.ts'
import { pullOnce, type Wanted } from '../pull-once.ts'
import { pushBlob, pushImage } from '../push.ts'
import type { BenchServer } from '../server.ts'

const MiB = 1024 * 1024
const repository = 'bench/mesh'
const ownClient = 'own client (raw sockets)'
const seed = 7_300_000
const accept = { Accept: manifestType }

interface Scene {
  readonly single: BenchServer
  readonly nodes: readonly MeshNode[]
  readonly image: Image
}

/** One node alone and three nodes, which both stay for all rows. */
function scene(bench: Bench): Promise<Scene> {
  return bench.once('mesh', async () => {
    const nodes = await startMesh(bench, 'mesh')
    const single = await bench.startFresh('ours')
    bench.atEnd(() => Promise.all([single, ...nodes].map((server) => server.stop())))
    const image = buildImage(smallImage(seed))
    for (const { target } of [single, nodes[0]!]) {
      await withConnection(target, (connection) => pushImage(connection, repository, image))
    }
    return { single, nodes, image }
  })
}

async function withConnection<T>(
  target: Target,
  use: (connection: HttpConnection) => Promise<T>,
): Promise<T> {
  const connection = await HttpConnection.open(target)
  try {
    return await use(connection)
  } finally {
    connection.close()
  }
}

/** The same GETs of one node alone and of a node of the mesh, in turns. */
function readRow(id: string, title: string, pathOf: (scene: Scene) => Promise<string>): Row {
  return {
    id,
    title,
    isLong: true,
    run: async (bench): Promise<RowResult> => {
      const made = await scene(bench)
      const path = await pathOf(made)
      const { seconds } = bench.options
      const load = { method: 'GET', paths: [path], connections: 16, headers: accept } as const
      const [{ target: alone }, node] = [made.single, made.nodes[0]!]
      for (const target of [alone, node.target]) await runGetLoad({ ...load, target, seconds: 1 })
      const servers = await bench.alternate(['ours'], async (_name, round) => {
        const one = () => runGetLoad({ ...load, target: alone, seconds })
        const first = round % 2 === 0 ? await one() : undefined
        const metrics = await measured(node, () =>
          runGetLoad({ ...load, target: node.target, seconds }),
        )
        const single = first ?? (await one())
        const rate = metrics['requestsPerSecond']!
        return { rate, ofSingle: rate / (single['requests']! / single['seconds']!), ...metrics }
      })
      const notes = [`${nodeCount} nodes and etcd on the same cores, beside one node alone`]
      return { id, title, unit: 'requests/s', client: clientOf('GET'), servers, notes }
    },
  }
}

const localBytes = 1 * MiB

const manifestRow = readRow('mesh-get-manifest', 'mesh: GET manifest by tag', async ({ image }) => {
  return `/v2/${repository}/manifests/${image.tag}`
})

const blobRow = readRow(
  'mesh-get-blob',
  'mesh: GET blob 1 MiB whose copy is on the node',
  async ({ single, nodes }) => {
    const [blob] = blobsOf(seed + 10, 1, localBytes)
    for (const { target } of [single, nodes[0]!]) {
      await withConnection(target, (connection) => pushBlob(connection, repository, blob!))
    }
    return `/v2/${repository}/blobs/${blob!.digest}`
  },
)

const farBytes = 16 * MiB
const farCount = 12

const elsewhereRow: Row = {
  id: 'mesh-get-elsewhere',
  title: 'mesh: GET blob 16 MiB whose copy is on other nodes',
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const { nodes } = await scene(bench)
    const [pusher, puller] = [nodes[0]!, nodes[1]!]
    let next = seed + 1_000
    const servers = await bench.alternate(['ours'], async () => {
      const far: Wanted[] = []
      // Each blob is on two of three nodes, one of which has taken it.
      while (far.length < farCount) {
        const [blob] = blobsOf(next, 1, farBytes)
        next += 1
        await withConnection(pusher.target, (it) => pushBlob(it, repository, blob!))
        if (hasFile(puller, blob!.digest)) continue
        const { digest } = blob!
        far.push({ path: `/v2/${repository}/blobs/${digest}`, sizeBytes: farBytes, digest })
      }
      const rateOf = async ({ target }: MeshNode) => {
        let seconds = 0
        for (const one of far) seconds += (await pullOnce(target, [one], 1))['seconds']!
        return (farCount * farBytes) / 1e6 / seconds
      }
      await rateOf(pusher)
      const local = await rateOf(pusher)
      const first = await rateOf(puller)
      const second = await rateOf(puller)
      return { rate: first, local, second, ofLocal: first / local, secondOfLocal: second / local }
    })
    const { id, title } = elsewhereRow
    const notes = [
      `${farCount} blobs, one after the other, by a client that compares digests as container engines do`,
      'ofLocal: the first pull beside one where it was pushed',
    ]
    return { id, title, unit: 'MB/s', client: ownClient, servers, notes }
  },
}

const imagesRow: Row = {
  id: 'mesh-push-images',
  title: 'mesh: push images of 5 small layers, 16 connections',
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const { single, nodes } = await scene(bench)
    const count = Math.max(50, Math.round(400 * bench.options.scale))
    let next = seed + 20_000
    const push = (target: Target): Promise<Metrics> => {
      const images = Array.from({ length: count }, () => smallImage(next++))
      return runClient({ kind: 'push-images', target, connections: 16, repository, images })
    }
    const perSecond = (metrics: Metrics) => metrics['images']! / metrics['seconds']!
    const servers = await bench.alternate(['ours'], async () => {
      const alone = await push(single.target)
      const metrics = await measured(nodes[0]!, () => push(nodes[0]!.target))
      const rate = perSecond(metrics)
      return { rate, ofSingle: rate / perSecond(alone), ...metrics }
    })
    const { id, title } = imagesRow
    const notes = [`${count} images through one node, beside one node alone`]
    return { id, title, unit: 'images/s', client: ownClient, servers, notes }
  },
}

/** Moves one tag after the other; ms of each. */
async function moveTags(
  target: Target,
  { manifest }: Image,
  tags: Iterable<string>,
): Promise<number[]> {
  const times: number[] = []
  const headers = { 'Content-Type': manifestType }
  await withConnection(target, async (connection) => {
    for (const tag of tags) {
      const reply = await connection.request({
        method: 'PUT',
        path: `/v2/${repository}/manifests/${tag}`,
        headers,
        body: [manifest],
        bodyBytes: manifest.length,
      })
      if (reply.status !== 201) throw new Error(`a move of ${tag} was answered ${reply.status}`)
      times.push(reply.totalMs)
    }
  })
  return times
}

function* tagsOf(name: string, count: number): Generator<string> {
  for (let at = 0; at < count; at += 1) yield `${name}-${at}`
}

const tagRow: Row = {
  id: 'mesh-move-tag',
  title: 'mesh: PUT manifest under a tag, one client, nothing else',
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const { single, nodes, image } = await scene(bench)
    const servers = await bench.alternate(['ours'], async (_name, round) => {
      const alone = latencyMetrics(await moveTags(single.target, image, tagsOf(`s${round}`, 300)))
      const all = await moveTags(nodes[round % nodeCount]!.target, image, tagsOf(`m${round}`, 300))
      const metrics = latencyMetrics(all)
      return { rate: 1_000 / metrics['p50Ms']!, singleP50Ms: alone['p50Ms']!, ...metrics }
    })
    const { id, title } = tagRow
    const notes = ['each is in the logs of two members of etcd, and seen by all nodes']
    return { id, title, unit: 'moves/s', client: ownClient, servers, notes }
  },
}

const killSeconds = 8

/** Asks without an end until `isOver`; the longest time between two good answers, ms. */
async function longestGap(isOver: () => boolean, ask: () => Promise<boolean>): Promise<number> {
  let longest = 0
  let last = performance.now()
  while (!isOver()) {
    if (!(await ask().catch(() => false))) continue
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }
  return Math.max(longest, performance.now() - last)
}

const killRow: Row = {
  id: 'mesh-killed-node',
  title: 'mesh: the longest wait of pushes and pulls while a node is killed',
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const nodes = [...(await startMesh(bench, 'killed'))]
    try {
      const [first] = nodes
      const image = buildImage(smallImage(seed + 1))
      const [blob] = blobsOf(seed + 30, 1, localBytes)
      await withConnection(first!.target, (it) => pushImage(it, repository, image))
      await withConnection(first!.target, (it) => pushBlob(it, repository, blob!))
      // Each node has all then, as a cache does.
      const path = `/v2/${repository}/blobs/${blob!.digest}`
      for (const { target } of nodes) {
        await withConnection(target, (it) => it.request({ method: 'GET', path }))
      }
      const servers = await bench.alternate(['ours'], async (_name, round) => {
        const victim = round % nodeCount
        const [one, other] = nodes.filter((_, at) => at !== victim) as [MeshNode, MeshNode]
        const until8 = performance.now() + killSeconds * 1_000
        const isOver = () => performance.now() > until8
        let pushed = 0
        const pushing = longestGap(isOver, async () => {
          pushed += 1
          await moveTags(one.target, image, [`k${round}-${pushed}`])
          return true
        })
        const pulling = longestGap(isOver, () =>
          withConnection(other.target, async (it) => {
            const tag = await it.request({
              method: 'GET',
              path: `/v2/${repository}/manifests/${image.tag}`,
              headers: accept,
            })
            return tag.status === 200 && (await it.request({ method: 'GET', path })).status === 200
          }),
        )
        await new Promise((resolve) => setTimeout(resolve, 1_000))
        process.kill(nodes[victim]!.pid, 'SIGKILL')
        const [pushMs, pullMs] = await Promise.all([pushing, pulling])
        nodes[victim] = await nodes[victim]!.again()
        await untilReady(nodes)
        return { rate: 1_000 / pushMs, pushMs, pullMs }
      })
      const { id, title } = killRow
      const notes = ['pushes at one of the other nodes, pulls of what all have at another one']
      return { id, title, unit: '1/s', client: ownClient, servers, notes }
    } finally {
      await Promise.all(nodes.map((node) => node.stop()))
    }
  },
}

const catchUpWriters = 64

const catchUpRow: Row = {
  id: 'mesh-catch-up',
  title: 'mesh: a node comes back after 100,000 transactions',
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const nodes = [...(await startMesh(bench, 'catch-up'))]
    const count = Math.max(2_000, Math.round(1e5 * bench.options.scale))
    try {
      const image = buildImage(smallImage(seed + 2))
      const [first] = nodes as [MeshNode, ...MeshNode[]]
      await withConnection(first.target, (it) => pushImage(it, repository, image))
      const last = nodeCount - 1
      await nodes[last]!.stop()
      const tags = tagsOf('away', count)
      const startedAt = performance.now()
      const writers = Array.from({ length: catchUpWriters }, () => {
        return moveTags(first.target, image, { [Symbol.iterator]: () => tags })
      })
      await Promise.all(writers)
      const movesPerSecond = (1_000 * count) / (performance.now() - startedAt)
      const { visible: goal } = (await membersOf(first.target))[0]!
      const since = performance.now()
      nodes[last] = await nodes[last]!.again()
      await until(async () => {
        const members = await membersOf(nodes[last]!.target)
        return members.length > 0 && members.every((it) => it.serving && it.visible >= goal)
      })
      const seconds = (performance.now() - since) / 1_000
      const { id, title } = catchUpRow
      const servers = { ours: { rate: count / seconds, seconds, movesPerSecond } }
      const notes = [`${count} moves of tags; from the start of its process until it serves`]
      return { id, title, unit: 'transactions/s', client: ownClient, servers, notes }
    } finally {
      await Promise.all(nodes.map((node) => node.stop()))
    }
  },
}

export const meshRows: readonly Row[] = [
  manifestRow,
  blobRow,
  elsewhereRow,
  imagesRow,
  tagRow,
  killRow,
  catchUpRow,
]
