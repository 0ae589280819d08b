/**
 * @module The whole server inside the test's own process: `startServer` on a free port, with a
 * temporary folder, on a chosen engine. Fast to start and to restart on the same folder; whole-
 * process behaviour is `start-registry.ts`'s business.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe } from 'vitest'
import { stringify } from 'yaml'
import { loadConfigText } from '../../src/config/load.ts'
import { loadUws } from '../../src/http/engine/uws/loader.ts'
import { createLogger } from '../../src/observability/logger.ts'
import type { MeshNode } from '../../src/server/mesh/node.ts'
import { type RunningServer, startServer } from '../../src/server.ts'
import type { OpenDriver } from '../../src/storage/open.ts'
import type { Syncs } from '../../src/sync/syncs.ts'
import { RawClient } from './raw-http.ts'
import { RegistryClient } from './registry-client.ts'

export type EngineName = 'uws' | 'node'

/** The engines that load here: both, but for machines without a uWebSockets.js binary. */
export const ENGINES: readonly EngineName[] = loadUws().ok ? ['uws', 'node'] : ['node']

export interface InProcessOptions {
  readonly engine: EngineName
  /** Sections and keys as in the configuration file; address, path and engine are set here. */
  readonly config?: Readonly<Record<string, unknown>>
  /** A folder of an earlier registry; a new one otherwise. */
  readonly folder?: string
  readonly openDriver?: OpenDriver
  readonly mesh?: MeshNode
  readonly mirrors?: readonly Readonly<Record<string, unknown>>[]
}

export class InProcessRegistry {
  readonly folder: string
  readonly logLines: string[] = []
  readonly #options: InProcessOptions
  #server: RunningServer | undefined
  #client: RegistryClient | undefined
  readonly #sockets: RawClient[] = []

  constructor(folder: string, options: InProcessOptions) {
    this.folder = folder
    this.#options = options
  }

  get ports(): readonly number[] {
    return this.#server!.ports
  }

  /** Of a registry with sources. */
  get syncs(): Syncs {
    return this.#server!.syncs!
  }

  get port(): number {
    return this.ports[0]!
  }

  get client(): RegistryClient {
    return this.#client!
  }

  async start(): Promise<void> {
    const { engine, config = {}, mirrors = [], openDriver, mesh } = this.#options
    const text = stringify({
      metrics: {},
      ...config,
      mirrors,
      server: { addr: '127.0.0.1:0', ...section(config['server']), engine },
      storage: { cache_size_mb: 64, ...section(config['storage']), path: this.folder },
    })
    const write = (lines: string) => {
      this.logLines.push(...lines.split('\n').filter((line) => line !== ''))
    }
    const parsed = await loadConfigText(text, 'test.yaml')
    const logger = createLogger('info', { write })
    this.#server = await startServer(parsed, {
      logger,
      ...(openDriver !== undefined && { openDriver }),
      ...(mesh !== undefined && { mesh }),
    })
    this.#client = new RegistryClient(this.port)
  }

  /** A raw connection, closed with the server. */
  async connect(): Promise<RawClient> {
    const client = await RawClient.connect(this.port)
    this.#sockets.push(client)
    return client
  }

  /** Stops and starts on the same folder (and on another port). */
  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  /** Begins a stop; connections stay as they are. */
  stopServer(): Promise<void> {
    const stopping = this.#server!.stop()
    this.#server = undefined
    return stopping
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets.splice(0)) socket.close()
    this.#client?.close()
    await this.#server?.stop()
    this.#server = undefined
  }

  /** Names of the files below `uploads/`. */
  uploadFiles(): Promise<string[]> {
    return readdir(join(this.folder, 'uploads'))
  }

  /** Paths of every file below `blobs/`. */
  async blobFiles(): Promise<string[]> {
    const entries = await readdir(join(this.folder, 'blobs'), {
      recursive: true,
      withFileTypes: true,
    })
    return entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
  }

  /** Lines of the log that report a fault of ours. */
  get faults(): string[] {
    return this.logLines.filter((line) => line.includes('"level":50'))
  }
}

/** Starts a registry; the caller stops it with `dispose`. */
export async function startInProcess(options: InProcessOptions): Promise<InProcessRegistry> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'fastregistry-test-')))
  const registry = new InProcessRegistry(folder, options)
  await registry.start()
  return registry
}

export async function dispose(registry: InProcessRegistry): Promise<void> {
  await registry.stop()
  await rm(registry.folder, { recursive: true, force: true })
}

/** Registers a suite once for each engine (or those named), with one registry for all its tests. */
export function describeRegistry(
  name: string,
  options: Omit<InProcessOptions, 'engine'> & { readonly engines?: readonly EngineName[] },
  suite: (registry: () => InProcessRegistry, engine: EngineName) => void,
): void {
  const { engines = ENGINES, ...rest } = options
  describe.each(engines.filter((engine) => ENGINES.includes(engine)))(`${name} (%s)`, (engine) => {
    let running: InProcessRegistry | undefined
    beforeAll(async () => {
      running = await startInProcess({ ...rest, engine })
    })
    afterAll(async () => {
      if (running !== undefined) await dispose(running)
    })
    suite(() => running!, engine)
  })
}

/** Waits for what other events bring about; the test's time limit bounds it. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 2))
}

function section(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
