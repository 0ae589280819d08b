/**
 * @module Clients that pull while a sync copies: whatever tag they see, everything that it needs is there, and
 * every byte is right. They see old images and new ones, never half of one.
 */
import { afterEach, expect, test } from 'vitest'
import { contentOf, Seeded } from '../../crash/support/seeded.ts'
import {
  dispose,
  ENGINES,
  type InProcessRegistry,
  startInProcess,
} from '../../support/in-process.ts'
import { QuayStandIn } from '../../support/quay/stand-in.ts'
import { RegistryClient, sha256 } from '../../support/registry-client.ts'
import { LONG_AGO, pushToQuay, signInQuay } from '../../support/sync-server.ts'

const repositories = ['org/a', 'org/b']
const tags = ['v1', 'v2', 'v3', 'v4', 'v5', 'v6']
const rounds = 4
const readers = 4

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

interface Manifest {
  readonly config?: { readonly digest: string }
  readonly layers?: readonly { readonly digest: string }[]
}

const seen = { tags: 0, moves: 0, blobs: 0, referrers: 0 }

/** Pulls whatever is there, again and again. Throws for what is there in part. */
class Reader {
  readonly #client: RegistryClient
  readonly #chance: Seeded
  readonly #before = new Map<string, string>()

  constructor(port: number, number: number) {
    this.#client = new RegistryClient(port)
    this.#chance = new Seeded('reader', number)
  }

  async read(isOver: () => boolean): Promise<void> {
    try {
      while (!isOver()) await this.#one(this.#chance.pick(repositories))
    } finally {
      this.#client.close()
    }
  }

  async #one(repository: string): Promise<void> {
    const list = await this.#client.get(`/v2/${repository}/tags/list`)
    // Before the first tag there may be no repository.
    if (list.status === 404) return
    expect(list.status).toBe(200)
    const { tags: names } = list.json as { tags: readonly string[] }
    for (const name of names) await this.#pull(repository, name)
  }

  async #pull(repository: string, name: string): Promise<void> {
    const where = `${repository}:${name}`
    const answer = await this.#client.get(`/v2/${repository}/manifests/${name}`)
    expect(answer.status, `${where} is listed`).toBe(200)
    const digest = sha256(answer.body)
    expect(answer.headers['docker-content-digest'], where).toBe(digest)
    seen.tags += 1
    if (this.#before.get(where) === digest) return
    if (this.#before.has(where)) seen.moves += 1
    this.#before.set(where, digest)
    const { config, layers = [] } = answer.json as Manifest
    for (const blob of config === undefined ? layers : [config, ...layers]) {
      const bytes = await this.#client.get(`/v2/${repository}/blobs/${blob.digest}`)
      expect(bytes.status, `a blob of ${where}`).toBe(200)
      expect(sha256(bytes.body), `a blob of ${where}`).toBe(blob.digest)
      seen.blobs += 1
    }
    const referrers = await this.#client.get(`/v2/${repository}/referrers/${digest}`)
    expect(referrers.status).toBe(200)
    for (const one of (referrers.json as { manifests: { digest: string }[] }).manifests) {
      const found = await this.#client.head(`/v2/${repository}/manifests/${one.digest}`)
      expect(found.status, `a referrer of ${where}`).toBe(200)
      seen.referrers += 1
    }
  }
}

async function run({ syncs }: InProcessRegistry): Promise<string | undefined> {
  const started = await syncs.trigger('quay', { by: 'test' })
  if (started.kind !== 'started') throw new Error(started.kind)
  await started.ended
  return syncs.status('quay')!.lastResult
}

test.each(ENGINES)('readers see whole images alone while they are copied (%s)', async (engine) => {
  const quay = await new QuayStandIn().start()
  open.push(() => quay.stop())
  // Time for a reader between any two steps of a copy.
  quay.switches.delayMs = (of) => (of === 'storage' || of === 'manifests' ? 2 : 0)
  const source = {
    name: 'quay',
    type: 'quay',
    url: quay.url,
    organizations: ['org'],
    mode: 'manual',
  }
  const registry = await startInProcess({ engine, config: { sync: { sources: [source] } } })
  open.push(() => dispose(registry))
  const push = (round: number) => {
    for (const [at, path] of repositories.entries()) {
      for (const tag of tags) {
        const layers = ['shared', `${round}`, `${path} ${tag} ${round}`].map((name) =>
          contentOf(name, 40_000).toString('latin1'),
        )
        const when = LONG_AGO + round * 3_600 + at
        const digest = pushToQuay(quay, path, tag, layers, when)
        if (tag === 'v1') signInQuay(quay, path, digest, when)
      }
    }
  }
  let isOver = false
  const reading = Promise.all(
    Array.from({ length: readers }, (_, number) =>
      new Reader(registry.port, number).read(() => isOver),
    ),
  )
  reading.catch(() => undefined)
  try {
    for (let round = 0; round < rounds; round += 1) {
      push(round)
      expect(await Promise.race([run(registry), reading])).toBe('ok')
    }
  } finally {
    isOver = true
    await reading
  }
  expect(registry.syncs.status('quay')!.counts.copied).toBe(repositories.length * tags.length)
  expect(registry.faults).toEqual([])
  console.log(`MEASURED readers beside a sync: ${JSON.stringify(seen)}`)
  expect(seen.moves).toBeGreaterThan(0)
})
