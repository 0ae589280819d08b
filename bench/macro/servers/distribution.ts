/**
 * @module The two generations of the distribution registry on the file system: Debian's
 * `docker-registry` (2.8) and distribution v3, both with the cache of descriptors of their shipped
 * configuration; logs at `error`, the access log on or off for all servers alike.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram, freePort, loopback, startProcess, versionLine } from '../child-process.ts'
import type { BenchServer, ServerKind, StartOptions } from '../server.ts'
import { projectRoot } from './ours.ts'

/** Where `setup-peers.sh` installs what no package manager has. */
export function peersFolder(): string {
  return process.env['BENCH_PEERS'] ?? join(projectRoot(), '.cache/bench/bin')
}

export function dockerRegistryKind(): ServerKind {
  const program = findProgram('docker-registry')
  return {
    name: 'docker-registry',
    version: program && versionLine(program, '--version'),
    isRegistry: true,
    start: (options) => start('docker-registry', program!, options),
  }
}

export function distributionKind(): ServerKind {
  const program = findProgram('registry', peersFolder())
  return {
    name: 'distribution',
    version: program && distributionVersion(program),
    isRegistry: true,
    start: (options) => start('distribution', program!, options),
  }
}

/** A binary made by `go install` does not know its own version; the Go tool reads it from there. */
function distributionVersion(program: string): string {
  const own = versionLine(program, '--version')
  if (!own.includes('+unknown')) return own
  const go = findProgram('go', '/usr/local/go/bin')
  const lines = go === undefined ? '' : goModule(go, program)
  return lines === '' ? own : `distribution ${lines}`
}

function goModule(go: string, program: string): string {
  const text = versionLine('/bin/sh', '-c', `"${go}" version -m "${program}" | grep -m1 '\tmod\t'`)
  return text.trim().split(/\s+/)[2] ?? ''
}

async function start(
  name: 'docker-registry' | 'distribution',
  program: string,
  { folder, tls, logsAccess = false, mirrorOf }: StartOptions,
): Promise<BenchServer> {
  const port = await freePort()
  const data = join(folder, 'data')
  mkdirSync(data, { recursive: true })
  const file = join(folder, 'config.yml')
  writeFileSync(file, config(data, port, logsAccess, tls) + proxyTo(mirrorOf))
  const { pid, startMs, stop } = await startProcess({
    command: program,
    args: ['serve', file],
    port,
    isTls: tls !== undefined,
    errorFile: join(folder, 'errors.log'),
    env: { OTEL_TRACES_EXPORTER: 'none' },
  })
  return { name, target: { host: loopback, port, isTls: tls !== undefined }, pid, startMs, stop }
}

/** The pull-through mode: one upstream a process. */
function proxyTo(url: string | undefined): string {
  return url === undefined ? '' : `proxy:\n  remoteurl: ${url}\n  ttl: 168h\n`
}

function config(data: string, port: number, logsAccess: boolean, tls: StartOptions['tls']): string {
  const section =
    tls === undefined ? '' : `  tls:\n    certificate: ${tls.certFile}\n    key: ${tls.keyFile}\n`
  return `version: 0.1
log:
  level: error
  accesslog:
    disabled: ${!logsAccess}
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: ${data}
  delete:
    enabled: true
http:
  addr: ${loopback}:${port}
${section}  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
`
}
