/**
 * @module The metadata on a real LMDB store with its real writer thread: reads from the memory map,
 * pages of keys, commits that are on disk when they resolve.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Change } from '../../src/metadata/transaction.ts'
import { type Digest, parseDigest } from '../../src/registry/digest.ts'
import { parseRepositoryName, type RepositoryName } from '../../src/registry/name.ts'
import { unwrap } from '../../src/registry/result.ts'
import { parseTag, type Tag } from '../../src/registry/tag.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { openStorage, type Storage } from '../../src/storage/open.ts'
import { fakeDigest, type MicroSuite } from './suite.ts'

const count = 10_000
const bytes4k = Buffer.alloc(4096, 7)
const repository: RepositoryName = unwrap(parseRepositoryName('bench/metadata'))

const digestAt = (index: number): Digest => unwrap(parseDigest(fakeDigest(index)))
const tagAt = (index: number): Tag => unwrap(parseTag(`v${index}`))

export async function metadataSuite(dataFolder: string): Promise<MicroSuite> {
  const folder = mkdtempSync(join(dataFolder, 'fastregistry-bench-'))
  const storage = await openStorage({
    path: folder,
    cacheBytes: 64 * 1024 * 1024,
    durability: 'full',
    reader: 'auto',
    ingestThreads: 1,
    clock: systemClock,
    reserveBytes: 0,
    onQuarantined: () => undefined,
  })
  const { metadata } = storage
  await fill(storage)
  const digests = Array.from({ length: count }, (_, index) => digestAt(index))
  const tags = Array.from({ length: count }, (_, index) => tagAt(index))
  let at = 0
  const next = () => {
    at = (at + 1) % count
    return at
  }
  return {
    tasks: [
      { name: 'read a tag', run: () => metadata.get('tags', [repository, tags[next()]!]) },
      { name: 'read a link', run: () => metadata.get('links', [repository, digests[next()]!]) },
      { name: 'read a blob row', run: () => metadata.get('blobs', digests[next()]!) },
      {
        name: 'read 4 KiB inline',
        run: () => metadata.getBytes('blobBytes', digests[next() % 1000]!),
        bytes: bytes4k.length,
      },
      {
        name: 'page of 1,000 tags',
        run: () => metadata.keys('tags', [repository], tags[next() % 5000], 1000),
      },
      { name: 'commit of one blob, durable', run: () => commitBlobs(storage, next(), 1) },
      { name: '64 commits together, durable', run: () => commitBlobs(storage, next(), 64) },
    ],
    close: async () => {
      await storage.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function blobChanges(digest: Digest): Change[] {
  const now = Date.now()
  return [
    {
      change: 'put',
      in: 'blobs',
      key: digest,
      row: { sizeBytes: bytes4k.length, place: 'inline', createdAt: now, linkedAt: now },
    },
    { change: 'put', in: 'links', key: [repository, digest], row: { linkedAt: now } },
    { change: 'put', in: 'holders', key: [digest, repository], row: true },
  ]
}

function commitBlobs({ metadata }: Storage, from: number, howMany: number): Promise<unknown> {
  const commits = Array.from({ length: howMany }, (_, index) =>
    metadata.commit({ checks: [], changes: blobChanges(digestAt(from + index)) }),
  )
  return Promise.all(commits)
}

async function fill({ metadata }: Storage): Promise<void> {
  const now = Date.now()
  for (let from = 0; from < count; from += 1000) {
    const changes = Array.from({ length: 1000 }, (_, index): Change[] => {
      const digest = digestAt(from + index)
      const tag = tagAt(from + index)
      const tagRow = { digest, pushedAt: now, previous: [] }
      const inline: Change[] =
        from === 0 ? [{ change: 'put', in: 'blobBytes', key: digest, row: bytes4k }] : []
      return [
        ...blobChanges(digest),
        ...inline,
        { change: 'put', in: 'tags', key: [repository, tag], row: tagRow },
      ]
    })
    await metadata.commit({ checks: [], changes: changes.flat() })
  }
}
