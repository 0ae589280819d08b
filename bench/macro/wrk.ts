/**
 * @module Runs `wrk` against fixed or random URLs with GET and reads what it measured. wrk waits for
 * the body that a HEAD answer only announces, so HEAD is the own client's work.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Metrics } from '../statistics.ts'
import { findProgram, versionLine } from './child-process.ts'
import type { Target } from './http-client.ts'

export interface WrkLoad {
  readonly target: Target
  /** One path: asked for again and again. Several: in this order, or at random. */
  readonly paths: readonly string[]
  readonly order?: 'random' | 'each-once'
  readonly connections: number
  readonly seconds: number
  readonly headers?: Readonly<Record<string, string>>
  /** A Range header for each path. */
  readonly ranges?: readonly string[]
}

/** Threads of the client: half of the cores, so that the server has the other half. */
export const clientThreads = Math.max(1, Math.floor(availableParallelism() / 2))

export function findWrk(): string | undefined {
  return findProgram('wrk')
}

export function wrkVersion(): string {
  const program = findWrk()
  return program === undefined ? '' : versionLine(program, '-v').replace(/ Copyright.*/, '')
}

/** Requests, bytes, seconds and latencies of one run. Throws when wrk does. */
export async function runWrk(load: WrkLoad): Promise<Metrics> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-wrk-'))
  try {
    const script = join(folder, 'load.lua')
    const pathsFile = join(folder, 'paths.txt')
    const lines = load.paths.map((path, index) => `${path} ${load.ranges?.[index] ?? ''}`)
    writeFileSync(pathsFile, lines.join('\n'))
    writeFileSync(script, luaScript(load, pathsFile))
    const openSsl = join(folder, 'openssl.cnf')
    writeFileSync(openSsl, opensslConfig)
    return parseWrk(await run(load, script, openSsl))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Ciphers in the order in which the Go clients of registries ask for them (crypto/tls, on hardware
 * with AES). wrk by itself asks for AES-256 first, which a server may take or not: each would be
 * measured with another cipher.
 */
const opensslConfig = `openssl_conf = main
[main]
ssl_conf = modules
[modules]
system_default = client
[client]
Ciphersuites = TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256
`

function run(load: WrkLoad, script: string, openSsl: string): Promise<string> {
  const { target, paths, connections, seconds } = load
  const scheme = target.isTls ? 'https' : 'http'
  const args = [
    `-t${threadsOf(load)}`,
    `-c${connections}`,
    `-d${Math.ceil(seconds)}s`,
    '--timeout',
    '30s',
  ]
  const url = `${scheme}://${target.host}:${target.port}${paths[0]}`
  const child = spawn(findWrk()!, [...args, '-s', script, url], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, OPENSSL_CONF: openSsl },
  })
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const timer = setTimeout(kill, seconds * 1000 + 60_000)
  let output = ''
  let threadsLeft = threadsOf(load)
  child.stdout.on('data', (bytes: Buffer) => {
    threadsLeft -= bytes.toString().split(endMarker).length - 1
    if (threadsLeft === 0) child.kill('SIGINT')
  })
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes: Buffer) => {
      output += bytes.toString()
    })
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(timer)
      process.off('exit', kill)
      if (code === 0) resolve(output)
      else reject(new Error(`wrk ended with ${code}: ${output.slice(-500)}`))
    })
  })
}

const marker = 'BENCH-RESULT '

/** A thread's list is at its end. wrk itself would sleep on, so it is told to end by a signal. */
const endMarker = 'BENCH-END'

/** What `done` of the script printed, as metrics. */
export function parseWrk(output: string): Metrics {
  const line = output.split('\n').find((text) => text.startsWith(marker))
  if (line === undefined) throw new Error(`wrk printed no result: ${output.slice(-500)}`)
  const [micros, requests, bytes, errors, p50, p99, p999] = line
    .slice(marker.length)
    .split(' ')
    .map(Number)
  return {
    seconds: micros! / 1e6,
    requests: requests!,
    bytes: bytes!,
    errors: errors!,
    p50Ms: p50! / 1e3,
    p99Ms: p99! / 1e3,
    p999Ms: p999! / 1e3,
  }
}

function threadsOf({ connections }: WrkLoad): number {
  return Math.min(clientThreads, connections)
}

function luaScript(load: WrkLoad, pathsFile: string): string {
  const { paths, order, headers } = load
  const headerLines = Object.entries(headers ?? {})
    .map(([name, value]) => `wrk.headers["${name}"] = "${value}"`)
    .join('\n')
  // Without a `request` function wrk sends one prepared text: the client costs the least.
  const choose =
    paths.length === 1 ? '' : luaRequests(pathsFile, order ?? 'random', threadsOf(load))
  return `${headerLines}
${choose}
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("${marker}%d %d %d %d %d %d %d\\n", summary.duration, summary.requests,
    summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
`
}

/** Requests are formatted once; threads share the list by taking every n-th entry. */
function luaRequests(pathsFile: string, order: 'random' | 'each-once', threads: number): string {
  const next =
    order === 'random'
      ? 'return texts[math.random(#texts)]'
      : `at = at + 1
  if at > #texts then
    if at == #texts + 1 then
      io.write("${endMarker}\\n")
      io.flush()
    end
    wrk.thread:stop()
    return texts[#texts]
  end
  return texts[at]`
  return `local count = 0
function setup(thread)
  thread:set("number", count)
  count = count + 1
  thread:set("threads", ${threads})
end
local texts = {}
local at = 0
function init(args)
  math.randomseed(number + 1)
  local line = 0
  for text in io.lines("${pathsFile}") do
    if line % threads == number then
      local path, range = text:match("^(%S+) (.*)$")
      if range ~= "" then wrk.headers["Range"] = range end
      texts[#texts + 1] = wrk.format("GET", path)
    end
    line = line + 1
  end
end
function request()
  ${next}
end`
}
