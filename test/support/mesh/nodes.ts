/**
 * @module Nodes of a mesh as an operator starts them: each a process of `fastregistry serve` with a configuration, and
 * an etcd of its own. All of it on 127.0.0.1.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expectStatus, RegistryClient } from '../registry-client.ts'
import { projectRoot, type RunningRegistry, startProcess } from '../start-registry.ts'
import type { Machine } from './network.ts'

/** The internal port of a node, with the two behind it for etcd. */
export async function meshPorts(count: number): Promise<readonly number[]> {
  const found: number[] = []
  while (found.length < count) {
    const base = 12_000 + 4 * Math.floor(Math.random() * 4_000)
    if (found.includes(base)) continue
    const areFree = await Promise.all([0, 1, 2].map((by) => isFree(base + by)))
    if (areFree.every((it) => it)) found.push(base)
  }
  return found
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}

export interface NodeOptions {
  /** Of the configuration's section `mesh`; the address is given. */
  readonly mesh?: Record<string, unknown>
  /** Other sections. */
  readonly config?: Record<string, unknown>
  /** A folder that is there already. */
  readonly storage?: string
  /** Default node. */
  readonly engine?: 'auto' | 'uws' | 'node'
  readonly env?: Readonly<Record<string, string>>
  /** Where it runs. Default: here, on 127.0.0.1. */
  readonly machine?: Machine
}

export class MeshProcess {
  readonly port: number
  readonly storage: string
  readonly #registry: RunningRegistry
  readonly client: RegistryClient

  private constructor(port: number, storage: string, registry: RunningRegistry) {
    this.port = port
    this.storage = storage
    this.#registry = registry
    this.client = new RegistryClient(registry.port, registry.host)
  }

  /** Resolves when it listens for clients: it is a member then. Rejects with what it says when it does not start. */
  static async start(port: number, options: NodeOptions = {}): Promise<MeshProcess> {
    const storage = options.storage ?? (await mkdtemp(join(tmpdir(), 'fastregistry-mesh-')))
    const { engine = 'node', env, machine } = options
    const bind = `${machine?.host ?? '127.0.0.1'}:${port}`
    const config = { ...options.config, mesh: { enabled: true, bind, ...options.mesh } }
    const more = { ...(env && { env }), ...(machine && { machine }) }
    const registry = await startProcess({ config, storage, engine, ...more })
    return new MeshProcess(port, storage, registry)
  }

  get address(): string {
    return `${this.#registry.host}:${this.port}`
  }

  get pid(): number {
    return this.#registry.pid
  }

  get logs(): readonly string[] {
    return this.#registry.logs()
  }

  /** SIGTERM; resolves with the exit code. */
  terminate(): Promise<number | null> {
    return this.#registry.terminate()
  }

  /** Resolves with the exit code when it ends by itself. */
  ended(): Promise<number | null> {
    return this.#registry.ended()
  }

  kill(): Promise<void> {
    return this.#registry.kill9()
  }

  restart(): Promise<void> {
    return this.#registry.restart()
  }

  /** Ends it and removes its folder. */
  async dispose(): Promise<void> {
    this.client.close()
    await this.#registry.stop().catch(() => undefined)
    await rm(this.storage, { recursive: true, force: true })
  }
}

/** A process of `fastregistry witness`. */
export class WitnessProcess {
  readonly lines: string[] = []
  readonly #child: ChildProcess
  readonly #folder: string

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child
    this.#folder = folder
    const take = (chunk: Buffer) => this.lines.push(...String(chunk).split('\n'))
    child.stdout!.on('data', take)
    child.stderr!.on('data', take)
  }

  /** Resolves when it is a member. */
  static async start(
    port: number,
    mesh: Record<string, unknown>,
    storage: (folder: string) => string = (folder) => join(folder, 'storage'),
  ): Promise<WitnessProcess> {
    const folder = await mkdtemp(join(tmpdir(), 'fastregistry-witness-'))
    const config = {
      storage: { path: storage(folder) },
      mesh: { enabled: true, bind: `127.0.0.1:${port}`, ...mesh },
    }
    const file = join(folder, 'config.yaml')
    await writeFile(file, JSON.stringify(config))
    const cli = join(projectRoot(), 'dist/src/cli.js')
    const witness = new WitnessProcess(
      spawn(process.execPath, [cli, 'witness', '--config', file], { cwd: folder }),
      folder,
    )
    await poll(
      () =>
        witness.lines.some((line) => line.includes('a witness of the mesh')) || !witness.isRunning,
    )
    return witness
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Resolves with the exit code. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (!this.isRunning) return this.#child.exitCode
    const gone = new Promise<number | null>((resolve) => this.#child.once('exit', resolve))
    this.#child.kill(signal)
    return await gone
  }

  /** Ends it and removes its folder. */
  async dispose(): Promise<void> {
    await this.end('SIGKILL')
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** What `GET /admin/mesh` of a node says, as far as tests look at it. */
export interface Overview {
  readonly member: number
  readonly members: readonly {
    readonly number: number
    readonly state: string
    readonly voter: boolean
    readonly serving: boolean
    readonly reached: boolean
  }[]
}

/** Throws what it says instead. */
export async function overview(
  node: MeshProcess,
  headers: Record<string, string> = {},
): Promise<Overview> {
  const answer = await node.client.get('/admin/mesh', headers)
  expectStatus(answer, 200, 'the overview of the mesh')
  return answer.json as Overview
}

/** Asks again and again, ten times a second; the time limit is that of the test. */
export async function poll(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 100))
}

/** Resolves when all that have not left vote in etcd, serve, and reach each other. */
export async function haveRoles(
  all: readonly MeshProcess[],
  headers: Record<string, string> = {},
): Promise<void> {
  for (const node of all) {
    await poll(async () => {
      const { members } = await overview(node, headers)
      const there = members.filter(({ state }) => state !== 'left')
      return there.every((it) => it.state === 'active' && it.voter && it.serving && it.reached)
    })
  }
}
