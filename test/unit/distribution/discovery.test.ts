import { beforeEach, expect, test } from 'vitest'
import { Discovery } from '../../../src/distribution/discovery.ts'
import { listAll, listKeys } from '../../../src/metadata/scan.ts'
import type { Change } from '../../../src/metadata/transaction.ts'
import { pageEntriesMax, scanEntriesPerTurn } from '../../../src/registry/limits.ts'
import { mediaTypes } from '../../../src/registry/media-type.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { asName, sha256 } from '../../support/registry-client.ts'

const app = asName('app')
let metadata: MemoryMetadataStore
let discovery: Discovery

beforeEach(() => {
  metadata = new MemoryMetadataStore()
  discovery = new Discovery(metadata)
})

const nameAt = (index: number) => asName(`r${String(index).padStart(6, '0')}`)

async function putRepositories(count: number): Promise<void> {
  const changes = Array.from({ length: count }, (_, index): Change => {
    return { change: 'put', in: 'repositories', key: nameAt(index), row: { createdAt: 1 } }
  })
  await metadata.commit({ checks: [], changes })
}

test('a page of the catalog has at most 10,000 names and says where the next begins', async () => {
  await putRepositories(pageEntriesMax + 2)
  for (const count of [undefined, pageEntriesMax, pageEntriesMax * 2]) {
    const page = await discovery.listRepositories({ count, last: undefined })
    expect(page.entries).toHaveLength(pageEntriesMax)
    expect(page.next).toBe(nameAt(pageEntriesMax - 1))
    const rest = await discovery.listRepositories({ count, last: page.next })
    expect(rest.entries).toEqual([nameAt(pageEntriesMax), nameAt(pageEntriesMax + 1)])
    expect(rest.next).toBeUndefined()
  }
})

test.each([
  scanEntriesPerTurn - 1,
  scanEntriesPerTurn,
  scanEntriesPerTurn + 1,
  2 * scanEntriesPerTurn,
])('a scan of %i keys finds each once', async (count) => {
  await putRepositories(count)
  expect(await listAll(metadata, 'repositories', [])).toHaveLength(count)
  for (const limit of [count - 1, count, count + 1]) {
    const keys = await listKeys(metadata, 'repositories', [], undefined, limit)
    expect(keys).toHaveLength(Math.min(limit, count))
    expect(new Set(keys).size).toBe(keys.length)
  }
})

test('a long scan lets others run in between', async () => {
  await putRepositories(5 * scanEntriesPerTurn)
  let turns = 0
  const count = () => {
    turns += 1
    turn = setImmediate(count)
  }
  let turn = setImmediate(count)
  await listAll(metadata, 'repositories', [])
  clearImmediate(turn)
  expect(turns).toBeGreaterThanOrEqual(4)
})

test('referrers that a filter leaves out do not end a page early', async () => {
  const subject = sha256('subject')
  const changes = Array.from({ length: 200 }, (_, index): Change => {
    const digest = sha256(`referrer ${index}`)
    const artifactType = index % 50 === 0 ? 'wanted/x' : 'other/x'
    const row = { mediaType: mediaTypes.ociManifest, digest, size: 1, artifactType }
    return { change: 'put', in: 'referrers', key: [app, subject, digest], row }
  })
  await metadata.commit({ checks: [], changes })
  const found: string[] = []
  let last: string | undefined
  do {
    const page = await discovery.listReferrers(app, subject, ['wanted/x'], { count: 3, last })
    found.push(...page.entries.map((entry) => entry.digest))
    last = page.next
  } while (last !== undefined)
  expect(new Set(found).size).toBe(4)
  expect(found).toHaveLength(4)
})
