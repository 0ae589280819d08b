/**
 * @module Rows where different work meets: pushes of continuous integration while pulls run, images
 * of realistic sizes, random ranges, TLS, many different manifests, and the run that puts the
 * server under pressure.
 */
import { join } from 'node:path'
import type { Metrics } from '../../statistics.ts'
import { measured, type Row, type RowResult } from '../bench.ts'
import { prepareClient, runClient } from '../client.ts'
import { clientOf, runGetLoad } from '../get-load.ts'
import { type ImageSpec, manifestType, realisticImage, smallImage } from '../images.ts'
import { seededDraw } from '../random.ts'
import { readRepository } from '../read-set.ts'
import { projectRoot } from '../servers/ours.ts'
import { pushClient, pushOnce } from './pushes.ts'

const accept = { Accept: manifestType }
const KiB = 1024

const realisticImages = (from: number, count: number): ImageSpec[] =>
  Array.from({ length: count }, (_, index) => realisticImage(from + index))

const imagesPerSecond = (metrics: Metrics) => metrics['images']! / metrics['seconds']!

const pushRealisticRow: Row = {
  id: 'push-realistic',
  title: 'push images of realistic sizes, 4 connections',
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const images = realisticImages(20_000, Math.max(10, Math.round(100 * bench.options.scale)))
    const servers = await bench.alternate(bench.names(true), async (name) => {
      const metrics = await pushOnce(bench, name, ({ target }) => ({
        kind: 'push-images',
        target,
        connections: 4,
        repository: 'bench/realistic',
        images,
      }))
      return { rate: imagesPerSecond(metrics), ...metrics }
    })
    const { id, title } = pushRealisticRow
    const notes = [`${images.length} images; sizes: see images.ts`]
    return { id, title, unit: 'images/s', client: pushClient, servers, notes }
  },
}

const pullRealisticRow: Row = {
  id: 'pull-realistic',
  title: 'pull images of realistic sizes, 16 connections',
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const { servers } = await bench.reading()
    const images = realisticImages(30_000, 20)
    const repository = 'bench/realistic'
    const results = await bench.alternate(bench.names(true), async (name, round) => {
      const server = servers.get(name)!
      const plan = { target: server.target, repository, images } as const
      if (round === 0) await runClient({ kind: 'push-images', connections: 4, ...plan })
      const { seconds } = bench.options
      const metrics = await measured(server, () =>
        runClient({ kind: 'pull-images', connections: 16, seconds, ...plan }),
      )
      return { rate: imagesPerSecond(metrics), ...metrics }
    })
    const { id, title } = pullRealisticRow
    return { id, title, unit: 'images/s', client: pushClient, servers: results, notes: [] }
  },
}

const mixedRow: Row = {
  id: 'mixed-ci',
  title: 'continuous integration: 8 clients push images while 16 pull',
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const pulled = realisticImages(30_000, 20)
    const pushed = realisticImages(40_000, 200)
    const { seconds } = bench.options
    const servers = await bench.alternate(bench.names(true), async (name) => {
      const server = await bench.startFresh(name)
      const { target } = server
      const repository = 'bench/mixed'
      await runClient({ kind: 'push-images', target, repository, images: pulled, connections: 4 })
      const push = await prepareClient({
        kind: 'push-images',
        target,
        repository,
        images: pushed,
        connections: 8,
        seconds,
      })
      const pull = await prepareClient({
        kind: 'pull-images',
        target,
        repository,
        images: pulled,
        connections: 16,
        seconds,
      })
      const metrics = await measured(server, async () => {
        const [pushes, pulls] = await Promise.all([push.go(), pull.go()])
        const sum = (key: string) => pushes.metrics[key]! + pulls.metrics[key]!
        return {
          seconds: Math.max(pushes.metrics['seconds']!, pulls.metrics['seconds']!),
          requests: sum('requests'),
          bytes: sum('bytes'),
          errors: sum('errors'),
          pushedPerSecond: imagesPerSecond(pushes.metrics),
          pulledPerSecond: imagesPerSecond(pulls.metrics),
          pushP99Ms: pushes.metrics['p99Ms']!,
          pullP99Ms: pulls.metrics['p99Ms']!,
        }
      })
      await server.stop()
      return { rate: metrics['pushedPerSecond']! + metrics['pulledPerSecond']!, ...metrics }
    })
    const { id, title } = mixedRow
    return { id, title, unit: 'images/s', client: `two times ${pushClient}`, servers, notes: [] }
  },
}

const rangesRow: Row = {
  id: 'get-range',
  title: 'GET 64 KiB at a random place of a blob of 100 MiB',
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const { servers, set } = await bench.reading()
    const { digest, sizeBytes } = set.blobs['100m']
    const draw = seededDraw(4)
    const ranges = Array.from({ length: 1000 }, () => {
      const first = Math.floor(draw() * (sizeBytes - 64 * KiB))
      return `bytes=${first}-${first + 64 * KiB - 1}`
    })
    const paths = ranges.map(() => `/v2/${readRepository}/blobs/${digest}`)
    const results = await bench.alternate(bench.names(true), async (name) => {
      const server = servers.get(name)!
      const load = { target: server.target, method: 'GET', paths, ranges, connections: 16 } as const
      const { seconds } = bench.options
      const metrics = await measured(server, () => runGetLoad({ ...load, seconds }))
      return { rate: metrics['requestsPerSecond']!, ...metrics }
    })
    const { id, title } = rangesRow
    return { id, title, unit: 'requests/s', client: clientOf('GET'), servers: results, notes: [] }
  },
}

const manyManifestsRow: Row = {
  id: 'get-manifests',
  title: 'GET manifest by tag, 200 different images in random order, 16 connections',
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const { servers } = await bench.reading()
    const images = Array.from({ length: 200 }, (_, index) => smallImage(5000 + index))
    const repository = 'bench/manifests'
    const paths = images.map(({ tag }) => `/v2/${repository}/manifests/${tag}`)
    const results = await bench.alternate(bench.names(true), async (name, round) => {
      const server = servers.get(name)!
      const { target } = server
      const fill = { kind: 'push-images', target, repository, images, connections: 16 } as const
      if (round === 0) await runClient(fill)
      const load = { target, method: 'GET', paths, connections: 16, headers: accept } as const
      const { seconds } = bench.options
      const metrics = await measured(server, () => runGetLoad({ ...load, seconds }))
      return { rate: metrics['requestsPerSecond']!, ...metrics }
    })
    const { id, title } = manyManifestsRow
    return { id, title, unit: 'requests/s', client: clientOf('GET'), servers: results, notes: [] }
  },
}

const tlsRow = (id: string, title: string, size: '64k' | '1m' | undefined): Row => ({
  id,
  title,
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const { server, set } = await bench.readingOverTls(join(projectRoot(), 'test/support/tls'))
    const reference =
      size === undefined ? `manifests/${set.image.tag}` : `blobs/${set.blobs[size].digest}`
    const paths = [`/v2/${readRepository}/${reference}`]
    const { seconds } = bench.options
    const servers = await bench.alternate(['ours'], async () => {
      const load = { target: server.target, method: 'GET', paths, headers: accept } as const
      const metrics = await measured(server, () =>
        runGetLoad({ ...load, connections: 16, seconds }),
      )
      const rate = metrics[size === '1m' ? 'mbPerSecond' : 'requestsPerSecond']!
      return { rate, ...metrics }
    })
    const unit = size === '1m' ? 'MB/s' : 'requests/s'
    return { id, title, unit, client: clientOf('GET'), servers, notes: [] }
  },
})

export const mixedRows: readonly Row[] = [
  manyManifestsRow,
  rangesRow,
  tlsRow('tls-manifest', 'GET manifest by tag over TLS, 16 connections', undefined),
  tlsRow('tls-blob-64k', 'GET blob 64 KiB over TLS', '64k'),
  tlsRow('tls-blob-1m', 'GET blob 1 MiB over TLS', '1m'),
  pullRealisticRow,
  pushRealisticRow,
  mixedRow,
]
