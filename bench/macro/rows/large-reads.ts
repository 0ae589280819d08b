/**
 * @module Rows about large reads that a rate does not show: bytes that are not in memory, and
 * whether equal downloads get equal shares.
 */
import type { Metrics } from '../../statistics.ts'
import { type Bench, measured, type Row, type RowResult } from '../bench.ts'
import { prepareClient, runClient } from '../client.ts'
import { dropPageCache } from '../page-cache.ts'
import { readRepository } from '../read-set.ts'
import { requireRoom } from '../room.ts'
import type { ServerName } from '../server.ts'

const MiB = 1024 ** 2
const repository = 'bench/cold'
const ownClient = 'own client (one worker thread, raw sockets)'

const coldBytes = 16 * MiB

/** Readers of the cold blobs at a time. */
const coldConnections = 8

export const coldBlobsRow: Row = {
  id: 'cold-blobs',
  title: '64 blobs of 16 MiB read for the first time, page cache dropped',
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    dropPageCache()
    const count = Math.max(8, Math.round(64 * bench.options.scale))
    const names = bench.names(true).filter((name) => name !== 'zot')
    requireRoom(bench.folder, names.length * count * coldBytes)
    const stores = new Map<ServerName, { folder: string; digests: readonly string[] }>()
    for (const name of names) stores.set(name, await fillCold(bench, name, count))
    const results = await bench.alternate(names, (name) => readCold(bench, name, stores.get(name)!))
    const { id, title } = coldBlobsRow
    const note = `${count} blobs over ${coldConnections} connections; the server is started anew for each round`
    return { id, title, unit: 'MB/s', client: ownClient, servers: results, notes: [note] }
  },
}

async function fillCold(bench: Bench, name: ServerName, count: number) {
  const folder = bench.newFolder(name)
  const server = await bench.startFresh(name, folder)
  const blobs = Array.from({ length: count }, (_, index) => ({
    seed: 3_000_000 + index,
    sizeBytes: coldBytes,
  }))
  const { target } = server
  const plan = { kind: 'push-blobs', target, connections: 2, repository, way: 'short' } as const
  const client = await prepareClient({ ...plan, blobs })
  const { digests } = await client.go()
  await server.stop()
  return { folder, digests }
}

async function readCold(
  bench: Bench,
  name: ServerName,
  { folder, digests }: { readonly folder: string; readonly digests: readonly string[] },
): Promise<Metrics> {
  const server = await bench.startFresh(name, folder)
  const { target } = server
  const paths = digests.map((digest) => `/v2/${repository}/blobs/${digest}`)
  const get = { kind: 'each-once', method: 'GET', target, connections: coldConnections } as const
  try {
    // The program itself is warm: one blob, and thousands of answers that touch no blob at all.
    const head = { kind: 'load', method: 'HEAD', target, connections: 4, seconds: 0.5 } as const
    await runClient({ ...head, paths: paths.slice(0, 1) })
    dropPageCache()
    const metrics = await measured(server, () => runClient({ ...get, paths }))
    return { rate: metrics['mbPerSecond']!, ...metrics }
  } finally {
    await server.stop()
  }
}

export const equalSharesRow: Row = {
  id: 'equal-shares',
  title: '16 equal downloads of 100 MiB at once',
  run: async (bench): Promise<RowResult> => {
    const { servers, set } = await bench.reading()
    const path = `/v2/${readRepository}/blobs/${set.blobs['100m'].digest}`
    const paths = Array.from({ length: 16 }, () => path)
    const results = await bench.alternate(bench.names(false), async (name) => {
      const server = servers.get(name)!
      const { target } = server
      const metrics = await measured(server, () =>
        runClient({ kind: 'each-once', method: 'GET', target, paths, connections: 16 }),
      )
      return { rate: metrics['mbPerSecond']!, ...metrics }
    })
    const { id, title } = equalSharesRow
    return { id, title, unit: 'MB/s', client: ownClient, servers: results, notes: [] }
  },
}
