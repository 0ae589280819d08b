/**
 * @module The state of one macro run: which servers there are, the ones that hold the data to read,
 * and how one measurement of one server is taken.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { BenchOptions } from '../options.ts'
import { type Metrics, overRounds } from '../statistics.ts'
import { HttpConnection, type Target } from './http-client.ts'
import { cpuSeconds, hasProcessStats, MemorySampler } from './process-stats.ts'
import { fillReadSet, type ReadSet } from './read-set.ts'
import {
  type BenchServer,
  isOurs,
  type ServerKind,
  type ServerName,
  type StartOptions,
} from './server.ts'
import { turnOrder } from './turns.ts'

const bytesPerGb = 1e9
const bytesPerGib = 1024 ** 3

export interface RowResult {
  readonly id: string
  readonly title: string
  /** Unit of the metric `rate`. */
  readonly unit: string
  /** Which client made the load. */
  readonly client: string
  readonly servers: Readonly<Partial<Record<ServerName, Metrics>>>
  readonly notes: readonly string[]
}

export interface Row {
  readonly id: string
  readonly title: string
  /** Left out of `--ci`. */
  readonly isLong?: boolean
  run(bench: Bench): Promise<RowResult>
}

export class Bench {
  readonly options: BenchOptions
  readonly kinds: readonly ServerKind[]
  readonly folder: string
  readonly say: (line: string) => void
  /** Set while a row is profiled: our servers write their profiles there. */
  profileFolder: string | undefined
  readonly #ends: (() => Promise<unknown>)[] = []
  readonly #made = new Map<string, Promise<unknown>>()
  #reading: { servers: Map<ServerName, BenchServer>; set: ReadSet } | undefined
  #tls: BenchServer | undefined
  #count = 0

  constructor(options: BenchOptions, kinds: readonly ServerKind[], say: (line: string) => void) {
    this.options = options
    this.kinds = kinds.filter(({ version }) => version !== undefined)
    this.folder = mkdtempSync(join(options.dataFolder, 'fastregistry-bench-'))
    this.say = say
    process.once('exit', this.#removeFolder)
  }

  readonly #removeFolder = () => rmSync(this.folder, { recursive: true, force: true })

  /** Installed servers with a store, ours first; without nginx when it has to be a registry. */
  names(isRegistry: boolean): ServerName[] {
    return this.kinds
      .filter((it) => it.isReference !== true && (it.isRegistry || !isRegistry))
      .map(({ name }) => name)
  }

  /** Those in a row of the node engine: ours, served by it, and the peer that it is compared with. */
  namesOnNode(): ServerName[] {
    return this.names(true).filter((name) => isOurs(name) || name === 'distribution')
  }

  has(name: ServerName): boolean {
    return this.kinds.some((kind) => kind.name === name)
  }

  kind(name: ServerName): ServerKind {
    return this.kinds.find((kind) => kind.name === name)!
  }

  /** A path in the run's folder that nobody has used. */
  newFolder(name: string): string {
    this.#count += 1
    return join(this.folder, `${this.#count}-${name}`)
  }

  /** A server on a folder of its own. The caller stops it and may remove the folder. */
  async startFresh(
    name: ServerName,
    folder = this.newFolder(name),
    more: Pick<StartOptions, 'logsAccess' | 'engine' | 'trustsClients'> = {},
  ): Promise<BenchServer> {
    return this.kind(name).start({
      folder,
      ...more,
      ...(this.profileFolder === undefined ? {} : { profileFolder: this.profileFolder }),
    })
  }

  /** The servers that hold the blobs and manifests to read; started and filled at first use. */
  async reading(): Promise<{ servers: Map<ServerName, BenchServer>; set: ReadSet }> {
    if (this.#reading !== undefined) return this.#reading
    const servers = new Map<ServerName, BenchServer>()
    const folders = new Map<ServerName, string>()
    for (const name of this.names(false)) {
      const folder = this.newFolder(name)
      folders.set(name, folder)
      servers.set(name, await this.startFresh(name, folder))
    }
    const set = await fillReadSet([...servers.values()], folders)
    this.#reading = { servers, set }
    return this.#reading
  }

  /** Ours with the read set behind TLS; `certificates` holds cert.pem and key.pem. */
  async readingOverTls(certificates: string): Promise<{ server: BenchServer; set: ReadSet }> {
    const { set } = await this.reading()
    const server = await this.once('tls', async () => {
      const tls = {
        certFile: join(certificates, 'cert.pem'),
        keyFile: join(certificates, 'key.pem'),
      }
      const started = await this.kind('ours').start({ folder: this.newFolder('tls'), tls })
      this.#tls = started
      await fillReadSet([started], new Map(), set)
      return started
    })
    return { server, set }
  }

  /** What `make` resolves to, made at the first call with this key. */
  once<T>(key: string, make: () => Promise<T>): Promise<T> {
    const made = (this.#made.get(key) as Promise<T> | undefined) ?? make()
    this.#made.set(key, made)
    return made
  }

  /** Called when the run ends: stops what a row has started for itself and its siblings. */
  atEnd(stop: () => Promise<unknown>): void {
    this.#ends.push(stop)
  }

  async stopReading(): Promise<void> {
    const servers = [...(this.#reading?.servers.values() ?? [])]
    this.#reading = undefined
    await Promise.all(servers.map((server) => server.stop()))
  }

  /** Measures every server in turn, round after round (A B C, B C A, …), and takes the medians. */
  async alternate(
    names: readonly ServerName[],
    measureOnce: (name: ServerName, round: number) => Promise<Metrics>,
    rounds = this.options.rounds,
  ): Promise<Partial<Record<ServerName, Metrics>>> {
    const results = new Map<ServerName, Metrics[]>()
    for (let round = 0; round < rounds; round += 1) {
      for (const name of turnOrder(names, round)) {
        const metrics = await measureOnce(name, round)
        results.set(name, [...(results.get(name) ?? []), metrics])
      }
    }
    return Object.fromEntries(names.map((name) => [name, overRounds(results.get(name) ?? [])]))
  }

  async close(): Promise<void> {
    await this.stopReading()
    await this.#tls?.stop()
    for (const stop of this.#ends.splice(0)) await stop()
    this.#removeFolder()
    process.off('exit', this.#removeFolder)
  }
}

/** What `act` measures, with what the server spent meanwhile: CPU, memory, event-loop delay. */
export async function measured(
  server: BenchServer,
  act: () => Promise<Metrics>,
  everyMs?: number,
): Promise<Metrics> {
  await loopDelay(server)
  const cpuBefore = cpuSeconds(server.pid)
  const memory = new MemorySampler(server.pid, everyMs)
  let metrics: Metrics
  try {
    metrics = await act()
  } finally {
    memory.stop()
  }
  const cpu = cpuSeconds(server.pid) - cpuBefore
  const { bytes = 0, requests = 0, seconds = 1 } = metrics
  return {
    mbPerSecond: bytes / 1e6 / seconds,
    requestsPerSecond: requests / seconds,
    ...metrics,
    ...(hasProcessStats() ? { ...costOf(cpu, bytes, requests), ...memory.stop() } : {}),
    ...(await loopDelay(server)),
  }
}

function costOf(cpu: number, bytes: number, requests: number): Metrics {
  return {
    cpuSeconds: cpu,
    cpuSecondsPerGb: (cpu * bytesPerGb) / bytes,
    cpuSecondsPerGib: (cpu * bytesPerGib) / bytes,
    cpuSecondsPer10k: (cpu * 10_000) / requests,
  }
}

/** Event-loop delay of ours since the last call, which reading it begins anew. */
async function loopDelay({ name, target }: BenchServer): Promise<Metrics> {
  if (!isOurs(name)) return {}
  const text = await getText(target, '/metrics')
  const quantile = (value: string) => {
    const found = new RegExp(`event_loop_delay_seconds\\{quantile="${value}"\\} (\\S+)`).exec(text)
    return Number(found?.[1] ?? Number.NaN) * 1000
  }
  return { loopMsP99: quantile('0.99'), loopMsMax: quantile('1') }
}

async function getText(target: Target, path: string): Promise<string> {
  const connection = await HttpConnection.open(target)
  const reply = await connection.request({ method: 'GET', path, keepsBody: true })
  connection.close()
  return reply.body.toString()
}
