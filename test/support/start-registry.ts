/**
 * @module Starts the real server, `node dist/src/cli.js serve --config FILE`, in a process of its
 * own on a free loopback port: for tests that need whole-process behaviour (real clients, crashes,
 * memory). Needs a built `dist/`; imports nothing of vitest, so that plain scripts may use it too.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parse, stringify } from 'yaml'

const LISTEN_WAIT_MS = 30_000
const STOP_WAIT_MS = 30_000
/** The newest lines are kept: enough to explain a failure, bounded over a long run. */
const LOG_LINES_MAX = 20_000

export interface RegistryOptions {
  /** Configuration as YAML text or as an object; address, storage and engine below win over it. */
  readonly config?: string | Record<string, unknown>
  readonly engine?: 'auto' | 'uws' | 'node'
  /** A storage folder that outlives `stop()`. Without it a temporary one is made and removed. */
  readonly storage?: string
  readonly env?: Readonly<Record<string, string>>
  /** Where it runs and listens. Default: here, on 127.0.0.1. */
  readonly machine?: { readonly namespace: string; readonly host: string }
}

export interface RunningRegistry {
  readonly url: string
  /** `127.0.0.1:PORT`, as image references want it. */
  readonly address: string
  readonly host: string
  readonly port: number
  readonly pid: number
  readonly storage: string
  /** Of each node; without a mesh the one above. */
  readonly storages: readonly string[]
  /** SIGTERM, then wait. Resolves to the exit code; removes the temporary folder. */
  stop(): Promise<number | null>
  /** SIGTERM, then wait. Resolves to the exit code; the storage stays, for `restart()`. */
  terminate(): Promise<number | null>
  /** SIGKILL, then wait. The storage stays, for `restart()`. */
  kill9(): Promise<void>
  /** Resolves with the exit code when the process ends by itself. */
  ended(): Promise<number | null>
  /** Ends the process when it still runs (SIGTERM) and starts it anew: same port, same storage. */
  restart(): Promise<void>
  /** Lines of stdout and stderr so far, oldest first. */
  logs(): readonly string[]
}

/** The folder that holds package.json, from `test/support` as well as from `dist/test/support`. */
export function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}

/**
 * Resolves when the server says that it listens; throws with its output when it does not. With `FASTREGISTRY_NODES=3`
 * it is a mesh of so many nodes behind a balancer without a memory, so that whole suites run against one.
 */
export async function startRegistry(options: RegistryOptions = {}): Promise<RunningRegistry> {
  const nodes = Number(process.env['FASTREGISTRY_NODES'] ?? 1)
  if (nodes === 1) return startProcess(options)
  return (await import('./mesh/balanced-nodes.ts')).startBalanced(options, nodes)
}

/** One process, always. */
export async function startProcess(options: RegistryOptions = {}): Promise<RunningRegistry> {
  const work = await mkdtemp(join(tmpdir(), 'fastregistry-'))
  const storage = options.storage ?? join(work, 'storage')
  await mkdir(storage, { recursive: true })
  const configFile = join(work, 'config.yaml')
  const lines: string[] = []
  const { machine } = options
  const host = machine?.host ?? '127.0.0.1'
  const program = [process.execPath, cliPath(), 'serve', '--config', configFile]
  if (machine !== undefined) program.unshift('ip', 'netns', 'exec', machine.namespace)

  const start = async (wantedPort: number): Promise<{ child: ChildProcess; port: number }> => {
    await writeFile(configFile, configText(options, storage, `${host}:${wantedPort}`))
    const child = spawn(program[0]!, program.slice(1), {
      cwd: work,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    endWithThisProcess(child)
    return { child, port: await listeningPort(child, lines) }
  }

  let running = await start(await restartablePort('127.0.0.1')).catch(async (error: unknown) => {
    await rm(work, { recursive: true, force: true })
    throw error
  })
  const end = (signal: NodeJS.Signals) => endProcess(running.child, signal, lines)
  return {
    url: `http://${host}:${running.port}`,
    address: `${host}:${running.port}`,
    host,
    port: running.port,
    storage,
    storages: [storage],
    get pid() {
      return running.child.pid ?? -1
    },
    logs: () => lines,
    async stop() {
      try {
        return await end('SIGTERM')
      } finally {
        await rm(work, { recursive: true, force: true })
      }
    },
    terminate: () => end('SIGTERM'),
    ended: () => new Promise((resolve) => running.child.once('close', resolve)),
    async kill9() {
      await end('SIGKILL')
    },
    async restart() {
      await end('SIGTERM')
      running = await start(running.port)
    },
  }
}

/**
 * A free port that outgoing connections do not take (the kernel gives those 32768 and up), so that
 * it is still free when the server starts again.
 */
async function restartablePort(host: string): Promise<number> {
  while (true) {
    const port = 10_000 + Math.floor(Math.random() * 20_000)
    const isFree = await new Promise<boolean>((resolve) => {
      const probe = createServer()
      probe.once('error', () => resolve(false))
      probe.listen({ host, port }, () => probe.close(() => resolve(true)))
    })
    if (isFree) return port
  }
}

function cliPath(): string {
  const path = join(projectRoot(), 'dist/src/cli.js')
  if (!existsSync(path)) throw new Error(`${path} is missing: run "npm run build" first`)
  return path
}

function configText(options: RegistryOptions, storage: string, addr: string): string {
  const given: unknown = typeof options.config === 'string' ? parse(options.config) : options.config
  const { server, storage: kept, ...rest } = section(given)
  const engine = options.engine === undefined ? {} : { engine: options.engine }
  return stringify({
    ...rest,
    server: { ...section(server), addr, ...engine },
    storage: { ...section(kept), path: storage },
  })
}

function section(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

/** Reads both outputs for the life of the process, since a full pipe would stop the server. */
function listeningPort(child: ChildProcess, lines: string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const giveUp = (why: string) => {
      clearTimeout(timer)
      child.kill('SIGKILL')
      reject(new Error(`the registry ${why}:\n${lines.slice(-50).join('\n')}`))
    }
    const timer = setTimeout(() => giveUp('did not listen in time'), LISTEN_WAIT_MS)
    child.once('error', (error) => giveUp(`did not start (${error.message})`))
    child.once('close', (code, signal) => giveUp(`ended at once with ${signal ?? code}`))
    for (const output of [child.stdout, child.stderr]) {
      if (output === null) continue
      createInterface({ input: output }).on('line', (line) => {
        lines.push(line)
        if (lines.length > LOG_LINES_MAX) lines.splice(0, LOG_LINES_MAX / 10)
        const port = portOfListeningLine(line)
        if (port === undefined) return
        clearTimeout(timer)
        child.removeAllListeners('close')
        resolve(port)
      })
    }
  })
}

/** `{"event":"listening","ports":[5000],…}` gives 5000; any other line undefined. */
function portOfListeningLine(line: string): number | undefined {
  if (!line.includes('"listening"')) return undefined
  try {
    const { event, ports } = section(JSON.parse(line))
    const first: unknown = event === 'listening' && Array.isArray(ports) ? ports[0] : undefined
    return typeof first === 'number' ? first : undefined
  } catch {
    return undefined
  }
}

function endProcess(
  child: ChildProcess,
  signal: NodeJS.Signals,
  lines: readonly string[],
): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode)
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`the registry ignored ${signal}:\n${lines.slice(-50).join('\n')}`))
    }, STOP_WAIT_MS)
    child.once('exit', (code) => {
      clearTimeout(timer)
      resolve(code)
    })
    child.kill(signal)
  })
}

/** A test run that dies must not leave a server behind. */
function endWithThisProcess(child: ChildProcess): void {
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.removeListener('exit', kill))
}
