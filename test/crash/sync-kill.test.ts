/**
 * @module SIGKILL in the middle of runs of a sync, again and again: each start goes on by itself with what the
 * last process has begun, no blob whose rows were on disk is asked for again, every tag that is there is whole,
 * and in the end the copy is what upstream has.
 *
 * FASTREGISTRY_SYNC_KILLS=N for as many, FASTREGISTRY_CRASH_SEED=S for the moments of a failure.
 */
import { expect, test } from 'vitest'
import { LmdbEnvironment, prefixRange } from '../../src/metadata/lmdb/environment.ts'
import { metadataFolder } from '../../src/metadata/lmdb/folder.ts'
import { until } from '../support/in-process.ts'
import { QuayStandIn } from '../support/quay/stand-in.ts'
import { RegistryClient } from '../support/registry-client.ts'
import { type RunningRegistry, startRegistry } from '../support/start-registry.ts'
import { LONG_AGO, pushToQuay, signInQuay } from '../support/sync-server.ts'
import { inspectStore } from './support/inspect-store.ts'
import { contentOf, Seeded } from './support/seeded.ts'

const kills = Number(process.env['FASTREGISTRY_SYNC_KILLS'] ?? 50)
const seed = Number(process.env['FASTREGISTRY_CRASH_SEED'] ?? Math.floor(Math.random() * 1e6))

/** Requests of one life, at most: so many tags are done in it. */
const requestsMax = 90

const sharedLayers = 12

/** Upstream grows as fast as the copy does, so that no run is over before its process. */
class Upstream {
  readonly quay = new QuayStandIn()
  readonly tags = new Map<string, string>()
  readonly #chance = new Seeded(seed, 'upstream')
  /** Fetches of a blob's bytes since the last kill, by digest. */
  readonly fetched: string[] = []
  requests = 0

  async start(): Promise<void> {
    await this.quay.start()
    const { switches } = this.quay
    const looked = new WeakSet<object>()
    switches.fault = (of, request) => {
      if (looked.has(request)) return undefined
      looked.add(request)
      this.requests += 1
      if (of === 'storage') this.fetched.push(/sha256:[0-9a-f]{64}/.exec(request.url ?? '')![0])
      return undefined
    }
    switches.delayMs = (of) => (of === 'storage' || of === 'manifests' ? 8 : 0)
  }

  push(count: number): void {
    const chance = this.#chance
    for (let left = count; left > 0; left -= 1) {
      const number = this.tags.size
      const path = `org/r${chance.between(0, 5)}`
      const at = LONG_AGO + number * 10
      const own = contentOf(`own ${seed} ${number}`, chance.between(1, 200_000)).toString('latin1')
      const shared = `shared ${chance.between(1, sharedLayers)} ${'x'.repeat(5_000)}`
      const digest = pushToQuay(this.quay, path, `v${number}`, [own, shared], at)
      this.tags.set(`${path}:v${number}`, digest)
      if (!chance.chance(0.2)) continue
      const signature = signInQuay(this.quay, path, digest, at + 1)
      this.tags.set(`${path}:${digest.replace(':', '-')}.sig`, signature)
    }
  }
}

interface Durable {
  /** Blobs that a repository holds. */
  readonly held: ReadonlySet<string>
  /** What a tag or a manifest lacks, in words. */
  readonly missing: readonly string[]
}

/** What a dead process has left on disk. */
async function readStore(storage: string): Promise<Durable> {
  const environment = new LmdbEnvironment(metadataFolder(storage), false)
  try {
    const keys = (name: 'links' | 'manifests') =>
      new Set([...environment.keys(name, prefixRange([]))].map((it) => (it as string[]).join(' ')))
    const links = keys('links')
    const manifests = keys('manifests')
    const missing: string[] = []
    for (const { key, value } of environment.entries('tags', prefixRange([]))) {
      const [path, tag] = key as string[]
      const { digest } = value as { digest: string }
      const bytes = environment.getBytes('manifestBytes', digest)
      if (!manifests.has(`${path} ${digest}`) || bytes === undefined) {
        missing.push(`${path}:${tag} has no manifest`)
        continue
      }
      const { config, layers } = JSON.parse(Buffer.from(bytes).toString()) as {
        config: { digest: string }
        layers: { digest: string }[]
      }
      for (const blob of [config, ...layers]) {
        if (!links.has(`${path} ${blob.digest}`))
          missing.push(`${path}:${tag} lacks ${blob.digest}`)
      }
    }
    return { held: new Set([...links].map((it) => it.split(' ')[1]!)), missing }
  } finally {
    await environment.close()
  }
}

interface Told {
  readonly state: string
  /** A run that waits for upstream goes on as well. */
  readonly Running: boolean
  readonly result?: string
}

async function statusOf(client: RegistryClient): Promise<Told> {
  const answer = await client.get('/admin/sync/status/quay')
  expect(answer.status, answer.text).toBe(200)
  return answer.json as Told
}

/** A run that a restart takes up may begin in the moment of the question: then this one comes after it. */
async function trigger(client: RegistryClient): Promise<void> {
  await until(async () => {
    const answer = await client.request('POST', '/admin/sync/trigger/quay')
    if (answer.text.includes('job already running')) return false
    expect(answer.status, answer.text).toBe(200)
    return true
  })
}

async function open(url: string): Promise<RunningRegistry> {
  const source = {
    name: 'quay',
    type: 'quay',
    url,
    organizations: ['org'],
    mode: 'manual',
    concurrency: 4,
  }
  return startRegistry({ config: { log: { access: false }, sync: { sources: [source] } } })
}

const seen = { lives: 0, resumed: 0, fetched: 0, held: 0 }

test(`${kills} kills in runs, seed ${seed}`, async () => {
  const chance = new Seeded(seed)
  const upstream = new Upstream()
  await upstream.start()
  upstream.push(40)
  const registry = await open(upstream.quay.url)
  const client = new RegistryClient(registry.port)
  let held: ReadonlySet<string> = new Set<string>()
  const checkFetched = () => {
    const again = upstream.fetched.filter((digest) => held.has(digest))
    expect(again, 'blobs that were on disk are fetched again').toEqual([])
    seen.fetched += upstream.fetched.length
    upstream.fetched.length = 0
  }
  try {
    await trigger(client)
    for (let count = 0; count < kills; count += 1) {
      // Some die at once, some after a good part of what there is.
      const wanted = upstream.requests + (chance.chance(0.1) ? 0 : chance.between(1, requestsMax))
      seen.lives += 1
      let isOver = false
      await until(async () => {
        if (upstream.requests >= wanted) return true
        isOver = !(await statusOf(client)).Running
        return isOver
      })
      if (isOver) {
        // It was done: there is something new, and another run.
        upstream.push(30)
        await trigger(client)
        await until(() => upstream.requests >= wanted)
      }
      await registry.kill9()
      checkFetched()
      const durable = await readStore(registry.storage)
      expect(durable.missing).toEqual([])
      ;({ held } = durable)
      if (upstream.tags.size < held.size / 2 + 30) upstream.push(10)
      await registry.restart()
      // Nobody asks it to.
      await until(async () => {
        const { Running, result } = await statusOf(client)
        if (Running) seen.resumed += 1
        return Running || result !== undefined
      })
    }
    // The run that was killed last may not have gone on yet: it is not under way then either.
    await until(async () => {
      const { Running, result } = await statusOf(client)
      return !Running && result === 'ok'
    })
    expect(await statusOf(client)).toMatchObject({ state: 'idle', result: 'ok' })
    // What was pushed since the last listing.
    await trigger(client)
    await until(async () => !(await statusOf(client)).Running)
    checkFetched()
    for (const [key, digest] of upstream.tags) {
      const [path, tag] = key.split(':')
      const answer = await client.head(`/v2/${path}/manifests/${tag}`)
      expect(answer.headers['docker-content-digest'], key).toBe(digest)
    }
    seen.held = held.size
    expect(seen.resumed).toBeGreaterThan(kills / 2)
    client.close()
    expect(await registry.terminate()).toBe(0)
    expect((await readStore(registry.storage)).missing).toEqual([])
    expect(await inspectStore(registry.storages, new Set())).toEqual([])
    console.log(
      `MEASURED kills in runs of a sync: ${JSON.stringify({ tags: upstream.tags.size, ...seen })}`,
    )
  } finally {
    client.close()
    await registry.stop()
    await upstream.quay.stop()
  }
})
