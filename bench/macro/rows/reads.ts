/**
 * @module Rows that read what is warm: manifests and blobs, HEAD and GET, by size and by the number
 * of connections.
 */
import { type Bench, measured, type Row, type RowResult } from '../bench.ts'
import { clientOf, runGetLoad } from '../get-load.ts'
import { manifestType } from '../images.ts'
import {
  BLOB_SIZES,
  type BlobSize,
  fillReadSet,
  type ReadSet,
  readRepository,
} from '../read-set.ts'
import { type BenchServer, isOurs, type ServerName } from '../server.ts'

interface ReadRow {
  readonly id: string
  readonly title: string
  readonly method: 'GET' | 'HEAD'
  readonly connections: number
  /** Whether the static file server can answer it too. */
  readonly isStatic: boolean
  readonly unit: 'requests/s' | 'MB/s'
  readonly isLong?: boolean
  /** Path at the bare engine, which then takes part. */
  readonly barePath?: string
  path(set: ReadSet): string
}

/** Without it the older registries refuse to send what is not in Docker's own format. */
const accept = { Accept: manifestType }

const manifestPath = ({ image }: ReadSet) => `/v2/${readRepository}/manifests/${image.tag}`
const digestPath = ({ image }: ReadSet) => `/v2/${readRepository}/manifests/${image.digest}`
const blobPath = (size: BlobSize) => (set: ReadSet) =>
  `/v2/${readRepository}/blobs/${set.blobs[size].digest}`

const manifestByTag = (connections: number, isLong: boolean): ReadRow => ({
  id: `get-manifest-${connections}`,
  title: `GET manifest by tag, ${connections} connection${connections === 1 ? '' : 's'}`,
  method: 'GET',
  connections,
  isStatic: false,
  unit: 'requests/s',
  isLong,
  path: manifestPath,
})

const TITLES: Readonly<Record<BlobSize, string>> = {
  '1k': '1 KiB',
  '64k': '64 KiB',
  '1m': '1 MiB',
  '10m': '10 MiB',
  '100m': '100 MiB',
}

const blobRows = (Object.keys(BLOB_SIZES) as BlobSize[]).map(
  (size): ReadRow => ({
    id: `get-blob-${size}`,
    title: `GET blob ${TITLES[size]}`,
    method: 'GET',
    connections: 16,
    isStatic: true,
    unit: BLOB_SIZES[size] >= BLOB_SIZES['1m'] ? 'MB/s' : 'requests/s',
    ...(size === '1k' ? {} : { barePath: `/${size}` }),
    path: blobPath(size),
  }),
)

const READS: readonly ReadRow[] = [
  manifestByTag(16, false),
  manifestByTag(256, false),
  {
    id: 'head-manifest',
    title: 'HEAD manifest by tag',
    method: 'HEAD',
    connections: 16,
    isStatic: false,
    unit: 'requests/s',
    path: manifestPath,
  },
  {
    id: 'head-blob',
    title: 'HEAD blob',
    method: 'HEAD',
    connections: 16,
    isStatic: false,
    unit: 'requests/s',
    path: blobPath('64k'),
  },
  ...blobRows,
  manifestByTag(1, true),
  manifestByTag(1000, true),
  {
    id: 'get-manifest-digest',
    title: 'GET manifest by digest',
    method: 'GET',
    connections: 16,
    isStatic: false,
    unit: 'requests/s',
    isLong: true,
    path: digestPath,
  },
]

/** The node engine of ours: what serves where no binary of uWebSockets.js loads. */
const NODE_READS: readonly ReadRow[] = [
  manifestByTag(16, true),
  ...blobRows.filter(({ id }) => id === 'get-blob-1m' || id === 'get-blob-100m'),
].map((row) => ({
  ...row,
  id: row.id === 'get-manifest-16' ? 'node-get-manifest' : `node-${row.id}`,
  title: `node engine: ${row.title}`,
  isLong: true,
}))

/** What a line in the log costs each of them. */
const logged: ReadRow = {
  ...manifestByTag(16, false),
  id: 'get-manifest-logged',
  title: 'GET manifest by tag, 16 connections, access logs on',
}

export const readRows: readonly Row[] = [
  ...READS.map((row) => ({
    id: row.id,
    title: row.title,
    ...(row.isLong === true ? { isLong: true } : {}),
    run: async (bench: Bench) => runRead(bench, row, await bench.reading()),
  })),
  { id: logged.id, title: logged.title, isLong: true, run: runLogged },
]

export const nodeReadRows: readonly Row[] = NODE_READS.map((row) => ({
  id: row.id,
  title: row.title,
  isLong: true,
  run: (bench: Bench) => runOnNode(bench, row),
}))

async function runOnNode(bench: Bench, row: ReadRow): Promise<RowResult> {
  const { servers, set } = await bench.reading()
  const ofNode = await bench.once('node-engine', async () => {
    const started = new Map<ServerName, BenchServer>()
    for (const name of bench.names(true).filter(isOurs)) {
      const folder = bench.newFolder(`${name}-node`)
      const server = await bench.startFresh(name, folder, { engine: 'node' })
      bench.atEnd(() => server.stop())
      started.set(name, server)
    }
    await fillReadSet([...started.values()], new Map(), set)
    return started
  })
  const filled = { servers: new Map([...servers, ...ofNode]), set }
  return runRead(bench, row, filled, bench.namesOnNode())
}

async function runLogged(bench: Bench): Promise<RowResult> {
  const { set } = await bench.reading()
  const servers = new Map<ServerName, BenchServer>()
  try {
    for (const name of bench.names(true)) {
      servers.set(name, await bench.startFresh(name, bench.newFolder(name), { logsAccess: true }))
    }
    await fillReadSet([...servers.values()], new Map(), set)
    return await runRead(bench, logged, { servers, set })
  } finally {
    await Promise.all([...servers.values()].map((server) => server.stop()))
  }
}

interface Filled {
  readonly servers: ReadonlyMap<ServerName, BenchServer>
  readonly set: ReadSet
}

async function runRead(
  bench: Bench,
  row: ReadRow,
  { servers, set }: Filled,
  names = [...bench.names(!row.isStatic), ...bareFor(bench, row)],
): Promise<RowResult> {
  const { id, title, method, connections, unit } = row
  const results = await bench.alternate(names, async (name, round) => {
    const server = name === 'bare' ? await bareServer(bench) : servers.get(name)!
    const paths = [name === 'bare' ? row.barePath! : row.path(set)]
    const load = { target: server.target, method, paths, connections, headers: accept }
    // Compiled programs are as fast at once; ours is compiled while it runs.
    if (round === 0 && isOurs(name)) await runGetLoad({ ...load, seconds: 1 })
    const metrics = await measured(server, () =>
      runGetLoad({ ...load, seconds: bench.options.seconds }),
    )
    const rate = unit === 'MB/s' ? metrics['mbPerSecond']! : metrics['requestsPerSecond']!
    return { rate, ...metrics }
  })
  return { id, title, unit, client: clientOf(method), servers: results, notes: [] }
}

function bareFor(bench: Bench, { barePath }: ReadRow): ServerName[] {
  return barePath !== undefined && bench.has('bare') ? ['bare'] : []
}

/** Started at the first row that needs it. */
function bareServer(bench: Bench): Promise<BenchServer> {
  return bench.once('bare', async () => {
    const server = await bench.startFresh('bare')
    bench.atEnd(() => server.stop())
    return server
  })
}
