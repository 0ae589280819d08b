/**
 * @module Starts a client's own daemon (`dockerd`, `containerd`) for one test file and ends it
 * after: private folders and socket, no system service, and only its own process is signalled.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import type { Session } from './session.ts'
import { clientEnvironment } from './tools.ts'

const START_WAIT_MS = 60_000
const STOP_WAIT_MS = 30_000

export interface Daemon {
  stop(): Promise<void>
}

/** Resolves once the command `ready` succeeds. */
export async function startDaemon(
  session: Pick<Session, 'folder' | 'run'>,
  command: string,
  args: readonly string[],
  ready: readonly [string, ...string[]],
): Promise<Daemon> {
  const child = spawn(command, args, {
    cwd: session.folder,
    env: clientEnvironment(session.folder),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  const failed = new Promise<never>((_resolve, reject) => child.once('error', reject))
  failed.catch(() => undefined)
  for (const output of [child.stdout, child.stderr]) {
    output.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-20_000)
    })
  }
  const kill = () => child.kill('SIGTERM')
  process.once('exit', kill)
  const deadline = Date.now() + START_WAIT_MS
  for (;;) {
    const isReady = await Promise.race([session.run(...ready), failed]).then(
      () => true,
      () => false,
    )
    if (isReady) break
    if (hasEnded(child) || Date.now() > deadline) {
      kill()
      throw new Error(`${command} did not get ready:\n${log}`)
    }
    await delay(100)
  }
  return {
    async stop() {
      process.removeListener('exit', kill)
      await end(child)
    },
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null || child.pid === undefined
}

function end(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return Promise.resolve()
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WAIT_MS)
    child.once('exit', () => {
      clearTimeout(timer)
      resolve()
    })
    child.kill('SIGTERM')
  })
}
