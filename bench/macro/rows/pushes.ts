/**
 * @module Rows that push: large blobs in one stream and in four, many small images. Every round
 * begins with an empty store and a warm process; what it wrote is removed and the disk is at rest
 * before the next one starts, so that nobody pays for another's unwritten pages.
 */
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { durableWriteRate, sha256Rate } from '../../rates.ts'
import type { Metrics } from '../../statistics.ts'
import { type Bench, measured, type Row, type RowResult } from '../bench.ts'
import { type ClientPlan, prepareClient, runClient } from '../client.ts'
import { withDigest } from '../content.ts'
import { wakeFreeMemory } from '../free-memory.ts'
import { HttpConnection, type Target } from '../http-client.ts'
import { smallImage } from '../images.ts'
import { takesMonolithicPost } from '../push.ts'
import { requireRoom } from '../room.ts'
import { type BenchServer, type EngineName, isOurs, type ServerName } from '../server.ts'

const MiB = 1024 ** 2

export const pushClient = 'own client (one worker thread, raw sockets)'

/** Seeds of content that only warms up, apart from all that is measured. */
const warmSeed = 9_000_000

interface PushOptions {
  readonly engine?: EngineName
  /** What the plan will write: so much of the free memory is used once before. */
  readonly bytes?: number
}

/** Runs one push plan on an empty store, with the disk at rest before and nothing left after. */
export async function pushOnce(
  bench: Bench,
  name: ServerName,
  plan: (server: BenchServer) => ClientPlan | Promise<ClientPlan>,
  { engine = 'auto', bytes = 0 }: PushOptions = {},
): Promise<Metrics> {
  const folder = bench.newFolder(name)
  const server = await bench.startFresh(name, folder, engine === 'auto' ? {} : { engine })
  try {
    await warmUp(server)
    const client = await prepareClient(await plan(server))
    wakeFreeMemory(bench.newFolder('memory'), bytes)
    execFileSync('sync')
    return await measured(server, async () => (await client.go()).metrics)
  } finally {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
    execFileSync('sync')
  }
}

async function warmUp({ target }: BenchServer): Promise<void> {
  const blobs = [
    ...Array.from({ length: 50 }, (_, index) => ({ seed: warmSeed + index, sizeBytes: 8192 })),
    { seed: warmSeed + 99, sizeBytes: 32 * MiB },
  ]
  await runClient({
    kind: 'push-blobs',
    target,
    connections: 4,
    repository: 'bench/warm',
    blobs,
    way: 'client',
  })
}

interface BlobPush {
  readonly id: string
  readonly title: string
  readonly count: number
  readonly connections: number
  readonly way: 'client' | 'post'
  /** One blob, bytes: the row's own size, made smaller by `--scale`. */
  sizeBytes(scale: number): number
  readonly isLong?: boolean
  readonly engine?: EngineName
}

const gibibyte = (scale: number) => Math.max(64 * MiB, Math.round(1024 * scale) * MiB)

const oneStream: BlobPush = {
  id: 'push-1g',
  title: 'push 1 GiB, one stream',
  count: 1,
  connections: 1,
  way: 'client',
  sizeBytes: gibibyte,
}

const BLOB_PUSHES: readonly BlobPush[] = [
  oneStream,
  {
    ...oneStream,
    id: 'push-4x1g',
    title: 'push 4 x 1 GiB in parallel',
    count: 4,
    connections: 4,
    isLong: true,
  },
  {
    ...oneStream,
    id: 'push-1g-post',
    title: 'push 1 GiB, one stream, all in one POST',
    way: 'post',
    isLong: true,
  },
  {
    id: 'push-layers',
    title: 'push 100 layers of 10 MB, 4 clients',
    count: 100,
    connections: 4,
    way: 'client',
    sizeBytes: () => 10_000_000,
    isLong: true,
  },
]

/** A share of the machine's own rates is only said of these: the others have more in their way. */
const OF_MACHINE: ReadonlySet<string> = new Set(['push-1g', 'push-4x1g'])

const blobPushRow = (row: BlobPush): Row => ({
  id: row.id,
  title: row.title,
  ...(row.isLong === true ? { isLong: true } : {}),
  run: (bench) => runBlobPush(bench, row),
})

async function runBlobPush(bench: Bench, row: BlobPush): Promise<RowResult> {
  const { id, title, count, connections, way, engine = 'auto' } = row
  const sizeBytes = row.sizeBytes(bench.options.scale)
  const bytes = sizeBytes * count
  requireRoom(bench.folder, bytes)
  const blobs = Array.from({ length: count }, (_, index) => ({
    seed: 2_000_000 + index,
    sizeBytes,
  }))
  const refusing = new Set<ServerName>()
  const names = engine === 'node' ? bench.namesOnNode() : bench.names(true)
  const results = await bench.alternate(names, async (name) => {
    const machine = isOurs(name) && OF_MACHINE.has(id) ? await machineRates(bench, bytes) : {}
    const plan = async ({ target }: BenchServer): Promise<ClientPlan> => {
      const isRefused = way === 'post' && !(await takesPost(target))
      if (isRefused) refusing.add(name)
      return {
        kind: 'push-blobs',
        target,
        connections,
        repository: 'bench/push',
        blobs,
        way: isRefused ? 'short' : way,
      }
    }
    const metrics = await pushOnce(bench, name, plan, {
      bytes,
      ...(isOurs(name) ? { engine } : {}),
    })
    const rate = metrics['mbPerSecond']!
    const bounds = Object.values(machine)
    const ofMachine = bounds.length === 0 ? {} : { ofMachine: rate / Math.min(...bounds) }
    return { rate, ...metrics, ...machine, ...ofMachine }
  })
  const size = sizeBytes % MiB === 0 ? `${sizeBytes / MiB} MiB` : `${sizeBytes / 1e6} MB`
  const notes = [`blobs of ${size}; ours is on disk when it answers, the peers do not flush`]
  if (refusing.size > 0) {
    notes.push(`${[...refusing].join(', ')}: POST, then PUT with the bytes (no blob in one POST)`)
  }
  return { id, title, unit: 'MB/s', client: pushClient, servers: results, notes }
}

async function takesPost(target: Target): Promise<boolean> {
  const connection = await HttpConnection.open(target)
  const blob = withDigest({ seed: warmSeed + 98, sizeBytes: 1024 })
  const isTaken = await takesMonolithicPost(connection, 'bench/warm', blob)
  connection.close()
  return isTaken
}

/** What the machine could do at this very moment, MB/s. */
async function machineRates(bench: Bench, bytes: number): Promise<Metrics> {
  const file = bench.newFolder('rate')
  execFileSync('sync')
  const diskMbPerSecond = durableWriteRate(file, bytes)
  return { sha256MbPerSecond: sha256Rate(256 * MiB), diskMbPerSecond }
}

const imagesRow = (id: string, connections: number, isLong: boolean): Row => ({
  id,
  title: `push 1,000 images of 5 small layers, ${connections} connections`,
  isLong,
  run: async (bench): Promise<RowResult> => {
    const count = Math.max(50, Math.round(1000 * bench.options.scale))
    const images = Array.from({ length: count }, (_, index) => smallImage(index + 10))
    const results = await bench.alternate(bench.names(true), async (name) => {
      const metrics = await pushOnce(bench, name, ({ target }) => ({
        kind: 'push-images',
        target,
        connections,
        repository: 'bench/images',
        images,
      }))
      return { rate: metrics['images']! / metrics['seconds']!, ...metrics }
    })
    const title = `push 1,000 images of 5 small layers, ${connections} connections`
    const note = `${count} images, layers of 4 to 32 KiB; each blob HEAD, POST, PATCH, PUT`
    return { id, title, unit: 'images/s', client: pushClient, servers: results, notes: [note] }
  },
})

export const pushRows: readonly Row[] = [
  ...BLOB_PUSHES.map(blobPushRow),
  imagesRow('push-images', 16, false),
  imagesRow('push-images-32', 32, true),
]

export const nodePushRows: readonly Row[] = [
  blobPushRow({
    ...oneStream,
    id: 'node-push-1g',
    title: `node engine: ${oneStream.title}`,
    engine: 'node',
    isLong: true,
  }),
]
