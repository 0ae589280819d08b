/**
 * @module The run that puts the server under pressure: eight pushes of 2 GiB while a thousand
 * connections pull. What counts is what it costs: private memory and the delay of the event loop.
 */
import { rmSync } from 'node:fs'
import type { Metrics } from '../../statistics.ts'
import { measured, type Row, type RowResult } from '../bench.ts'
import { prepareClient } from '../client.ts'
import { clientOf, runGetLoad } from '../get-load.ts'
import { manifestType } from '../images.ts'
import { fillReadSet, readRepository } from '../read-set.ts'
import { requireRoom } from '../room.ts'
import { pushClient } from './pushes.ts'

const MiB = 1024 ** 2
const pushes = 8
const pullConnections = 1000

/** Pause between two probes of the manifest, ms: a p99 needs its samples. */
const probeEveryMs = 20

export const pressureRow: Row = {
  id: 'pressure',
  title: 'eight pushes of 2 GiB while 1,000 connections pull',
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const sizeBytes = Math.max(32, Math.round(2048 * bench.options.scale)) * MiB
    requireRoom(bench.folder, pushes * sizeBytes)
    const folder = bench.newFolder('ours')
    // One client may have a thousand connections; a balancer, of many clients, more than that.
    const server = await bench.startFresh('ours', folder, { trustsClients: true })
    const { target } = server
    const { image, blobs } = await fillReadSet([server], new Map())
    const layers = [...image.blobs, blobs['1m'], blobs['10m']]
    const paths = [
      `/v2/${readRepository}/manifests/${image.tag}`,
      ...layers.map(({ digest }) => `/v2/${readRepository}/blobs/${digest}`),
    ]
    const push = await prepareClient({
      kind: 'push-blobs',
      target,
      connections: pushes,
      repository: 'bench/pressure',
      blobs: Array.from({ length: pushes }, (_, index) => ({ seed: 4_000_000 + index, sizeBytes })),
      way: 'client',
    })
    const headers = { Accept: manifestType }
    const probe = { kind: 'probe', target, connections: 1, path: paths[0]!, headers } as const
    const probes = [
      await prepareClient({ ...probe, everyMs: probeEveryMs, isKeptOpen: true }),
      await prepareClient({ ...probe, everyMs: probeEveryMs, isKeptOpen: false }),
    ]
    const act = async (): Promise<Metrics> => {
      let isPushing = true
      const probing = Promise.all(probes.map((one) => one.go()))
      const pushing = push.go().finally(() => {
        isPushing = false
        for (const one of probes) one.end()
      })
      const pulls: Metrics[] = []
      while (isPushing) {
        const load = { target, method: 'GET', paths, headers } as const
        pulls.push(await runGetLoad({ ...load, connections: pullConnections, seconds: 3 }))
      }
      const { metrics } = await pushing
      const [kept, fresh] = (await probing).map((one) => one.metrics) as [Metrics, Metrics]
      const total = (key: string) => pulls.reduce((sum, each) => sum + each[key]!, 0)
      return {
        seconds: Math.max(metrics['seconds']!, total('seconds')),
        requests: total('requests') + metrics['requests']!,
        bytes: total('bytes') + metrics['bytes']!,
        errors: total('errors') + metrics['errors']! + kept['errors']! + fresh['errors']!,
        pushMbPerSecond: metrics['bytes']! / 1e6 / metrics['seconds']!,
        pullsPerSecond: total('requests') / total('seconds'),
        pullP50Ms: pulls[0]!['p50Ms']!,
        pullP99Ms: pulls[0]!['p99Ms']!,
        manifestTtfbP50Ms: kept['ttfbP50Ms']!,
        manifestTtfbP99Ms: kept['ttfbP99Ms']!,
        newConnectionTtfbP50Ms: fresh['ttfbP50Ms']!,
        newConnectionTtfbP99Ms: fresh['ttfbP99Ms']!,
      }
    }
    try {
      const metrics = await measured(server, act, 50)
      const ours = { rate: metrics['pushMbPerSecond']!, ...metrics }
      const { id, title } = pressureRow
      const notes = [
        `pushes of ${sizeBytes / MiB} MiB; pulls: manifest, small layers, 1 and 10 MiB`,
        'the clients count as a balancer of `trusted_proxies`: one client has a thousand connections at most',
      ]
      const client = `${pushClient}; ${clientOf('GET')}`
      return { id, title, unit: 'MB/s pushed', client, servers: { ours }, notes }
    } finally {
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  },
}
