/**
 * @module A server, a bystander, and an abuse beside it: what the abuse may cost is asserted in one
 * place. Quiet and abused phases alternate, so that what the machine does meanwhile meets both.
 */
import { readdir, readFile } from 'node:fs/promises'
import { constants, setPriority } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'vitest'
import { RegistryClient, sha256, someBytes } from '../support/registry-client.ts'
import { type RunningRegistry, startRegistry } from '../support/start-registry.ts'
import { Bystander } from './bystander.ts'

const phaseMs = 1500

/** An abuse begins with a burst of work (a thousand connections at once); it counts apart. */
const beginningMs = 1000

/** Rounds at least; and at most, while the figures say more of the machine than of the server. */
const roundsMin = 3
const roundsMax = 9

/**
 * Latency that says nothing about fairness, ms: on two cores that the test, the bystander, the workers
 * and the neighbours share with the server, a process waits for its turn as long as this. On a machine
 * at rest, set it to 2 and see which abuse costs more than twice the quiet value.
 */
const noiseMs = Number(process.env['FASTREGISTRY_NOISE_MS'] ?? 25)

/** The same for the first second, in which the server takes in what a thousand clients sent at once. */
const beginningMsMax = 150

/** Private memory that an abuse may cost beyond what was there, MiB. */
const memoryMiBMax = 400

export interface Abuse {
  /** Ends it; its connections are gone when this resolves. */
  end(): Promise<void>
}

export class Scene {
  readonly registry: RunningRegistry
  readonly client: RegistryClient
  readonly large: string
  readonly #paths: readonly string[]

  private constructor(registry: RunningRegistry, client: RegistryClient, paths: string[]) {
    this.registry = registry
    this.client = client
    this.large = paths[2]!
    this.#paths = paths.slice(0, 2)
  }

  static async open(config: Record<string, unknown> = {}): Promise<Scene> {
    const registry = await startRegistry({ config: { log: { access: false }, ...config } })
    beElsewhere()
    const client = new RegistryClient(registry.port)
    const image = await client.pushImage('quiet/app', 'v1')
    expect(image.digest).toBeDefined()
    const small = someBytes(20_000, 1)
    const large = someBytes(8_000_000, 2)
    for (const blob of [small, large]) await client.pushBlob('quiet/app', blob)
    const blobPath = (bytes: Buffer) => `/v2/quiet/app/blobs/${sha256(bytes)}`
    const paths = ['/v2/quiet/app/manifests/v1', blobPath(small), blobPath(large)]
    return new Scene(registry, client, paths)
  }

  /** Runs the abuse in turns with quiet; others must hardly notice, memory must stay bounded. */
  async endure(name: string, begin: () => Promise<Abuse>): Promise<void> {
    const bystander = Bystander.start(this.registry.port, this.#paths)
    const quiet: number[] = []
    const abused: number[] = []
    const beginnings: number[] = []
    let anonPeak = 0
    let failures = 0
    try {
      await delay(500)
      await bystander.report()
      const anonBefore = await this.anonMiB()
      const isFair = () => median(abused) <= Math.max(2 * median(quiet), noiseMs)
      while (abused.length < roundsMin || (abused.length < roundsMax && !isFair())) {
        await delay(phaseMs)
        quiet.push((await bystander.report()).p99Ms)
        const abuse = await begin()
        await delay(beginningMs)
        beginnings.push((await bystander.report()).p99Ms)
        await delay(phaseMs)
        const seen = await bystander.report()
        abused.push(seen.p99Ms)
        failures += seen.failures
        anonPeak = Math.max(anonPeak, await this.anonMiB())
        await abuse.end()
        await bystander.report()
      }
      const [before, beginning, during] = [median(quiet), median(beginnings), median(abused)]
      const grownMiB = Math.round(anonPeak - anonBefore)
      console.log(
        `MEASURED ${name}: others' p99 ${before.toFixed(2)} ms quiet, ${beginning.toFixed(2)} ms while it begins, ${during.toFixed(2)} ms beside it (${abused.length} rounds); private memory +${grownMiB} MiB`,
      )
      expect(failures, 'answers that others did not get').toBe(0)
      expect(beginning, 'while it begins').toBeLessThanOrEqual(beginningMsMax)
      expect(isFair(), `${during} ms against ${before} ms`).toBe(true)
      expect(grownMiB).toBeLessThanOrEqual(memoryMiBMax)
    } finally {
      bystander.stop()
    }
    await this.expectService()
  }

  /** Everything works, nothing is left over. */
  async expectService(): Promise<void> {
    const content = someBytes(300_000, Math.floor(Math.random() * 1e6))
    await this.client.pushBlob('quiet/after', content)
    const pulled = await this.client.get(`/v2/quiet/after/blobs/${sha256(content)}`)
    expect(pulled.body.equals(content)).toBe(true)
    expect((await this.client.get('/healthz')).status).toBe(200)
    await expect.poll(() => this.metric('fastregistry_open_requests'), { timeout: 20_000 }).toBe(1)
  }

  async metric(name: string): Promise<number> {
    const { text } = await this.client.get('/metrics')
    return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1])
  }

  /** Private memory of the server, MiB. */
  async anonMiB(): Promise<number> {
    const status = await readFile(`/proc/${this.registry.pid}/status`, 'utf8')
    return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024
  }

  async descriptors(): Promise<number> {
    return (await readdir(`/proc/${this.registry.pid}/fd`)).length
  }

  async close(): Promise<void> {
    this.client.close()
    const faults = this.registry.logs().filter((line) => /"level":60|^ +at /.test(line))
    expect(faults).toEqual([])
    expect(await this.registry.stop()).toBe(0)
  }
}

/**
 * An attacker has a machine of his own. Here he shares the cores with the server, and must not win
 * against it by the work that it takes to attack; whoever is attacked has a machine of his own too
 * (see `bystander.ts`). Only the niceness tells them apart.
 */
function beElsewhere(): void {
  setPriority(constants.priority.PRIORITY_LOW)
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!
}
