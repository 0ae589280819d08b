import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Deletes } from '../../../src/distribution/delete.ts'
import { ManifestPushes } from '../../../src/distribution/push-manifest.ts'
import type { SharedMirrors } from '../../../src/mirror/context.ts'
import { MirrorEviction } from '../../../src/mirror/eviction.ts'
import { ManifestEviction, manifestsKeptMs } from '../../../src/mirror/manifest-eviction.ts'
import { type Mirror, MirrorStats } from '../../../src/mirror/mirror.ts'
import { parseDigest } from '../../../src/registry/digest.ts'
import { manifestTypeOf } from '../../../src/registry/media-type.ts'
import { parseRepositoryName } from '../../../src/registry/name.ts'
import { parseReference } from '../../../src/registry/reference.ts'
import { unwrap } from '../../../src/registry/result.ts'
import { parseTag } from '../../../src/registry/tag.ts'
import { nextTurn } from '../../../src/runtime/next-turn.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { openTemporaryStorage, type TemporaryStorage } from '../../support/open-store.ts'
import { sha256 } from '../../support/registry-client.ts'
import { repositoryParts } from '../../support/repository-parts.ts'
import { withCommit } from '../../support/with-commit.ts'

const app = unwrap(parseRepositoryName('hub/app'))
const pinned = unwrap(parseRepositoryName('hub/pinned'))
const local = unwrap(parseRepositoryName('local/app'))
const indexType = 'application/vnd.oci.image.index.v1+json'

let store: TemporaryStorage
let clock: FakeClock
let eviction: ManifestEviction
let pushes: ManifestPushes

beforeEach(async () => {
  store = await openTemporaryStorage()
  clock = new FakeClock()
  const { metadata } = store.storage
  const policy = {
    allowsSparseIndex: true,
    allowsMissingBlobs: true,
    checksSizes: false,
    allowsDelete: true,
  }
  const parts = repositoryParts()
  pushes = new ManifestPushes(metadata, policy, clock, parts)
  eviction = new ManifestEviction({
    metadata,
    clock,
    deletes: new Deletes(metadata, true, { ...parts, clock }),
  })
})

afterEach(() => store.close())

function mirrorOf(push: 'allow' | 'deny' = 'deny'): Mirror {
  const isPinned = (repository: string) => repository === pinned
  return { name: 'hub', config: { push }, isPinned } as unknown as Mirror
}

const textOf = (seed: string) =>
  JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests: [], annotations: { seed } })
const digestOf = (seed: string) => unwrap(parseDigest(sha256(textOf(seed))))

async function put(repository: typeof app, seed: string, tag?: string, isMirrored = true) {
  const digest = digestOf(seed)
  const row = { digest, checkedAt: clock.now(), changedAt: clock.now() } as never
  await pushes.push({
    repository,
    reference: unwrap(parseReference(tag ?? digest)),
    tags: [],
    expected: undefined,
    contentType: manifestTypeOf(indexType),
    bytes: Buffer.from(textOf(seed)),
    by: 'test',
    condition: { ifMatch: undefined, ifNoneMatch: undefined },
    more:
      tag === undefined || !isMirrored
        ? []
        : [{ change: 'put', in: 'mirrorTags', key: [repository, tag], row }],
  })
}

const has = (repository: typeof app, seed: string) =>
  store.storage.metadata.get('manifests', [repository, digestOf(seed)]) !== undefined

describe('manifests of a mirror', () => {
  test('go when they were last used before what had to go, with their tags', async () => {
    await put(app, 'old', 'v1')
    await put(app, 'untagged')
    await put(pinned, 'pinned', 'v1')
    await put(local, 'local', 'v1')
    clock.advance(1000)
    const horizon = clock.now()
    await put(app, 'young', 'v2')
    clock.advance(2 * manifestsKeptMs)
    expect(await eviction.evict(mirrorOf(), horizon)).toBe(2)
    expect([has(app, 'old'), has(app, 'untagged'), has(app, 'young')]).toEqual([false, false, true])
    expect(has(pinned, 'pinned')).toBe(true)
    expect(has(local, 'local')).toBe(true)
    const { metadata } = store.storage
    expect(metadata.get('tags', [app, unwrap(parseTag('v1'))])).toBeUndefined()
    expect(metadata.get('mirrorTags', [app, 'v1'])).toBeUndefined()
    expect(metadata.get('mirrorTags', [app, 'v2'])).toBeDefined()
  })

  test('stay while they are pulled', async () => {
    await put(app, 'old', 'v1')
    clock.advance(1000)
    const horizon = clock.now()
    clock.advance(1000)
    const key = [app, digestOf('old')] as const
    await store.storage.metadata.commit({
      checks: [],
      changes: [{ change: 'put', in: 'pulls', key, row: clock.now() }],
    })
    clock.advance(2 * manifestsKeptMs)
    expect(await eviction.evict(mirrorOf(), horizon)).toBe(0)
    expect(has(app, 'old')).toBe(true)
  })

  test('of the last hour stay, however young what had to go', async () => {
    await put(app, 'new', 'v1')
    clock.advance(manifestsKeptMs - 1)
    expect(await eviction.evict(mirrorOf(), clock.now())).toBe(0)
    clock.advance(2)
    expect(await eviction.evict(mirrorOf(), clock.now())).toBe(1)
  })

  test('that clients pushed below the mirror stay', async () => {
    await put(app, 'fetched', 'v1')
    await put(app, 'pushed', 'own', false)
    await put(app, 'pushed by digest')
    clock.advance(2 * manifestsKeptMs)
    expect(await eviction.evict(mirrorOf('allow'), clock.now())).toBe(1)
    expect(has(app, 'pushed')).toBe(true)
    expect(has(app, 'pushed by digest')).toBe(true)
  })
})

test('an eviction takes the manifests that were used before the youngest blob that went', async () => {
  const { metadata, digestLock } = store.storage
  const mirror = {
    name: 'hub',
    config: { push: 'deny', maxBytes: 250 },
    isPinned: () => false,
    stats: new MirrorStats(),
  } as unknown as Mirror
  const asked: number[] = []
  const context = {
    metadata,
    digestLock,
    clock,
    logger: { warn: (it: unknown) => asked.push(it as number) },
  }
  const blobs = new MirrorEviction(
    {
      context: context as never,
      maxBytesInAll: 0,
      isBusy: () => false,
      removeBytes: async () => undefined,
      evictManifests: async (_mirror, horizon) => {
        asked.push(horizon)
        return 3
      },
    },
    [mirror],
  )
  for (const [index, pulledAt] of [1000, 2000, 3000].entries()) {
    const digest = digestOf(`blob ${index}`)
    await metadata.commit({
      checks: [],
      changes: [
        {
          change: 'put',
          in: 'mirrorBlobs',
          key: ['hub', digest],
          row: { sizeBytes: 100, addedAt: 0, pulledAt },
        },
      ],
    })
  }
  // 300 of 250 bytes: down to 225 the one pulled at 1000 has to go.
  for (let count = 0; count < 3; count += 1) blobs.added(mirror, 100)
  await blobs.tick()
  await blobs.stop()
  expect(asked).toEqual([1000])
  expect(mirror.stats).toMatchObject({ evicted: 1, evictedManifests: 3 })
  expect(metadata.get('mirrorBlobs', ['hub', digestOf('blob 0')])).toBeUndefined()
})

test('what is stopped while it counts reads nothing any more', async () => {
  const { metadata, digestLock } = store.storage
  const mirror = { name: 'hub', config: {}, stats: new MirrorStats() } as unknown as Mirror
  const row = { sizeBytes: 100, addedAt: 0, pulledAt: 0 }
  const changes = Array.from({ length: 1_000 }, (_, index) => {
    const key = ['hub', digestOf(`${index}`)] as const
    return { change: 'put', in: 'mirrorBlobs', key, row } as const
  })
  await metadata.commit({ checks: [], changes })
  let reads = 0
  const entriesWithin: typeof metadata.entriesWithin = (...range) => {
    reads += 1
    return metadata.entriesWithin(...range)
  }
  const counting = new MirrorEviction(
    {
      context: { metadata: { entriesWithin }, digestLock, clock } as never,
      maxBytesInAll: 0,
      isBusy: () => false,
      removeBytes: async () => undefined,
      evictManifests: async () => 0,
    },
    [mirror],
  )
  const started = counting.start()
  // Between two pages.
  await nextTurn()
  await counting.stop()
  const before = reads
  await started
  await nextTurn()
  expect(reads).toBe(before)
})

describe('in a mesh', () => {
  const mirror = {
    name: 'mesh',
    config: { push: 'deny', maxBytes: 250 },
    isPinned: () => false,
    stats: new MirrorStats(),
  } as unknown as Mirror
  let isElsewhere: boolean
  let removedThrough: number

  const key = (name: string) => ['mesh', digestOf(`mesh ${name}`)] as const
  const pulledAt = (name: string) => store.storage.metadata.get('mirrorBlobs', key(name))?.pulledAt

  async function stored(name: string, at: number): Promise<void> {
    const row = { sizeBytes: 100, addedAt: 0, pulledAt: at }
    const change = { change: 'put', in: 'mirrorBlobs', key: key(name), row } as const
    await store.storage.metadata.commit({ checks: [], changes: [change] })
  }

  function evictionOf(): MirrorEviction {
    const { metadata, digestLock } = store.storage
    const shared: SharedMirrors = {
      store: withCommit(metadata, (it) => {
        removedThrough += 1
        return metadata.commit(it)
      }),
      evict: (work) => (isElsewhere ? Promise.resolve() : work()),
      once: (_schedule, _expression, work) => work,
      pulledAgainMs: 3_600_000,
    }
    return new MirrorEviction(
      {
        context: {
          metadata,
          digestLock,
          clock,
          shared,
          logger: { warn: () => undefined },
        } as never,
        maxBytesInAll: 0,
        isBusy: () => false,
        removeBytes: async () => undefined,
        evictManifests: async () => 0,
      },
      [mirror],
    )
  }

  beforeEach(async () => {
    isElsewhere = false
    removedThrough = 0
    for (const [at, name] of ['a', 'b', 'c'].entries()) await stored(name, at + 1)
  })

  test('no node makes room while another does, and what it removes goes its way', async () => {
    const blobs = evictionOf()
    isElsewhere = true
    for (let count = 0; count < 3; count += 1) blobs.added(mirror, 100)
    await blobs.tick()
    expect(pulledAt('a')).toBe(1)
    isElsewhere = false
    await blobs.tick()
    await blobs.stop()
    expect([pulledAt('a'), pulledAt('b'), removedThrough]).toEqual([undefined, 2, 1])
  })

  test('what others have stored and removed is counted before anything goes', async () => {
    const blobs = evictionOf()
    for (const name of ['a', 'b']) {
      const change = { change: 'delete', in: 'mirrorBlobs', key: key(name) } as const
      await store.storage.metadata.commit({ checks: [], changes: [change] })
    }
    for (let count = 0; count < 3; count += 1) blobs.added(mirror, 100)
    await blobs.tick()
    await blobs.stop()
    expect([pulledAt('c'), blobs.usageOf(mirror)]).toEqual([3, { bytes: 100, blobs: 1 }])
  })

  test('a pull is written down when the last one that is has grown old', async () => {
    const blobs = evictionOf()
    const now = clock.now()
    await stored('a', now - 3_600_000)
    await stored('b', now - 3_599_999)
    for (const name of ['a', 'b']) blobs.observe(mirror, key(name)[1]).note(1)
    await blobs.stop()
    expect([pulledAt('a'), pulledAt('b')]).toEqual([now, now - 3_599_999])
  })
})
