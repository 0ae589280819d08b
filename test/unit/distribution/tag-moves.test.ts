import { beforeEach, describe, expect, test } from 'vitest'
import { Deletes } from '../../../src/distribution/delete.ts'
import { Protection } from '../../../src/distribution/protection.ts'
import { type ManifestPush, ManifestPushes } from '../../../src/distribution/push-manifest.ts'
import { TagLocks } from '../../../src/distribution/tag-locks.ts'
import { tagHistoryMax } from '../../../src/metadata/schema.ts'
import { mediaTypes } from '../../../src/registry/media-type.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { asName, asTag, imageIndex, sha256 } from '../../support/registry-client.ts'
import { repositoryParts } from '../../support/repository-parts.ts'

const app = asName('app')
const v1 = asTag('v1')
const policy = {
  allowsSparseIndex: true,
  allowsMissingBlobs: false,
  checksSizes: true,
  allowsDelete: true,
}

let metadata: MemoryMetadataStore
let clock: FakeClock
let pushes: ManifestPushes
let deletes: Deletes

beforeEach(() => {
  metadata = new MemoryMetadataStore()
  clock = new FakeClock()
  const tagLocks = new TagLocks()
  const parts = { ...repositoryParts(), tagLocks }
  pushes = new ManifestPushes(metadata, policy, clock, parts)
  deletes = new Deletes(metadata, true, { ...parts, clock })
})

function bytesOf(label: string): Uint8Array {
  return Buffer.from(JSON.stringify(imageIndex([], { annotations: { label } })))
}

function push(label: string, options: Partial<ManifestPush> = {}) {
  return pushes.push({
    repository: app,
    reference: { kind: 'tag', tag: v1 },
    tags: [],
    expected: undefined,
    contentType: mediaTypes.ociIndex,
    bytes: bytesOf(label),
    condition: { ifMatch: undefined, ifNoneMatch: undefined },
    by: 'tester',
    ...options,
  })
}

describe('a tag', () => {
  test('remembers what it pointed at, newest first, up to a bound', async () => {
    for (let index = 0; index < tagHistoryMax + 5; index += 1) {
      clock.advance(1)
      await push(`push ${index}`)
    }
    const row = metadata.get('tags', [app, v1])!
    expect(row.previous).toHaveLength(tagHistoryMax)
    expect(row.digest).toBe(sha256(bytesOf(`push ${tagHistoryMax + 4}`)))
    expect(row.previous[0]!.digest).toBe(sha256(bytesOf(`push ${tagHistoryMax + 3}`)))
    expect(row.previous[0]!.replacedAt).toBe(row.pushedAt)
    expect(metadata.count('tagsByDigest')).toBe(1)
  })

  test('pushed again to the same digest keeps its history', async () => {
    await push('one')
    await push('two')
    clock.advance(5)
    await push('two')
    const row = metadata.get('tags', [app, v1])!
    expect(row.previous).toHaveLength(1)
    expect(row.pushedAt).toBe(clock.now())
  })

  test('takes a hundred pushes at once', async () => {
    const labels = Array.from({ length: 100 }, (_, index) => `racer ${index}`)
    await Promise.all(labels.map((label) => push(label)))
    expect(metadata.count('manifests')).toBe(100)
    expect(metadata.count('tagsByDigest')).toBe(1)
  })

  test('takes pushes of many tags that overlap, in any order', async () => {
    const tags = ['a', 'b', 'c', 'd'].map(asTag)
    const runs = Array.from({ length: 40 }, (_, index) => {
      const own = index % 2 === 0 ? tags : [...tags].reverse()
      const bytes = bytesOf(`set ${index}`)
      const reference = { kind: 'digest', digest: sha256(bytes) } as const
      return push('', { bytes, reference, tags: own.slice(index % 3) })
    })
    await Promise.all(runs)
    expect(metadata.count('tags')).toBe(4)
    expect(metadata.count('tagsByDigest')).toBe(4)
  })
})

describe('the indexes', () => {
  test('are empty again when everything was deleted', async () => {
    const subject = { mediaType: mediaTypes.ociIndex, digest: sha256('subject'), size: 7 }
    const child = { mediaType: mediaTypes.ociIndex, digest: sha256('child'), size: 5 }
    const bytes = Buffer.from(JSON.stringify(imageIndex([child], { subject })))
    const pushed = await push('', { bytes })
    await push('', { bytes, reference: { kind: 'tag', tag: asTag('v2') } })
    expect(pushed.subject).toBe(subject.digest)
    expect(metadata.count('referrers')).toBe(1)
    expect(metadata.count('parents')).toBe(1)
    await deletes.deleteTag(app, v1)
    await deletes.deleteManifest(app, pushed.digest)
    for (const name of ['tags', 'tagsByDigest', 'manifests', 'referrers', 'parents'] as const) {
      expect(metadata.count(name), name).toBe(0)
    }
    expect(metadata.count('repositories')).toBe(1)
  })

  test('agree after pushes and deletes of one tag that raced', async () => {
    const runs = Array.from({ length: 60 }, (_, index) =>
      index % 3 === 0
        ? deletes.deleteTag(app, v1).catch((error: { code?: string }) => error.code)
        : push(`raced ${index % 7}`),
    )
    for (const outcome of await Promise.all(runs)) {
      if (typeof outcome === 'string') expect(outcome).toBe('MANIFEST_UNKNOWN')
    }
    const row = metadata.get('tags', [app, v1])
    const indexed = metadata.keys('tagsByDigest', [app], undefined, 100)
    expect(indexed).toEqual(row === undefined ? [] : [[app, row.digest, v1]])
  })

  test('hold no tag of a manifest that was deleted while it was tagged', async () => {
    for (let round = 0; round < 20; round += 1) {
      const { digest } = await push('tagged')
      const names = ['x', 'y', 'z'].map(asTag)
      await Promise.all([
        ...names
          .slice(0, round % 4)
          .map((tag) => push('tagged', { reference: { kind: 'tag', tag } })),
        deletes.deleteManifest(app, digest),
        ...names.slice(round % 4).map((tag) => push('tagged', { reference: { kind: 'tag', tag } })),
      ])
      for (const { row } of metadata.entries('tags', [app], undefined, 10)) {
        expect(metadata.get('manifests', [app, row.digest])).toBeDefined()
      }
    }
  })
})

describe('a tag that may not move', () => {
  const absent = { mediaType: mediaTypes.ociManifest, digest: sha256('absent'), size: 7 }
  const onlyNew = { ifMatch: undefined, ifNoneMatch: '*' }

  test('is refused after one attempt, with what it points at', async () => {
    const { digest } = await push('one')
    const before = metadata.commitCount
    await expect(push('two', { condition: onlyNew })).rejects.toMatchObject({
      kind: 'MANIFEST_CHANGED',
      detail: { current: digest },
    })
    expect(metadata.commitCount).toBe(before + 1)
  })

  test('is refused and counted when it is immutable', async () => {
    const protection = new Protection([{ repositories: ['**'], tags: ['v*'] }])
    pushes = new ManifestPushes(metadata, policy, clock, { ...repositoryParts(), protection })
    const { digest } = await push('one')
    expect(await push('one')).toMatchObject({ digest })
    await expect(push('two')).rejects.toMatchObject({
      kind: 'TAG_IMMUTABLE',
      detail: { tag: v1, current: digest },
    })
    expect(protection.blockedCount).toBe(1)
  })

  test('is heard of before blobs that are missing', async () => {
    await push('one')
    const bytes = Buffer.from(JSON.stringify(imageIndex([absent])))
    pushes = new ManifestPushes(
      metadata,
      { ...policy, allowsSparseIndex: false },
      clock,
      repositoryParts(),
    )
    await expect(push('', { bytes })).rejects.toMatchObject({ kind: 'MANIFEST_BLOB_UNKNOWN' })
    const conditional = push('', { bytes, condition: onlyNew })
    await expect(conditional).rejects.toMatchObject({ kind: 'MANIFEST_CHANGED' })
  })
})

test('what changes without end is answered with "try again"', async () => {
  metadata.commit = async () => ({
    applied: false,
    failed: { check: 'absent', in: 'tags', key: [app, v1] },
  })
  await expect(push('x')).rejects.toMatchObject({ code: 'UNAVAILABLE', status: 503 })
})
