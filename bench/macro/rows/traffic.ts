/**
 * @module Rows of mixed traffic as continuous integration makes it: 75% pulls and 25% pushes of blobs
 * of one size, four clients, on a store that begins small. Each operation goes to the next free client.
 */
import type { Bench, Row, RowResult } from '../bench.ts'
import { runClient } from '../client.ts'
import { requireRoom } from '../room.ts'
import type { BenchServer } from '../server.ts'
import { makeTraffic } from '../traffic.ts'
import { pushClient, pushOnce } from './pushes.ts'

interface TrafficSize {
  readonly megabytes: number
  /** Blobs that are there when the clock starts. */
  readonly stock: number
  readonly operations: number
  readonly isLong: boolean
}

const SIZES: readonly TrafficSize[] = [
  { megabytes: 1, stock: 100, operations: 2000, isLong: false },
  { megabytes: 10, stock: 40, operations: 400, isLong: true },
  { megabytes: 100, stock: 8, operations: 80, isLong: true },
]

/** Fewer say nothing: with four clients the last one would decide. */
const operationsMin = 40

const stockMin = 8
const clients = 4
const repository = 'bench/traffic'

/** Apart from the seeds of all other content. */
const seedOf = (megabytes: number) => 50_000_000 + megabytes * 10_000

export const trafficRows: readonly Row[] = SIZES.map((size) => ({
  id: `traffic-${size.megabytes}mb`,
  title: `mixed traffic, 75% pulls and 25% pushes of ${size.megabytes} MB, ${clients} clients`,
  ...(size.isLong ? { isLong: true } : {}),
  run: (bench: Bench) => runTraffic(bench, size),
}))

async function runTraffic(
  bench: Bench,
  { megabytes, stock, operations }: TrafficSize,
): Promise<RowResult> {
  const { scale, isCi, rounds } = bench.options
  const count = Math.max(operationsMin, Math.round(operations * scale))
  const sizeBytes = megabytes * 1_000_000
  const stockCount = Math.max(stockMin, Math.round(stock * scale))
  const traffic = makeTraffic(seedOf(megabytes), sizeBytes, stockCount, count)
  const pushedBytes = sizeBytes * traffic.operations.filter(({ kind }) => kind === 'push').length
  requireRoom(bench.folder, pushedBytes + sizeBytes * stockCount)
  const plan = async ({ target }: BenchServer) => {
    const fill = { kind: 'push-blobs', target, repository, blobs: traffic.stock } as const
    await runClient({ ...fill, connections: clients, way: 'short' })
    const paths = traffic.stock.map(({ digest }) => `/v2/${repository}/blobs/${digest}`)
    await runClient({ kind: 'each-once', method: 'GET', target, paths, connections: clients })
    return { kind: 'traffic', target, repository, connections: clients, traffic } as const
  }
  // The gate of `--ci` only sees that it runs: its peer is not there.
  const servers = await bench.alternate(
    bench.names(true),
    async (name) => {
      const metrics = await pushOnce(bench, name, plan, { bytes: pushedBytes })
      return { rate: metrics['operations']! / metrics['seconds']!, ...metrics }
    },
    isCi ? 1 : rounds,
  )
  const { id, title } = trafficRows.find((row) => row.id === `traffic-${megabytes}mb`)!
  const notes = [
    `${count} operations on a store of ${stockCount} blobs; a pull takes any blob that is there`,
    'ours is on disk when it answers, the peers do not flush',
  ]
  return { id, title, unit: 'operations/s', client: pushClient, servers, notes }
}
