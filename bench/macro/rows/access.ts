/**
 * @module Rows about access control and TLS: what known credentials cost a pull, what a flood of
 * wrong passwords does to everybody else, pulls over TLS.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { hashBcrypt } from '../../../src/auth/bcrypt.ts'
import type { Metrics } from '../../statistics.ts'
import { type Bench, measured, type Row, type RowResult } from '../bench.ts'
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

/** Wrong passwords a second, each another one. */
const floodPerSecond = 1_000
const floodConnections = 16

class Flood {
  readonly #ended: Promise<void>[]
  #isStopped = false
  sent = 0

  constructor(target: Target, path: string) {
    this.#ended = Array.from({ length: floodConnections }, (_, index) =>
      this.#run(target, path, index),
    )
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await Promise.all(this.#ended)
  }

  async #run(target: Target, path: string, index: number): Promise<void> {
    const connection = await HttpConnection.open(target)
    const everyMs = (1000 * floodConnections) / floodPerSecond
    let next = performance.now()
    while (!this.#isStopped) {
      next += everyMs
      const wait = next - performance.now()
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
      this.sent += 1
      const wrong = Buffer.from(`bench:${index}-${this.sent}`).toString('base64')
      await connection
        .request({ method: 'GET', path, headers: { Authorization: `Basic ${wrong}` } })
        .catch(() => undefined)
    }
    connection.close()
  }
}

const wrongPasswordsRow: Row = {
  id: 'wrong-passwords',
  title: '1,000 wrong passwords a second beside pulls with a token',
  run: async (bench): Promise<RowResult> => {
    const { closed, path } = await pair(bench)
    const { target } = closed
    const headers = { ...accept, Authorization: await bearer(closed) }
    const probe = async (seconds: number): Promise<Metrics> =>
      slowPulls(target, path, headers, seconds)
    const results = await bench.alternate(['ours'], async () => {
      const quiet = await probe(bench.options.seconds)
      const flood = new Flood(target, path)
      const metrics = await measured(closed, () => probe(bench.options.seconds))
      await flood.stop()
      return {
        rate: flood.sent / bench.options.seconds,
        ofQuiet: metrics['p50Ms']! / quiet['p50Ms']!,
        quietP99Ms: quiet['p99Ms']!,
        ...metrics,
      }
    })
    const { id, title } = wrongPasswordsRow
    const client = 'own client (raw sockets), 50 pulls a second'
    return { id, title, unit: 'wrong passwords/s', client, servers: results, notes: [] }
  },
}

/** Pulls of somebody who is in no hurry: his latency is what a flood would spoil. */
async function slowPulls(
  target: Target,
  path: string,
  headers: Readonly<Record<string, string>>,
  seconds: number,
): Promise<Metrics> {
  const connection = await HttpConnection.open(target)
  const times: number[] = []
  const end = performance.now() + seconds * 1000
  let errors = 0
  while (performance.now() < end) {
    const reply = await connection.request({ method: 'GET', path, headers })
    if (reply.status !== 200) errors += 1
    times.push(reply.totalMs)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  connection.close()
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.floor((times.length - 1) * share)] ?? Number.NaN
  const requests = times.length
  return { seconds, requests, bytes: 0, errors, p50Ms: at(0.5), p99Ms: at(0.99) }
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
