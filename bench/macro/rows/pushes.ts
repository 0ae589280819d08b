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
import { smallImage } from '../images.ts'
import { type BenchServer, isOurs, type ServerName } from '../server.ts'

const MiB = 1024 ** 2

export const pushClient = 'own client (one worker thread, raw sockets)'

/** Seeds of content that only warms up, apart from all that is measured. */
const warmSeed = 9_000_000

/** Runs one push plan on an empty store, with the disk at rest before and nothing left after. */
export async function pushOnce(
  bench: Bench,
  name: ServerName,
  plan: (server: BenchServer) => ClientPlan,
): Promise<Metrics> {
  const folder = bench.newFolder(name)
  const server = await bench.startFresh(name, folder)
  try {
    await warmUp(server)
    const client = await prepareClient(plan(server))
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

function blobPushRow(id: string, title: string, streams: number, isLong: boolean): Row {
  return {
    id,
    title,
    isLong,
    run: async (bench): Promise<RowResult> => {
      const sizeBytes = Math.max(64 * MiB, Math.round(1024 * bench.options.scale) * MiB)
      const blobs = Array.from({ length: streams }, (_, index) => ({
        seed: 2_000_000 + index,
        sizeBytes,
      }))
      const results = await bench.alternate(bench.names(true), async (name) => {
        const machine = isOurs(name) ? await machineRates(bench, sizeBytes * streams) : {}
        const metrics = await pushOnce(bench, name, ({ target }) => ({
          kind: 'push-blobs',
          target,
          connections: streams,
          repository: 'bench/push',
          blobs,
          way: 'client',
        }))
        const rate = metrics['mbPerSecond']!
        const bound = Math.min(...Object.values(machine))
        return {
          rate,
          ...metrics,
          ...machine,
          ...(isOurs(name) ? { ofMachine: rate / bound } : {}),
        }
      })
      const note = `blobs of ${sizeBytes / MiB} MiB; ours is on disk when it answers, the peers do not flush`
      return { id, title, unit: 'MB/s', client: pushClient, servers: results, notes: [note] }
    },
  }
}

/** What the machine could do at this very moment, MB/s. */
async function machineRates(bench: Bench, bytes: number): Promise<Metrics> {
  const file = bench.newFolder('rate')
  execFileSync('sync')
  const diskMbPerSecond = durableWriteRate(file, bytes)
  return { sha256MbPerSecond: sha256Rate(256 * MiB), diskMbPerSecond }
}

const imagesRow: Row = {
  id: 'push-images',
  title: 'push 1,000 images of 5 small layers, 16 connections',
  run: async (bench): Promise<RowResult> => {
    const count = Math.max(50, Math.round(1000 * bench.options.scale))
    const images = Array.from({ length: count }, (_, index) => smallImage(index + 10))
    const results = await bench.alternate(bench.names(true), async (name) => {
      const metrics = await pushOnce(bench, name, ({ target }) => ({
        kind: 'push-images',
        target,
        connections: 16,
        repository: 'bench/images',
        images,
      }))
      return { rate: metrics['images']! / metrics['seconds']!, ...metrics }
    })
    const { id, title } = imagesRow
    const note = `${count} images, layers of 4 to 32 KiB; each blob HEAD, POST, PATCH, PUT`
    return { id, title, unit: 'images/s', client: pushClient, servers: results, notes: [note] }
  },
}

export const pushRows: readonly Row[] = [
  blobPushRow('push-1g', 'push 1 GiB, one stream', 1, false),
  blobPushRow('push-4x1g', 'push 4 x 1 GiB in parallel', 4, true),
  imagesRow,
]
