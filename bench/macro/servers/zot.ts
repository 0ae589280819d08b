/**
 * @module zot, where a binary is on the PATH: local storage, defaults, logs at `error`.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram, freePort, loopback, startProcess, versionLine } from '../child-process.ts'
import type { BenchServer, ServerKind, StartOptions } from '../server.ts'
import { peersFolder } from './distribution.ts'

export function zotKind(): ServerKind {
  const program = findProgram('zot', peersFolder())
  return {
    name: 'zot',
    version: program && (versionLine(program, '--version') || 'zot'),
    isRegistry: true,
    start: (options) => start(program!, options),
  }
}

function syncOnDemand(url: string): object {
  const registries = [
    { urls: [url], onDemand: true, tlsVerify: false, content: [{ prefix: '**' }] },
  ]
  return { sync: { enable: true, registries } }
}

async function start(program: string, { folder, mirrorOf }: StartOptions): Promise<BenchServer> {
  const port = await freePort()
  const rootDirectory = join(folder, 'data')
  mkdirSync(rootDirectory, { recursive: true })
  const file = join(folder, 'config.json')
  const config = {
    distSpecVersion: '1.1.1',
    storage: { rootDirectory },
    http: { address: loopback, port: String(port) },
    ...(mirrorOf === undefined ? {} : { extensions: syncOnDemand(mirrorOf) }),
    log: { level: 'error', output: '/dev/null' },
  }
  writeFileSync(file, JSON.stringify(config))
  const { pid, startMs, stop } = await startProcess({
    command: program,
    args: ['serve', file],
    port,
    errorFile: join(folder, 'errors.log'),
  })
  return { name: 'zot', target: { host: loopback, port, isTls: false }, pid, startMs, stop }
}
