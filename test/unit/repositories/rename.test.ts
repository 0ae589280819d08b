/**
 * @module A rename beside pushes: what is pushed to either name while tags are taken along is neither lost
 * nor left with half of its rows.
 */
import { beforeEach, expect, test } from 'vitest'
import { ManifestPushes } from '../../../src/distribution/push-manifest.ts'
import { TagLocks } from '../../../src/distribution/tag-locks.ts'
import type { Transaction } from '../../../src/metadata/transaction.ts'
import { mediaTypes } from '../../../src/registry/media-type.ts'
import type { RepositoryName } from '../../../src/registry/name.ts'
import { Copies } from '../../../src/repositories/copy.ts'
import { Repositories } from '../../../src/repositories/delete-rename.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { asName, asTag, imageIndex, sha256 } from '../../support/registry-client.ts'
import { repositoryParts } from '../../support/repository-parts.ts'

const [from, to] = [asName('old/app'), asName('new/app')]
const v1 = asTag('v1')
const policy = {
  allowsSparseIndex: true,
  allowsMissingBlobs: false,
  checksSizes: true,
  allowsDelete: true,
}

/** Calls `before` once, right before the tag of the new name is written. */
class Interrupted extends MemoryMetadataStore {
  before: (() => Promise<unknown>) | undefined

  override async commit(it: Transaction) {
    const movesTag = it.changes.some(
      (change) => change.change === 'put' && change.in === 'tags' && change.key[0] === to,
    )
    const { before } = this
    if (movesTag && before !== undefined) {
      this.before = undefined
      await before()
    }
    return super.commit(it)
  }
}

let metadata: Interrupted
let clock: FakeClock
let pushes: ManifestPushes
let repositories: Repositories

beforeEach(() => {
  metadata = new Interrupted()
  clock = new FakeClock()
  const parts = { ...repositoryParts(), tagLocks: new TagLocks() }
  pushes = new ManifestPushes(metadata, policy, clock, parts)
  const copies = new Copies(metadata, pushes, clock, parts.gate)
  repositories = new Repositories({ ...parts, metadata, clock, copies })
})

function bytesOf(label: string): Uint8Array {
  return Buffer.from(JSON.stringify(imageIndex([], { annotations: { label } })))
}

function push(repository: RepositoryName, label: string, tag = v1) {
  clock.advance(1_000)
  return pushes.push({
    repository,
    reference: { kind: 'tag', tag },
    tags: [],
    expected: undefined,
    contentType: mediaTypes.ociIndex,
    bytes: bytesOf(label),
    condition: { ifMatch: undefined, ifNoneMatch: undefined },
    by: 'tester',
  })
}

function rename() {
  const progress = { signal: new AbortController().signal, update: () => undefined }
  return repositories.rename(from, to, 'tester', progress)
}

/** What the tag points at, by its row and by the index of digests. */
function pointers() {
  const row = metadata.get('tags', [to, v1])
  const index = metadata.keys('tagsByDigest', [to], undefined, 10)
  return { row: row?.digest, index: index.map(([, digest]) => digest) }
}

test('takes a tag along with what it pointed at before', async () => {
  await push(from, 'one')
  await push(from, 'two')
  expect(await rename()).toBe(true)
  expect(pointers()).toEqual({ row: sha256(bytesOf('two')), index: [sha256(bytesOf('two'))] })
  const [before] = metadata.get('tags', [to, v1])!.previous
  expect(before?.digest).toBe(sha256(bytesOf('one')))
  expect(metadata.get('repositories', from)).toBeUndefined()
})

test('a push to the new name in between stays, and leaves nothing of the other tag', async () => {
  await push(from, 'one')
  metadata.before = () => push(to, 'newer')
  expect(await rename()).toBe(true)
  expect(pointers()).toEqual({ row: sha256(bytesOf('newer')), index: [sha256(bytesOf('newer'))] })
})

test('a push to the old name in between comes along with its manifest', async () => {
  await push(from, 'one')
  metadata.before = () => push(from, 'late')
  expect(await rename()).toBe(true)
  expect(pointers()).toEqual({ row: sha256(bytesOf('late')), index: [sha256(bytesOf('late'))] })
  expect(metadata.get('manifests', [to, sha256(bytesOf('late'))])).toBeDefined()
})

test('a push to the old name behind the last tag comes along too', async () => {
  await push(from, 'one')
  const v2 = asTag('v2')
  // The list of tags was read by then.
  metadata.before = () => push(from, 'behind', v2)
  expect(await rename()).toBe(true)
  expect(metadata.get('tags', [to, v2])?.digest).toBe(sha256(bytesOf('behind')))
  expect(metadata.get('manifests', [to, sha256(bytesOf('behind'))])).toBeDefined()
})
