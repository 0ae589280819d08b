/**
 * @module Rows about a store of a million repositories, a million tags in one of them and a million
 * blobs: pages of lists, lookups and deletes (beside the same on a store of a thousand), start-up,
 * memory. Ours alone: no peer could be filled in any bearable time.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Metrics } from '../../statistics.ts'
import { type Bench, measured, type Row, type RowResult } from '../bench.ts'
import { runClient } from '../client.ts'
import { memoryOf } from '../process-stats.ts'
import { seededDraw } from '../random.ts'
import { scaleBlobBytes, scaleRepository, scaleTag, tagsRepository } from '../scale-names.ts'
import type { BenchServer } from '../server.ts'

const ownClient = 'own client (one worker thread, raw sockets)'
const smallCount = 1000
/** Pages read for a percentile. */
const pages = 1000
/** How long a server rests before its idle memory is read, ms. */
const restMs = 5000

const fullCount = ({ options }: Bench) => Math.max(smallCount, Math.round(1e6 * options.scale))

/** A server on a store with `count` of everything; made once a run for each count. */
export async function startScaled(bench: Bench, count: number): Promise<BenchServer> {
  const folder = await bench.once(`scale-${count}`, async () => {
    const made = bench.newFolder(`scale-${count}`)
    const script = fileURLToPath(new URL('../scale-data.js', import.meta.url))
    const startedAt = performance.now()
    await promisify(execFile)(process.execPath, [script, join(made, 'storage'), String(count)])
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(0)
    bench.say(`scale: a store of ${count} repositories, tags and blobs made in ${seconds} s`)
    return made
  })
  return bench.startFresh('ours', folder)
}

interface ScaleRow {
  readonly id: string
  readonly title: string
  readonly unit: string
  measure(bench: Bench, server: BenchServer, count: number, round: number): Promise<Metrics>
  /** Also measured on the small store: the metric `rateSmall`. */
  readonly comparesSmall?: boolean
}

const ROWS: readonly ScaleRow[] = [
  {
    id: 'tags-page',
    title: 'tags list page of 1,000 out of 1,000,000',
    unit: 'pages/s',
    measure: (_bench, server, count) =>
      pageThrough(server, count, (last) => {
        return `/v2/${tagsRepository}/tags/list?n=1000&last=${scaleTag(last)}`
      }),
  },
  {
    id: 'catalog-page',
    title: 'catalog page of 1,000 out of 1,000,000 repositories',
    unit: 'pages/s',
    measure: (_bench, server, count) =>
      pageThrough(server, count, (last) => {
        return `/v2/_catalog?n=1000&last=${encodeURIComponent(scaleRepository(last))}`
      }),
  },
  {
    id: 'scale-lookup-tag',
    title: 'HEAD of a random manifest by tag out of 1,000,000',
    unit: 'requests/s',
    comparesSmall: true,
    measure: (bench, server, count) => {
      return lookUp(bench, server, count, (index) => {
        return `/v2/${tagsRepository}/manifests/${scaleTag(index)}`
      })
    },
  },
  {
    id: 'scale-lookup-blob',
    title: 'HEAD of a random blob out of 1,000,000',
    unit: 'requests/s',
    comparesSmall: true,
    measure: (bench, server, count) => {
      return lookUp(bench, server, count, (index) => {
        return `/v2/${scaleRepository(index)}/blobs/${scaleDigest(index)}`
      })
    },
  },
  {
    id: 'scale-delete',
    title: 'DELETE of tags out of 1,000,000, 16 connections',
    unit: 'deletes/s',
    comparesSmall: true,
    measure: (_bench, server, count, round) => deleteTags(server, count, round),
  },
]

function scaleDigest(index: number): string {
  return `sha256:${createHash('sha256').update(scaleBlobBytes(index)).digest('hex')}`
}

async function pageThrough(
  server: BenchServer,
  count: number,
  path: (last: number) => string,
): Promise<Metrics> {
  const draw = seededDraw(2)
  const paths = Array.from({ length: pages }, () => path(Math.floor(draw() * count * 0.99)))
  const { target } = server
  const plan = { kind: 'each-once', method: 'GET', target } as const
  await runClient({ ...plan, paths: paths.slice(0, 200), connections: 1 })
  const alone = await measured(server, () => runClient({ ...plan, paths, connections: 1 }))
  const crowd = await runClient({ ...plan, paths, connections: 16 })
  return {
    rate: alone['requestsPerSecond']!,
    ...alone,
    p99MsWith16: crowd['p99Ms']!,
    errors: alone['errors']! + crowd['errors']!,
  }
}

async function lookUp(
  bench: Bench,
  server: BenchServer,
  count: number,
  path: (index: number) => string,
): Promise<Metrics> {
  const draw = seededDraw(3)
  const distinct = Math.min(count, 100_000)
  const paths = Array.from({ length: distinct }, () => path(Math.floor(draw() * count)))
  const { target } = server
  const { seconds } = bench.options
  const plan = { kind: 'load', method: 'HEAD', target, paths, connections: 16 } as const
  await runClient({ ...plan, seconds: 0.5 })
  const metrics = await measured(server, () => runClient({ ...plan, seconds }))
  return { rate: metrics['requestsPerSecond']!, ...metrics }
}

/** Each round deletes tags of its own, spread over the whole list. */
async function deleteTags(server: BenchServer, count: number, round: number): Promise<Metrics> {
  const step = Math.floor(count / 100)
  const paths = Array.from({ length: 90 }, (_, index) => {
    return `/v2/${tagsRepository}/manifests/${scaleTag(index * step + round)}`
  })
  const { target } = server
  const plan = { kind: 'each-once', method: 'DELETE', target, paths, connections: 16 } as const
  const metrics = await measured(server, () => runClient(plan))
  return { rate: metrics['requestsPerSecond']!, ...metrics }
}

const scaleRow = (row: ScaleRow): Row => ({
  id: row.id,
  title: row.title,
  ...(row.comparesSmall === true ? { isLong: true } : {}),
  run: async (bench): Promise<RowResult> => {
    const count = fullCount(bench)
    const sizes = row.comparesSmall === true ? [smallCount, count] : [count]
    const rates: Record<string, number> = {}
    let servers: RowResult['servers'] = {}
    for (const size of sizes) {
      const server = await startScaled(bench, size)
      try {
        servers = await bench.alternate(['ours'], (_name, round) => {
          return row.measure(bench, server, size, round)
        })
      } finally {
        await server.stop()
      }
      rates[size] = servers.ours!['rate']!
    }
    const small = row.comparesSmall === true ? { rateSmall: rates[smallCount]! } : {}
    const { id, title, unit } = row
    const notes = [`store of ${count}`]
    return {
      id,
      title,
      unit,
      client: ownClient,
      servers: { ours: { ...servers.ours, ...small } },
      notes,
    }
  },
})

const startUpRow: Row = {
  id: 'start-up',
  title: 'start-up with one million blobs',
  run: async (bench): Promise<RowResult> => {
    const count = fullCount(bench)
    const servers = await bench.alternate(['ours'], async () => {
      const server = await startScaled(bench, count)
      await new Promise((resolve) => setTimeout(resolve, restMs / 5))
      const { anonMiB, rssMiB } = memoryOf(server.pid)
      await server.stop()
      const { startMs } = server
      return { rate: 1000 / startMs, startMs, peakAnonMiB: anonMiB, peakRssMiB: rssMiB }
    })
    const notes = [`store of ${count}; from the start of the process to its first answer`]
    const { id, title } = startUpRow
    return { id, title, unit: 'starts/s', client: ownClient, servers, notes }
  },
}

const idleRow: Row = {
  id: 'idle',
  title: 'idle with an empty store',
  run: async (bench): Promise<RowResult> => {
    const names = bench.names(false)
    const servers = await bench.alternate(
      names,
      async (name) => {
        const server = await bench.startFresh(name)
        await new Promise((resolve) => setTimeout(resolve, restMs))
        const { anonMiB, rssMiB } = memoryOf(server.pid)
        await server.stop()
        return { startMs: server.startMs, peakAnonMiB: anonMiB, peakRssMiB: rssMiB }
      },
      1,
    )
    const { id, title } = idleRow
    const notes = [`${restMs / 1000} s after the start`]
    return { id, title, unit: '', client: 'none', servers, notes }
  },
}

export const scaleRows: readonly Row[] = [...ROWS.map(scaleRow), startUpRow, idleRow]
