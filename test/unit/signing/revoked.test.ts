/** @module What is followed of what is revoked, and what it costs those who push. */
import { beforeEach, expect, test } from 'vitest'
import type { Change } from '../../../src/metadata/transaction.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import { Revoked } from '../../../src/signing/revoked.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { asDigest, asName } from '../../support/registry-client.ts'

const repository = asName('team/app')
const digestAt = (count: number) => asDigest(`sha256:${String(count).padStart(64, '0')}`)

let metadata: MemoryMetadataStore
let reads: number
let cut: Digest[]
beforeEach(() => {
  metadata = new MemoryMetadataStore()
  reads = 0
  cut = []
})

async function commit(changes: Change[]): Promise<void> {
  expect((await metadata.commit({ checks: [], changes })).applied).toBe(true)
}

/** What a manifest refers to, as the push of it writes it down. */
const edges = (from: Digest, to: readonly Digest[]) =>
  to.map((child): Change => {
    return { change: 'put', in: 'children', key: [from, child], row: { kind: 'manifest' } }
  })

const row = (digest: Digest): Change => {
  const manifest = { mediaType: 'application/x', sizeBytes: 2, pushedAt: 1, imageBytes: 2 }
  return { change: 'put', in: 'manifests', key: [repository, digest], row: manifest }
}

const revocation = (digest: Digest, reason = ''): Change => {
  return { change: 'put', in: 'revoked', key: digest, row: { at: 1, by: 'admin', reason } }
}

function follow(): Revoked {
  const { entries } = metadata
  metadata.entries = ((...args: Parameters<typeof entries>) => {
    const found = entries.apply(metadata, args)
    reads += 1 + found.length
    return found
  }) as typeof entries
  const revoked = new Revoked(metadata, [], (root) => cut.push(root))
  metadata.onApplied(revoked.effects)
  return revoked
}

test('a push of what is revoked reads only what it lists, and only once', async () => {
  const [index, other] = [digestAt(1), digestAt(2)]
  const members = Array.from({ length: 500 }, (_, count) => digestAt(1000 + count))
  await commit(members.slice(0, 400).map((it) => revocation(it)))
  await commit([...edges(other, members), revocation(other), revocation(index)])
  const revoked = follow()
  let told = 0
  revoked.onChange(() => {
    told += 1
  })
  reads = 0
  const image = digestAt(5)
  await commit([...edges(index, [image]), row(index)])
  expect(revoked.of(image)?.digest).toBe(index)
  expect(told).toBe(1)
  expect(reads).toBeLessThan(10)
  reads = 0
  for (let time = 0; time < 3; time += 1) await commit([row(index), row(other)])
  expect(reads).toBe(0)
  await commit([{ change: 'delete', in: 'manifests', key: [repository, index] }])
  expect(reads).toBe(0)
  expect(told).toBe(1)
})

test('one more revocation reads nothing of the others, and taking one back lets go what it listed', async () => {
  const lists = Array.from({ length: 50 }, (_, count) => digestAt(count))
  for (const list of lists) {
    await commit([...edges(list, [digestAt(1000), digestAt(2000)]), revocation(list)])
  }
  const revoked = follow()
  const index = digestAt(60)
  await commit(edges(index, [digestAt(3000)]))
  reads = 0
  await commit([revocation(index, 'backdoor')])
  expect(revoked.of(digestAt(3000))).toMatchObject({ digest: index, reason: 'backdoor' })
  expect(reads).toBeLessThan(10)
  await commit([{ change: 'delete', in: 'revoked', key: index }])
  expect(revoked.of(digestAt(3000))).toBeUndefined()
  expect(revoked.of(index)).toBeUndefined()
  expect(revoked.of(digestAt(2000))?.digest).toBe(lists[0])
  for (const list of lists) await commit([{ change: 'delete', in: 'revoked', key: list }])
  expect(revoked.isEmpty).toBe(true)
})

test('a shorter way to an index takes along what was too deep before', async () => {
  const way = [1, 2, 3, 4, 5, 6].map(digestAt)
  for (const [count, it] of way.slice(0, -1).entries()) await commit(edges(it, [way[count + 1]!]))
  const revoked = follow()
  await commit([revocation(way[0]!)])
  expect(revoked.of(way[4]!)).toBeDefined()
  expect(revoked.of(way[5]!)).toBeUndefined()
  const index = digestAt(9)
  await commit([revocation(index)])
  await commit([...edges(index, [way[4]!]), row(index)])
  expect(revoked.of(way[5]!)?.digest).toBe(index)
  expect(revoked.of(way[4]!)?.digest).toBe(way[0])
})

test('what lists more than is followed is told once, and is revoked itself', async () => {
  const [index, image] = [digestAt(1), digestAt(2)]
  const many = Array.from({ length: 20_001 }, (_, count) => digestAt(10_000 + count))
  const { entries } = metadata
  metadata.entries = ((...args: Parameters<typeof entries>) => {
    const [database, [from] = [], , limit] = args as unknown as [
      string,
      Digest[]?,
      unknown?,
      number?,
    ]
    if (database !== 'children') return entries.apply(metadata, args)
    if (from !== index && from !== image) return []
    const kind = from === index ? 'manifest' : 'blob'
    return many.slice(0, limit).map((child) => ({ key: [from, child], row: { kind } }))
  }) as never
  const revoked = new Revoked(metadata, [], (root) => cut.push(root))
  metadata.onApplied(revoked.effects)
  await commit([revocation(index)])
  await commit([revocation(image)])
  expect(cut).toEqual([index, image])
  expect(revoked.of(many[19_999]!)).toBeDefined()
  expect(revoked.of(many[20_000]!)).toBeUndefined()
  revoked.renew()
  expect(cut).toEqual([index, image])
  expect(revoked.of(index)).toBeDefined()
})

test('all of them together read a bounded number of rows, layers among them', async () => {
  const row = { key: [digestAt(0), digestAt(1)], row: { kind: 'blob' } }
  metadata.entries = ((database: string, _below: unknown, _after: unknown, limit: number) => {
    const found =
      database === 'revoked' ? [] : Array.from({ length: Math.min(limit, 20_000) }, () => row)
    reads += found.length
    return found
  }) as never
  const images = Array.from({ length: 14 }, (_, count) => digestAt(count))
  const revoked = new Revoked(metadata, images, (root) => cut.push(root))
  expect(reads).toBeLessThan(251_000)
  expect(cut).toEqual(images.slice(12))
  for (const image of images) expect(revoked.of(image)).toBeDefined()
})
