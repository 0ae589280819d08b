/**
 * @module FastRegistry with its defaults, but for the access log: that is on or off for all servers
 * alike. The built command line in a process of its own.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadUws } from '../../../src/http/engine/uws/loader.ts'
import { readVersion } from '../../../src/runtime/version.ts'
import { freePort, loopback, startProcess } from '../child-process.ts'
import type { BenchServer, EngineName, ServerKind, StartOptions } from '../server.ts'

/**
 * `root`: a checkout in which `npm ci` and `npm run build` have run. `engine`: what serves it where a
 * row does not say.
 */
export function oursKind(
  engine: EngineName,
  name: 'ours' | 'before' = 'ours',
  root = projectRoot(),
): ServerKind {
  // The same Node.js loads the same binary there.
  const uws = loadUws()
  const servedBy = uws.ok && engine !== 'node' ? `uWebSockets.js ${uws.version}` : 'node:http'
  const version = `FastRegistry ${readVersion()} on ${servedBy}`
  return {
    name,
    version,
    isRegistry: true,
    start: (options) => start(name, root, { engine, ...options }),
  }
}

async function start(
  name: 'ours' | 'before',
  root: string,
  options: StartOptions,
): Promise<BenchServer> {
  const { folder, tls, profileFolder } = options
  const port = await freePort()
  mkdirSync(folder, { recursive: true })
  const profile =
    profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`]
  const { pid, startMs, stop } = await startProcess({
    command: process.execPath,
    args: [
      ...profile,
      join(root, 'dist/src/cli.js'),
      'serve',
      `--storage=${join(folder, 'storage')}`,
      `--addr=${loopback}:${port}`,
      `--config=${writeConfig(options)}`,
    ],
    port,
    isTls: tls !== undefined,
    errorFile: join(folder, 'errors.log'),
  })
  const target = { host: loopback, port, isTls: tls !== undefined }
  return { name, target, pid, startMs, stop }
}

function writeConfig({
  folder,
  tls,
  logsAccess = false,
  config = '',
  engine = 'auto',
  mirrorOf,
  trustsClients = false,
}: StartOptions): string {
  const file = join(folder, 'config.yaml')
  const { certFile = '', keyFile = '' } = tls ?? {}
  const mirrors = mirrorOf === undefined ? '' : `mirrors: [{ name: up, upstream: "${mirrorOf}" }]\n`
  const proxies = trustsClients ? loopback : ''
  writeFileSync(
    file,
    `log: { access: ${logsAccess} }\n` +
      `server: { engine: ${engine}, tls: { cert: "${certFile}", key: "${keyFile}" }, ` +
      `trusted_proxies: [${proxies}] }\n` +
      `${mirrors}${config}`,
  )
  return file
}

/** The folder that holds package.json, from the sources as well as from `dist`. */
export function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}
