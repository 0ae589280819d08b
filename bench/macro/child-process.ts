/**
 * @module Servers under test as child processes: started with a bound on their start, ended by
 * their own pid, never left behind.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { HttpConnection } from './http-client.ts'

export const loopback = '127.0.0.1'

const startWaitMs = 60_000
const stopWaitMs = 20_000

export interface ProcessOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly port: number
  readonly isTls?: boolean
  /** File for standard error; standard output goes to /dev/null. */
  readonly errorFile: string
  readonly env?: Readonly<Record<string, string>>
}

export interface ServerProcess {
  readonly pid: number
  /** From the start of the process to its first answer, ms. */
  readonly startMs: number
  /** SIGTERM, then wait; SIGKILL when it does not listen. */
  stop(): Promise<void>
}

/** Resolves when the server answers `/v2/` with anything below 500. */
export async function startProcess(options: ProcessOptions): Promise<ServerProcess> {
  const startedAt = performance.now()
  const errors = openSync(options.errorFile, 'a')
  const child = spawn(options.command, options.args, {
    stdio: ['ignore', 'ignore', errors],
    env: { ...process.env, ...options.env },
  })
  closeSync(errors)
  endWithThisProcess(child)
  try {
    await answered(child, options)
  } catch (error) {
    await stopProcess(child)
    const output = readFileSync(options.errorFile, 'utf8').slice(-2000)
    throw new Error(`${options.command} did not start: ${String(error)}\n${output}`)
  }
  const startMs = performance.now() - startedAt
  return { pid: child.pid!, startMs, stop: () => stopProcess(child) }
}

async function answered(child: ChildProcess, { port, isTls = false }: ProcessOptions) {
  let failure: Error | undefined
  child.once('error', (error) => {
    failure = error
  })
  const deadline = performance.now() + startWaitMs
  while (performance.now() < deadline) {
    if (failure !== undefined) throw failure
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('it ended at once')
    const status = await HttpConnection.open({ host: loopback, port, isTls }).then(
      async (connection) => {
        const reply = await connection.request({ method: 'GET', path: '/v2/' })
        connection.close()
        return reply.status
      },
      () => 599,
    )
    if (status < 500) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error('no answer in time')
}

function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) {
    return Promise.resolve()
  }
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), stopWaitMs)
    child.once('exit', () => {
      clearTimeout(timer)
      resolve()
    })
    child.kill('SIGTERM')
  })
}

/** A run that dies must not leave a server behind. */
function endWithThisProcess(child: ChildProcess): void {
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.removeListener('exit', kill))
}

/** A port of the loopback address that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, loopback, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0))
    })
  })
}

/** Path of a program: on the PATH, or in `more` folders. */
export function findProgram(name: string, ...more: readonly string[]): string | undefined {
  const folders = [...more, ...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin']
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}

/** First line that a program prints about its version; empty when it says nothing. */
export function versionLine(program: string, ...args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 10_000 })
  return `${stdout ?? ''}${stderr ?? ''}`.trim().split('\n', 1)[0] ?? ''
}
