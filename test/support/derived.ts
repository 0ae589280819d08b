/**
 * @module What the writer derives from the rows of a store, worked out anew from those rows: for tests
 * that change a store in every way and then compare.
 */
import { expect } from 'vitest'
import { orderedKey } from '../../src/metadata/ordered-key.ts'
import type { MetadataReader } from '../../src/metadata/port.ts'
import type { DatabaseName, Databases } from '../../src/metadata/schema.ts'

/** Small stores only: all rows are read at once. */
const rowsMax = 50_000

const asText = (...parts: unknown[]) => parts.flat().join(' ')

/** Fails where an index or a sum is not what the rows say. Last pushes and pulls may be later. */
export function expectDerived(metadata: MetadataReader): void {
  const all = <N extends DatabaseName>(database: N) =>
    metadata.entries(database, [], undefined, rowsMax)
  const keysOf = (database: DatabaseName) => all(database).map(({ key }) => asText(key))

  const tags = new Map<string, number>()
  const tagged = new Map<string, Set<string>>()
  const pushed: string[] = []
  for (const { key, row } of all('tags')) {
    const [repository, tag] = key
    add(tags, repository, 1)
    const digests = tagged.get(repository) ?? new Set()
    tagged.set(repository, digests.add(row.digest))
    pushed.push(asText(repository, 'pushed', orderedKey(row.pushedAt, tag)))
  }
  const placed = [...tagged].flatMap(([repository, digests]) =>
    [...digests].flatMap((digest) => {
      const key = [repository, digest] as unknown as Databases['manifests']['key']
      const pulledAt = metadata.get('pulls', key) ?? 0
      return [
        asText(repository, 'pulled', orderedKey(pulledAt, digest)),
        asText(
          repository,
          'size',
          orderedKey(metadata.get('manifests', key)?.imageBytes ?? 0, digest),
        ),
      ]
    }),
  )
  expect(new Set(keysOf('tagOrder'))).toEqual(new Set([...pushed, ...placed]))

  const manifests = new Map<string, number>()
  for (const { key } of all('manifests')) add(manifests, key[0], 1)
  const { logical, exclusive, linked } = bytesHeld(metadata, all('holders'))
  const order: string[] = []
  const names = new Set([...tags.keys(), ...manifests.keys(), ...logical.keys()])
  for (const { key } of all('repositories')) names.add(key)
  const sums = all('repositorySums')
  expect(new Set(sums.map(({ key }) => asText(key)))).toEqual(names)
  for (const { key, row } of sums) {
    const isListed = metadata.get('repositories', key) !== undefined
    expect(row, key).toMatchObject({
      tags: tags.get(key) ?? 0,
      manifests: manifests.get(key) ?? 0,
      logicalBytes: logical.get(key) ?? 0,
      exclusiveBytes: exclusive.get(key) ?? 0,
      isListed,
    })
    if (!isListed) continue
    order.push(asText('pushed', orderedKey(row.pushedAt, key)))
    order.push(asText('pulled', orderedKey(row.pulledAt, key)))
    order.push(asText('size', orderedKey(row.logicalBytes, key)))
  }
  expect(new Set(keysOf('repositoryOrder'))).toEqual(new Set(order))

  const sum = (name: string) => metadata.get('totals', name) ?? 0
  const total = (rows: readonly { row: { readonly sizeBytes: number } }[]) =>
    rows.reduce((bytes, { row }) => bytes + row.sizeBytes, 0)
  expect(sum('blobBytes')).toBe(total(all('blobs')))
  expect(sum('trashBytes')).toBe(total(all('trash')))
  expect(sum('linkedBytes')).toBe(linked)

  const events = all('events')
  const named = events.filter(({ row }) => row.repository !== '')
  expect(new Set(keysOf('eventsByRepository'))).toEqual(
    new Set(named.map(({ key, row }) => asText(row.repository, key))),
  )
}

function bytesHeld(
  metadata: MetadataReader,
  holders: readonly { readonly key: Databases['holders']['key'] }[],
) {
  const logical = new Map<string, number>()
  const exclusive = new Map<string, number>()
  let linked = 0
  const counts = new Map<string, number>()
  for (const { key } of holders) add(counts, key[0], 1)
  for (const { key } of holders) {
    const [digest, repository] = key
    const sizeBytes = metadata.get('blobs', digest)?.sizeBytes ?? 0
    if (sizeBytes === 0) continue
    linked += sizeBytes
    add(logical, repository, sizeBytes)
    if (counts.get(digest) === 1) add(exclusive, repository, sizeBytes)
  }
  return { logical, exclusive, linked }
}

function add(map: Map<string, number>, key: string, by: number): void {
  map.set(key, (map.get(key) ?? 0) + by)
}
