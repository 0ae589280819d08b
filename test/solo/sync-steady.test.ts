/**
 * @module What a run with nothing new costs, in full size: 10,000 repositories and 100,000 tags that are here
 * already, and one tag of them that changes. The rows of the copy are written as a sync leaves them, because to
 * copy 100,000 tags takes minutes.
 *
 *   FASTREGISTRY_SYNC_REPOSITORIES=N   another size, of ten tags each
 */
import { mkdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { cpuSeconds } from '../../bench/macro/process-stats.ts'
import { blobPaths } from '../../src/blobs/files/layout.ts'
import { LmdbEnvironment } from '../../src/metadata/lmdb/environment.ts'
import { metadataFolder } from '../../src/metadata/lmdb/folder.ts'
import { schemaVersion } from '../../src/metadata/schema.ts'
import { mediaTypes } from '../../src/registry/media-type.ts'
import { fingerprintOf } from '../../src/sync/selection/fingerprint.ts'
import { until } from '../support/in-process.ts'
import type { QuayRepository } from '../support/quay/model.ts'
import { QuayStandIn } from '../support/quay/stand-in.ts'
import { RegistryClient } from '../support/registry-client.ts'
import { type RunningRegistry, startRegistry } from '../support/start-registry.ts'
import { LONG_AGO, pushToQuay, temporaryFolder } from '../support/sync-server.ts'
import { load } from '../unit/config/load-text.ts'

const repositories = Number(process.env['FASTREGISTRY_SYNC_REPOSITORIES'] ?? 10_000)
const tagsOfEach = 10
const source = 'quay'

/** Repositories in one transaction. */
const atOnce = 500

const apiRequestsMax = Math.ceil(repositories / 100) * 1.2
const cpuSecondsMax = 2
const moreRequestsMax = 4

function fill(quay: QuayStandIn): void {
  for (let number = 0; number < repositories; number += 1) {
    for (let tag = 0; tag < tagsOfEach; tag += 1) {
      pushToQuay(quay, `org/r${number}`, `v${tag}`, ['the one layer'])
    }
  }
}

/** What a sync of all that leaves behind. */
async function writeCopy(folder: string, quay: QuayStandIn, fingerprint: string): Promise<void> {
  const now = Date.now()
  for (const path of [...Object.values(blobPaths(folder)), metadataFolder(folder)]) {
    mkdirSync(path, { recursive: true })
  }
  const environment = new LmdbEnvironment(metadataFolder(folder), true)
  const all = [...quay.model.repositories.values()]
  environment.writeSync(() => {
    environment.put('system', 'schemaVersion', schemaVersion)
    const done = { isPaused: false, hasTick: false, lastRunAt: now, lastOkAt: now }
    environment.put('syncStates', source, { ...done, fingerprint, listedFingerprint: fingerprint })
    writeContent(environment, all[0]!, now)
  })
  for (let from = 0; from < all.length; from += atOnce) {
    environment.writeSync(() => {
      for (const one of all.slice(from, from + atOnce)) {
        writeRepository(environment, one, { now, fingerprint })
      }
    })
  }
  await environment.close()
}

/** The one image of all tags. */
function writeContent(environment: LmdbEnvironment, from: QuayRepository, now: number): void {
  const [image] = from.manifests.values()
  environment.put('manifestBytes', image!.digest, image!.bytes)
  const { config } = JSON.parse(image!.bytes.toString()) as { config: { digest: string } }
  for (const [digest, bytes] of from.blobs) {
    const kind = digest === config.digest ? 'config' : 'layer'
    environment.put('children', [image!.digest, digest], { kind })
    const sizeBytes = bytes.byteLength
    environment.put('blobs', digest, { sizeBytes, place: 'inline', createdAt: now, linkedAt: now })
    environment.put('blobBytes', digest, bytes)
  }
}

function writeRepository(
  environment: LmdbEnvironment,
  { path, manifests, blobs, everyTag }: QuayRepository,
  { now, fingerprint }: { readonly now: number; readonly fingerprint: string },
): void {
  const [image] = manifests.values()
  const { digest, bytes } = image!
  const put = environment.put.bind(environment)
  put('repositories', path, { createdAt: now })
  const sizeBytes = bytes.byteLength
  put('manifestHolders', [digest, path], 'stored')
  put('manifests', [path, digest], { mediaType: mediaTypes.ociManifest, sizeBytes, pushedAt: now })
  for (const blob of blobs.keys()) {
    put('parents', [blob, path, digest], true)
    put('links', [path, blob], { linkedAt: now })
    put('holders', [blob, path], true)
  }
  for (const { name, startTs } of everyTag) {
    put('tags', [path, name], { digest, pushedAt: now, previous: [], by: `sync:${source}` })
    put('tagsByDigest', [path, digest, name], true)
    const ended = { local: path, outcome: 'copied', at: now, attempts: 0 }
    const times = { pushedAt: startTs * 1_000, referrersCheckedAt: now }
    put('syncTags', [source, path, name], { ...ended, upstream: digest, wrote: digest, ...times })
  }
  const known = { local: path, watermark: LONG_AGO * 1_000, fullPassAt: now }
  put('syncRepositories', [source, path], { ...known, fingerprint, isListingComplete: true })
}

interface Told {
  readonly state: string
  readonly result?: string
  readonly counts: Readonly<Record<string, number>>
  readonly Progress: { readonly TotalRepos: number; readonly SyncedRepos: number }
}

/** A run, its status in the end, and what it cost. */
async function run(registry: RunningRegistry, client: RegistryClient, quay: QuayStandIn) {
  quay.forget()
  const before = cpuSeconds(registry.pid)
  const startedAt = performance.now()
  const started = await client.request('POST', '/admin/sync/trigger/quay')
  expect(started.status, started.text).toBe(200)
  let told!: Told
  await until(async () => {
    told = (await client.get('/admin/sync/status/quay')).json as Told
    return told.state !== 'running'
  })
  expect(told).toMatchObject({ state: 'idle', result: 'ok' })
  const { TotalRepos, SyncedRepos } = told.Progress
  expect([TotalRepos, SyncedRepos]).toEqual([repositories, repositories])
  return {
    told,
    seconds: (performance.now() - startedAt) / 1_000,
    cpu: cpuSeconds(registry.pid) - before,
    api: quay.count('api') + quay.count('tags') + quay.count('catalog'),
    manifests: quay.count('manifests'),
    all: Object.values(quay.counts).reduce((sum, count) => sum + count, 0),
  }
}

test.skipIf(process.platform !== 'linux')(
  `${repositories} repositories with ${repositories * tagsOfEach} tags: a run with nothing new, and one tag that changed`,
  async () => {
    const quay = await new QuayStandIn().start()
    const { path: storage, remove } = await temporaryFolder()
    fill(quay)
    const item = {
      name: source,
      type: 'quay',
      url: quay.url,
      organizations: ['org'],
      mode: 'manual',
    }
    const sync = { sources: [item] }
    const [config] = (await load(stringify({ sync }))).sync.sources
    await writeCopy(storage, quay, fingerprintOf(config!))
    const registry = await startRegistry({ storage, config: { log: { access: false }, sync } })
    const client = new RegistryClient(registry.port)
    try {
      // The first compiles the program, which is no cost of the run.
      await run(registry, client, quay)
      const quiet = await run(registry, client, quay)
      const path = `org/r${Math.floor(repositories / 2)}`
      const moved = pushToQuay(quay, path, 'v3', ['another layer'], LONG_AGO + 3_600)
      const changed = await run(registry, client, quay)
      const say = ({ api, manifests, all, cpu, seconds }: typeof quiet) =>
        `${api} API and ${manifests} manifest requests of ${all}, ${cpu.toFixed(2)} s of CPU, ${seconds.toFixed(2)} s`
      console.log(
        `MEASURED sync of ${repositories} repositories, ${repositories * tagsOfEach} tags: nothing new ${say(quiet)}; one tag changed ${say(changed)}`,
      )
      expect(quiet.api).toBeLessThanOrEqual(apiRequestsMax)
      expect(quiet.manifests).toBe(0)
      expect(quiet.cpu).toBeLessThanOrEqual(cpuSecondsMax)
      expect(quiet.told.counts['copied']).toBe(0)
      expect(changed.told.counts['copied']).toBe(1)
      expect(changed.api + changed.manifests).toBeLessThanOrEqual(quiet.api + moreRequestsMax)
      const answer = await client.head(`/v2/${path}/manifests/v3`)
      expect(answer.headers['docker-content-digest']).toBe(moved)
    } finally {
      client.close()
      await registry.stop()
      await quay.stop()
      await remove()
    }
  },
  300_000,
)
