/**
 * @module Rows about access control and TLS: what known credentials cost a pull, what a flood of
 * wrong passwords does to everybody else, pulls over TLS.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { hashBcrypt } from '../../../src/auth/bcrypt.ts'
import { latencyMetrics, type Metrics } from '../../statistics.ts'
import { type Bench, measured, type Row, type RowResult } from '../bench.ts'
import { prepareClient } from '../client.ts'
import { clientOf, runGetLoad } from '../get-load.ts'
import { HttpConnection, type Target } from '../http-client.ts'
import { manifestType } from '../images.ts'
import { type BlobSize, fillReadSet, readRepository } from '../read-set.ts'
import type { BenchServer, ServerName } from '../server.ts'
import { projectRoot } from '../servers/ours.ts'

const accept = { Accept: manifestType }
const password = 'a password for benchmarks'
const basic = `Basic ${Buffer.from(`bench:${password}`).toString('base64')}`

interface Pair {
  readonly open: BenchServer
  readonly closed: BenchServer
  readonly path: string
}

/** The same store twice, served open and with access control. */
function pair(bench: Bench): Promise<Pair> {
  return bench.once('access', async () => {
    const folders = [bench.newFolder('open'), bench.newFolder('closed')] as const
    const { set } = await bench.reading()
    for (const folder of folders) {
      const filling = await bench.startFresh('ours', folder)
      await fillReadSet([filling], new Map(), set)
      await filling.stop()
    }
    const users = join(folders[1], 'htpasswd')
    mkdirSync(folders[1], { recursive: true })
    writeFileSync(users, `bench:${hashBcrypt(password)}\n`)
    const config = [
      `auth: { type: htpasswd, htpasswd_file: ${users} }`,
      'access:',
      '  - { repositories: ["/metrics"], anonymous: true, actions: [pull] }',
      '  - { repositories: ["bench/**"], users: [bench], actions: [pull, push, list] }',
      '',
    ].join('\n')
    const open = await bench.startFresh('ours', folders[0])
    const closed = await bench.kind('ours').start({ folder: folders[1], config })
    bench.atEnd(() => Promise.all([open.stop(), closed.stop()]))
    return { open, closed, path: `/v2/${readRepository}/manifests/${set.image.tag}` }
  })
}

async function bearer({ target }: BenchServer): Promise<string> {
  const connection = await HttpConnection.open(target)
  const scope = `repository:${readRepository}:pull`
  const reply = await connection.request({
    method: 'GET',
    path: `/token?scope=${scope}`,
    headers: { Authorization: basic },
    keepsBody: true,
  })
  connection.close()
  const { token } = JSON.parse(reply.body.toString()) as { token: string }
  return `Bearer ${token}`
}

function credentialsRow(
  id: string,
  title: string,
  authorize: (server: BenchServer) => Promise<string>,
): Row {
  return {
    id,
    title,
    run: async (bench): Promise<RowResult> => {
      const { open, closed, path } = await pair(bench)
      const headers = { ...accept, Authorization: await authorize(closed) }
      const { seconds } = bench.options
      const load = { method: 'GET', paths: [path], connections: 16, headers } as const
      for (const { target } of [open, closed]) await runGetLoad({ ...load, target, seconds: 1 })
      // Both are asked with the same headers, in turns.
      const results = await bench.alternate(['ours'], async () => {
        const opened = await runGetLoad({ ...load, target: open.target, seconds })
        const metrics = await measured(closed, () =>
          runGetLoad({ ...load, target: closed.target, seconds }),
        )
        const rate = metrics['requestsPerSecond']!
        return { rate, ofOpen: rate / (opened['requests']! / opened['seconds']!), ...metrics }
      })
      const notes = ['same store, same headers, beside an open registry in the same run']
      return { id, title, unit: 'requests/s', client: clientOf('GET'), servers: results, notes }
    },
  }
}

const flood = { kind: 'flood', connections: 16, perSecond: 1_000, user: 'bench' } as const

/** Shortest time of one measurement, whatever the other rows have: a p99 needs its samples. */
const floodSecondsMin = 5

const wrongPasswordsRow: Row = {
  id: 'wrong-passwords',
  title: '1,000 wrong passwords a second beside pulls with a token',
  run: async (bench): Promise<RowResult> => {
    const { closed, path } = await pair(bench)
    const { target } = closed
    const headers = { ...accept, Authorization: await bearer(closed) }
    const seconds = Math.max(floodSecondsMin, bench.options.seconds)
    const results = await bench.alternate(['ours'], async () => {
      // The flood begins before and ends after what is measured beside it.
      const run = await prepareClient({ ...flood, target, path, seconds: seconds + 1 })
      const quiet = await calmPulls(target, path, headers, seconds)
      const flooding = run.go()
      await new Promise((resolve) => setTimeout(resolve, 500))
      const metrics = await measured(closed, () => calmPulls(target, path, headers, seconds))
      const { metrics: sent } = await flooding
      return {
        rate: sent['requests']! / sent['seconds']!,
        letIn: sent['errors']!,
        ofQuiet: metrics['p50Ms']! / quiet['p50Ms']!,
        p99OfQuiet: metrics['p99Ms']! / quiet['p99Ms']!,
        quietP99Ms: quiet['p99Ms']!,
        ...metrics,
      }
    })
    const { id, title } = wrongPasswordsRow
    const client = 'own client (raw sockets), 4 connections that pull every 10 ms'
    return { id, title, unit: 'wrong passwords/s', client, servers: results, notes: [] }
  },
}

/** Pulls of clients that are in no hurry: their latency is what a flood would spoil. */
async function calmPulls(
  target: Target,
  path: string,
  headers: Readonly<Record<string, string>>,
  seconds: number,
): Promise<Metrics> {
  const times: number[] = []
  const end = performance.now() + seconds * 1000
  let errors = 0
  const pull = async () => {
    const connection = await HttpConnection.open(target)
    while (performance.now() < end) {
      const reply = await connection.request({ method: 'GET', path, headers })
      if (reply.status !== 200) errors += 1
      times.push(reply.totalMs)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    connection.close()
  }
  await Promise.all(Array.from({ length: 4 }, pull))
  return { seconds, requests: times.length, bytes: 0, errors, ...latencyMetrics(times) }
}

const TLS_NAMES: readonly ServerName[] = ['ours', 'docker-registry', 'distribution']

function tlsRow(size: BlobSize, title: string): Row {
  const id = `tls-get-blob-${size}`
  return {
    id,
    title,
    run: async (bench): Promise<RowResult> => {
      const { set } = await bench.reading()
      const servers = await bench.once('tls-servers', () => tlsServers(bench))
      const paths = [`/v2/${readRepository}/blobs/${set.blobs[size].digest}`]
      const { seconds } = bench.options
      const results = await bench.alternate([...servers.keys()], async (name) => {
        const server = servers.get(name)!
        const load = { target: server.target, method: 'GET', paths, connections: 16 } as const
        const metrics = await measured(server, () => runGetLoad({ ...load, seconds }))
        return { rate: metrics['mbPerSecond']!, ...metrics }
      })
      const notes = ['TLS 1.3, the same certificate for all']
      return { id, title, unit: 'MB/s', client: clientOf('GET'), servers: results, notes }
    },
  }
}

async function tlsServers(bench: Bench): Promise<Map<ServerName, BenchServer>> {
  const { set } = await bench.reading()
  const folder = join(projectRoot(), 'test/support/tls')
  const tls = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') }
  const servers = new Map<ServerName, BenchServer>()
  for (const name of bench.names(true).filter((one) => TLS_NAMES.includes(one))) {
    const server = await bench.kind(name).start({ folder: bench.newFolder(`tls-${name}`), tls })
    bench.atEnd(() => server.stop())
    servers.set(name, server)
  }
  await fillReadSet([...servers.values()], new Map(), set)
  return servers
}

export const accessRows: readonly Row[] = [
  credentialsRow('get-manifest-basic', 'GET manifest, known Basic credentials', async () => basic),
  credentialsRow('get-manifest-bearer', 'GET manifest, bearer token', bearer),
  wrongPasswordsRow,
  tlsRow('1m', 'GET blob 1 MiB over TLS'),
  tlsRow('100m', 'GET blob 100 MiB over TLS'),
]
