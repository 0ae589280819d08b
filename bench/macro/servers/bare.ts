/**
 * @module The engine of ours with nothing behind it: `bare-server.ts` in a process of its own. What
 * wrk and uWebSockets.js could do at most on this machine, in the rounds of the rows that name it.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadUws } from '../../../src/http/engine/uws/loader.ts'
import { freePort, loopback, startProcess } from '../child-process.ts'
import type { BenchServer, ServerKind, StartOptions } from '../server.ts'
import { findWrk } from '../wrk.ts'

export function bareKind(): ServerKind {
  const uws = loadUws()
  const missing = !uws.ok
    ? `no binary of uWebSockets.js loads (${uws.reason})`
    : findWrk() === undefined
      ? 'without wrk the client would be measured, not the engine'
      : undefined
  return {
    name: 'bare',
    version: uws.ok && missing === undefined ? `bare uWebSockets.js ${uws.version}` : undefined,
    ...(missing === undefined ? {} : { missing }),
    isRegistry: false,
    isReference: true,
    start: startBare,
  }
}

export async function startBare({ folder }: StartOptions): Promise<BenchServer> {
  const port = await freePort()
  mkdirSync(folder, { recursive: true })
  const { pid, startMs, stop } = await startProcess({
    command: process.execPath,
    args: [fileURLToPath(new URL('../bare-server.js', import.meta.url)), String(port)],
    port,
    errorFile: join(folder, 'errors.log'),
  })
  return { name: 'bare', target: { host: loopback, port, isTls: false }, pid, startMs, stop }
}
