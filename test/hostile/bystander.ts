/**
 * @module A client that does nothing wrong, beside one that does: asks for a manifest and a blob at
 * a fixed rate, from a process of its own, so that the load of the abuse in the test's process does
 * not count as latency of the server.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { constants, setPriority } from 'node:os'
import { createInterface } from 'node:readline'

export interface Latency {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly requests: number
  readonly failures: number
}

const source = `
const { Agent, request } = require('node:http')
const [port, ...paths] = process.argv.slice(1)
const agent = new Agent({ keepAlive: true, maxSockets: 8 })
let latencies = []
let failures = 0
let next = 0
const ask = () => {
  const startedAt = performance.now()
  const path = paths[next++ % paths.length]
  const outgoing = request({ host: '127.0.0.1', port, agent, path }, (answer) => {
    if (answer.statusCode !== 200) failures += 1
    answer.resume().on('end', () => latencies.push(performance.now() - startedAt))
  })
  outgoing.on('error', () => { failures += 1 })
  outgoing.end()
}
setInterval(ask, 5)
require('node:readline').createInterface({ input: process.stdin }).on('line', () => {
  const sorted = latencies.sort((a, b) => a - b)
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  console.log(JSON.stringify({
    p50Ms: at(0.5), p99Ms: at(0.99), requests: sorted.length, failures,
  }))
  latencies = []
  failures = 0
}).on('close', () => process.exit(0))
`

/** His own time to wait for a core is not the server's. Only root may say so; else it counts. */
function beElsewhere(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_HIGHEST)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SYSTEM_ERROR') throw error
  }
}

export class Bystander {
  readonly #child: ChildProcess
  #onLine: ((line: string) => void) | undefined

  private constructor(child: ChildProcess) {
    this.#child = child
    createInterface({ input: child.stdout! }).on('line', (line) => this.#onLine?.(line))
  }

  /** Starts asking for the paths in turn, 200 times a second. */
  static start(port: number, paths: readonly string[]): Bystander {
    const child = spawn(process.execPath, ['-e', source, String(port), ...paths], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    beElsewhere(child.pid!)
    return new Bystander(child)
  }

  /** What it saw since the last call. */
  report(): Promise<Latency> {
    return new Promise((resolve) => {
      this.#onLine = (line) => resolve(JSON.parse(line) as Latency)
      this.#child.stdin!.write('\n')
    })
  }

  stop(): void {
    this.#child.stdin!.end()
  }
}
