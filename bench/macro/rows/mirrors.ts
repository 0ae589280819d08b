/**
 * @module Rows about mirrors: a cold image through ours, through distribution's proxy mode and (where
 * it is installed) zot's sync on demand, beside the same image straight from upstream; and what is
 * cached beside what was pushed.
 */
import { rmSync } from 'node:fs'
import { type Bench, measured, type Row, type RowResult } from '../bench.ts'
import { type Blob, withDigest } from '../content.ts'
import { clientOf, runGetLoad } from '../get-load.ts'
import { HttpConnection } from '../http-client.ts'
import { coldRepository, startUpstream } from '../paced-upstream.ts'
import { pullOnce } from '../pull-once.ts'
import { pushBlob } from '../push.ts'
import { type BenchServer, isOurs, type ServerName } from '../server.ts'

const MiB = 1024 * 1024
const layerCount = 5
const seed = 4_200_000

/** A fast network: 2 Gbit/s. */
const networkBytesPerSecond = 250_000_000

/** Another blob first: compiled programs are as fast at once, ours is compiled while it runs. */
const warmUpBytes = 32 * MiB

const MIRROR_NAMES: readonly ServerName[] = ['ours', 'before', 'distribution', 'zot']

interface ColdRow {
  readonly id: string
  readonly title: string
  readonly layerMiB: number
  readonly clients: number
  /** 0: as fast as it goes. */
  readonly bytesPerSecond: number
  readonly isLong?: boolean
}

const COLD: readonly ColdRow[] = [
  {
    id: 'mirror-cold',
    title: 'Cold pull through a mirror, one client, upstream at 2 Gbit/s',
    layerMiB: 40,
    clients: 1,
    bytesPerSecond: networkBytesPerSecond,
  },
  {
    id: 'mirror-cold-loopback',
    title: 'Cold pull through a mirror, one client, upstream as fast as loopback',
    layerMiB: 200,
    clients: 1,
    bytesPerSecond: 0,
    isLong: true,
  },
  {
    id: 'mirror-cold-50',
    title: 'Cold pull through a mirror, 50 clients at once, upstream at 2 Gbit/s',
    layerMiB: 4,
    clients: 50,
    bytesPerSecond: networkBytesPerSecond,
  },
]

function layersOf({ layerMiB }: ColdRow): Blob[] {
  return Array.from({ length: layerCount }, (_, index) =>
    withDigest({ seed: seed + index, sizeBytes: layerMiB * MiB }),
  )
}

const pathOf = (name: ServerName | 'direct', { digest }: Blob) =>
  `/v2/${isOurs(name) ? 'up/' : ''}${coldRepository}/blobs/${digest}`

const wanted = (name: ServerName | 'direct', blobs: readonly Blob[]) =>
  blobs.map((blob) => ({ path: pathOf(name, blob), sizeBytes: blob.sizeBytes }))

async function runCold(bench: Bench, row: ColdRow): Promise<RowResult> {
  const { id, title, clients, bytesPerSecond } = row
  const blobs = layersOf(row)
  const warmUp = [withDigest({ seed: seed + 50, sizeBytes: warmUpBytes })]
  const upstream = await startUpstream({ blobs: [...blobs, ...warmUp], bytesPerSecond })
  const mirrorOf = `http://${upstream.target.host}:${upstream.target.port}`
  const sumBytes = blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  try {
    const names = bench.names(true).filter((name) => MIRROR_NAMES.includes(name))
    const results = await bench.alternate(names, async (name) => {
      const direct = await pullOnce(upstream.target, wanted('direct', blobs), 1)
      const folder = bench.newFolder(`${id}-${name}`)
      const profile = bench.profileFolder
      const server = await bench.kind(name).start({
        folder,
        mirrorOf,
        ...(profile === undefined ? {} : { profileFolder: profile }),
      })
      try {
        await pullOnce(server.target, wanted(name, warmUp), 1)
        await upstream.sent()
        const metrics = await measured(server, () =>
          pullOnce(server.target, wanted(name, blobs), clients),
        )
        const sent = await upstream.sent()
        return {
          rate: metrics['mbPerSecond']!,
          totalMs: metrics['seconds']! * 1000,
          directMs: direct['seconds']! * 1000,
          ofDirect: metrics['seconds']! / direct['seconds']!,
          upstreamGets: sent.gets,
          upstreamMb: sent.bytes / 1e6,
          upstreamOfImage: sent.bytes / sumBytes,
          ...metrics,
        }
      } finally {
        await server.stop()
        rmSync(folder, { recursive: true, force: true })
      }
    })
    const notes = [
      `${layerCount} layers of ${row.layerMiB} MiB, each on a connection of its own`,
      'directMs: one client straight from upstream, just before; ofDirect: the mirror against it',
      'a blob of 32 MiB before, which does not count; ours flushes to disk behind the answers',
    ]
    const client = 'own client (raw sockets)'
    return { id, title, unit: 'MB/s', client, servers: results, notes }
  } finally {
    await upstream.stop()
  }
}

/** A blob that came through a mirror, and one of the same size that was pushed. */
const hitBytes = 64 * 1024

async function runHit(bench: Bench): Promise<RowResult> {
  const [cached, pushed] = [0, 1].map((index) =>
    withDigest({ seed: seed + 100 + index, sizeBytes: hitBytes }),
  ) as [Blob, Blob]
  const upstream = await startUpstream({ blobs: [cached], bytesPerSecond: 0 })
  let server: BenchServer | undefined
  try {
    const { host, port } = upstream.target
    server = await bench.kind('ours').start({
      folder: bench.newFolder('mirror-hit'),
      mirrorOf: `http://${host}:${port}`,
    })
    const connection = await HttpConnection.open(server.target)
    await pushBlob(connection, 'bench/local', pushed)
    const cachedPath = pathOf('ours', cached)
    const first = await connection.request({ method: 'GET', path: cachedPath })
    connection.close()
    if (first.status !== 200) throw new Error(`the mirror answers ${first.status}`)
    const { target } = server
    const running = server
    const { seconds } = bench.options
    const load = (path: string) =>
      runGetLoad({ target, method: 'GET', paths: [path], connections: 16, seconds })
    const localPath = `/v2/bench/local/blobs/${pushed.digest}`
    await load(localPath)
    const results = await bench.alternate(['ours'], async () => {
      const local = await load(localPath)
      const metrics = await measured(running, () => load(cachedPath))
      const rate = metrics['requestsPerSecond']!
      return { rate, ofLocal: rate / (local['requests']! / local['seconds']!), ...metrics }
    })
    const id = 'mirror-hit'
    const title = 'GET blob 64 KiB that a mirror has cached'
    const notes = ['beside a blob of the same size that was pushed, in turns']
    return { id, title, unit: 'requests/s', client: clientOf('GET'), servers: results, notes }
  } finally {
    await server?.stop()
    await upstream.stop()
  }
}

export const mirrorRows: readonly Row[] = [
  ...COLD.map((row) => ({
    id: row.id,
    title: row.title,
    ...(row.isLong === true ? { isLong: true } : {}),
    run: (bench: Bench) => runCold(bench, row),
  })),
  { id: 'mirror-hit', title: 'GET blob 64 KiB that a mirror has cached', run: runHit },
]
