/**
 * @module A real server process whose disk fails on demand.
 */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RegistryClient } from '../support/registry-client.ts'
import { projectRoot, type RunningRegistry, startRegistry } from '../support/start-registry.ts'

export interface Fault {
  /** Call of the disk seam, or `writeSync` of the metadata. */
  readonly call: string
  readonly kind: 'error' | 'short' | 'hang' | 'exit'
  readonly errno?: string
  readonly ms?: number
}

export class FaultyRegistry {
  readonly registry: RunningRegistry
  readonly client: RegistryClient
  readonly #folder: string

  private constructor(registry: RunningRegistry, folder: string) {
    this.registry = registry
    this.client = new RegistryClient(registry.port)
    this.#folder = folder
  }

  static async start(
    config: Record<string, unknown> = {},
    environment: Readonly<Record<string, string>> = {},
  ): Promise<FaultyRegistry> {
    const folder = await mkdtemp(join(tmpdir(), 'fastregistry-faults-'))
    const inject = join(projectRoot(), 'test/fault/inject.mjs')
    const registry = await startRegistry({
      config,
      env: { ...environment, NODE_OPTIONS: `--import=${inject}`, FASTREGISTRY_TEST_FAULTS: folder },
    })
    return new FaultyRegistry(registry, folder)
  }

  /** From now on the call fails: after `passes` good ones, `times` times. */
  async break(fault: Fault, times = 1, passes = 0): Promise<void> {
    await this.mend()
    const names = [
      ...Array.from({ length: passes }, (_, index) => `token-${pad(index)}-pass`),
      ...Array.from({ length: times }, (_, index) => `token-${pad(passes + index)}-fail`),
    ]
    for (const name of names) await writeFile(join(this.#folder, name), '')
    await writeFile(join(this.#folder, 'fault.json'), JSON.stringify(fault))
  }

  /** Everything works again. Returns how many failures were never used up. */
  async mend(): Promise<number> {
    await rm(join(this.#folder, 'fault.json'), { force: true })
    const left = (await readdir(this.#folder)).filter((name) => name.startsWith('token-'))
    for (const name of left) await rm(join(this.#folder, name), { force: true })
    return left.filter((name) => name.endsWith('fail')).length
  }

  /** Names of the files below `uploads/`. */
  uploads(): Promise<string[]> {
    return readdir(join(this.registry.storage, 'uploads'))
  }

  async stop(): Promise<number | null> {
    const code = await this.registry.stop()
    await rm(this.#folder, { recursive: true, force: true })
    return code
  }
}

function pad(index: number): string {
  return String(index).padStart(6, '0')
}
