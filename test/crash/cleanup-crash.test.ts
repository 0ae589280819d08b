/**
 * @module Nothing is lost by clean-up: collections, a retention rule and undeletes beside pushes and
 * deletes, with no grace time at all, killed with SIGKILL again and again. After every start each tag
 * is where the model says, whole to the last byte of its blobs, and the stopped store agrees with
 * itself.
 *
 *     npm run test:crash -- --cycles 100 --seed 7 cleanup-crash
 */
import { expect, test } from 'vitest'
import { adminJson, collect } from '../support/admin.ts'
import { RegistryClient } from '../support/registry-client.ts'
import { type RunningRegistry, startRegistry } from '../support/start-registry.ts'
import { CleanupClient, type PushedImage, retainedTags } from './support/cleanup-client.ts'
import { inspectStore } from './support/inspect-store.ts'
import { CrashModel, type TagModel } from './support/model.ts'
import { contentOf, Seeded } from './support/seeded.ts'
import { Violation, Wire } from './support/wire.ts'

const { FASTREGISTRY_CRASH_CYCLES: wantedCycles, FASTREGISTRY_CRASH_SEED: wantedSeed } = process.env
const cycles = Number(wantedCycles ?? 5)
const seed = wantedSeed ?? String(Math.floor(Math.random() * 1e9))
const clients = 4

const config = {
  storage: {
    gc: { enabled: false, grace: '0s', undelete_window: '1h', keep_recent: 0 },
    retention: [{ name: 'two', repositories: ['*/ret'], keep: [{ newest_pushed: retainedTags }] }],
  },
  log: { access: false },
}

test(
  `${cycles} times kill -9 while everything is cleaned up, seed ${seed}`,
  async () => {
    console.log(`clean-up crash test: FASTREGISTRY_CRASH_SEED=${seed}, ${cycles} cycles`)
    const registry = await startRegistry({ config })
    const run = new Run(registry)
    try {
      await run.approveRetention()
      for (let cycle = 0; cycle < cycles; cycle += 1) await run.cycle(`${seed}/${cycle}`)
      await run.endsClean()
    } finally {
      await registry.stop()
    }
    console.log(`MEASURED clean-up crash: ${cycles} cycles, ${JSON.stringify(run.total)}`)
    expect(run.total.resumed + run.total.collections).toBeGreaterThan(0)
  },
  cycles * 30_000 + 60_000,
)

class Run {
  readonly total = { operations: 0, collections: 0, undeletes: 0, resumed: 0, tagsWhole: 0 }
  readonly #registry: RunningRegistry
  readonly #model = new CrashModel()
  readonly #images = new Map<string, PushedImage>()
  readonly #history = new Map<string, Set<string>>()
  #trace: string[] = []

  constructor(registry: RunningRegistry) {
    this.#registry = registry
  }

  /** A rule deletes nothing before a plan of its own was applied once. */
  async approveRetention(): Promise<void> {
    const client = new RegistryClient(this.#registry.port)
    for (const tag of ['a', 'b', 'c']) await client.pushImage('first/ret', tag)
    const { plan } = await collect(client, { dryRun: true })
    await adminJson(client, 'POST', `/admin/gc/plans/${plan}/apply`, { wait: true })
    expect((await client.get('/v2/first/ret/tags/list')).json).toMatchObject({ tags: ['b', 'c'] })
    client.close()
  }

  async cycle(path: string): Promise<void> {
    this.#trace = []
    try {
      await this.#loadUntilKilled(path)
      await this.#registry.restart()
      const random = new Seeded(path, 'again')
      // A second crash, in the middle of what goes on.
      if (random.chance(0.3)) {
        await sleep(random.between(0, 200))
        await this.#registry.kill9()
        await this.#registry.restart()
      }
      const log = this.#registry.logs().slice(-60)
      if (log.some((line) => line.includes('collection goes on'))) this.total.resumed += 1
      const wire = new Wire(this.#registry.port, this.#trace)
      await this.#checkTags(wire)
      await this.#untilIdle(wire)
      await this.#checkTags(wire)
      wire.close()
      const exitCode = await this.#registry.terminate()
      if (exitCode !== 0) throw new Violation(`a stop in order ended with ${exitCode}`)
      const problems = await inspectStore(this.#registry.storages, new Set())
      if (problems.length > 0) throw new Violation(problems.slice(0, 20).join('\n'))
      await this.#registry.restart()
    } catch (error) {
      const text = error instanceof Violation ? error.message : String((error as Error).stack)
      const log = this.#registry.logs().slice(-15).join('\n')
      const before = this.#trace.slice(-80).join('\n')
      throw new Error(`seed ${path}: ${text}\nthe requests before:\n${before}\nthe log:\n${log}`)
    }
  }

  async #loadUntilKilled(path: string): Promise<void> {
    const random = new Seeded(path, 'cycle')
    const killAt = random.between(10, 40)
    // Half of the kills land in a collection, the others anywhere.
    const inCollection = random.chance(0.5)
    const killAfterMs = random.between(0, inCollection ? 150 : 40)
    let isKilled = false
    let killing: Promise<void> | undefined
    const kill = async () => {
      await sleep(killAfterMs)
      isKilled = true
      this.#trace.push('kill -9')
      await this.#registry.kill9()
    }
    const wires: Wire[] = []
    const loads = Array.from({ length: clients }, (_, client) => {
      const wire = new Wire(this.#registry.port, this.#trace, () => isKilled)
      wires.push(wire)
      const load = new CleanupClient({
        model: this.#model,
        wire,
        client,
        trace: this.#trace,
        images: this.#images,
        history: this.#history,
      })
      return load.run(path, (number, name) => {
        this.total.operations += 1
        if (name === 'collect') this.total.collections += 1
        if (name === 'undelete') this.total.undeletes += 1
        const isTime = number >= killAt && (!inCollection || name === 'collect')
        if (client === 0 && isTime) killing ??= kill()
      })
    })
    await Promise.all(loads)
    await killing
    for (const wire of wires) wire.close()
    this.#model.crash()
  }

  async #untilIdle(wire: Wire): Promise<void> {
    const deadline = performance.now() + 30_000
    while (performance.now() < deadline) {
      const gc = (await wire.ask('GET', '/admin/gc', [200])).json as { running?: string }
      const status = (await wire.ask('GET', '/admin/status', [200])).json as {
        reconciliation: { state: string }
      }
      if (gc.running === undefined && status.reconciliation.state === 'done') return
      await sleep(20)
    }
    throw new Violation('a resumed collection does not end')
  }

  async #checkTags(wire: Wire): Promise<void> {
    for (const tag of this.#model.tags.values()) {
      // Those that the rule may take stay unsure; looking does not settle it.
      if (tag.target.allowed().length > 1 || tag.target.allowed()[0] !== undefined) {
        await this.#checkTag(wire, tag)
      }
    }
  }

  async #checkTag(wire: Wire, { repository, tag, target }: TagModel): Promise<void> {
    const path = `/v2/${repository}/manifests/${tag}`
    const answer = await wire.ask('GET', path, [200, 404])
    const digest = answer.status === 200 ? answer.headers['docker-content-digest'] : undefined
    if (!target.allowed().includes(digest)) {
      throw new Violation(`${path}: ${digest ?? '404'}, the model allows ${target.allowed()}`)
    }
    if (!repository.endsWith('/ret') || digest === undefined) target.observe(digest)
    if (digest === undefined) return
    const mayGo = target.allowed().includes(undefined)
    for (const { digest: blob, name, sizeBytes } of this.#images.get(digest)!.blobs) {
      const blobPath = `/v2/${repository}/blobs/${blob}`
      const bytes = await wire.ask('GET', blobPath, mayGo ? [200, 404] : [200])
      if (bytes.status === 404) {
        // A collection that went on after the kill took the tag between these requests, and without
        // grace time all of it. A tag that is still there without its blob is a loss.
        await wire.ask('GET', path, [404])
        return
      }
      if (!bytes.body.equals(contentOf(name, sizeBytes))) throw new Violation(`${blob} is wrong`)
    }
    this.total.tagsWhole += 1
  }

  /** What the rule keeps is what is left; what is garbage goes. */
  async endsClean(): Promise<void> {
    const client = new RegistryClient(this.#registry.port)
    await collect(client)
    for (let number = 0; number < clients; number += 1) {
      const { json } = await client.get(`/v2/clean${number}/ret/tags/list`)
      const { tags = [] } = json as { tags?: string[] }
      expect(tags.length).toBeLessThanOrEqual(retainedTags)
    }
    const { plan } = await collect(client, { dryRun: true })
    const { items } = await adminJson<{ items: unknown[] }>(
      client,
      'GET',
      `/admin/gc/plans/${plan}/items`,
    )
    expect(items).toEqual([])
    client.close()
  }
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
