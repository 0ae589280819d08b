/**
 * @module The store on LMDB against its twin in memory: random transactions and reads must come out
 * the same, also when many travel together.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { MetadataStore } from '../../src/metadata/port.ts'
import { DATABASES, type DatabaseName } from '../../src/metadata/schema.ts'
import type { Change, Check, Transaction } from '../../src/metadata/transaction.ts'
import { MemoryMetadataStore } from '../support/memory/memory-metadata.ts'
import { openTemporaryStorage } from '../support/open-store.ts'
import { sha256 } from '../support/registry-client.ts'

/** Few keys, so that transactions meet; byte order and prefixes of each other are in them. */
const names = fc.constantFrom('a', 'a-b', 'a/b', 'ab', 'b', 'A', '_')
const digests = fc.constantFrom(...['one', 'two', 'three'].map(sha256))

/** How many components the keys of a database have; 0: a plain text. */
const WIDTHS: Partial<Record<DatabaseName, number>> = {
  repositories: 0,
  tags: 2,
  tagsByDigest: 3,
  blobs: 0,
  links: 2,
  parents: 3,
  blobBytes: 0,
}
const databases = fc.constantFrom(...(Object.keys(WIDTHS) as DatabaseName[]))

const component = fc.oneof(names, digests)
const keyOf = (database: DatabaseName): fc.Arbitrary<unknown> => {
  const width = WIDTHS[database]!
  if (width === 0) return component
  return fc.array(component, { minLength: width, maxLength: width })
}

const blobRow = fc.record({
  sizeBytes: fc.nat(),
  place: fc.constantFrom('inline', 'file'),
  createdAt: fc.nat({ max: 5 }),
  linkedAt: fc.nat({ max: 5 }),
})
const rowOf = (database: DatabaseName): fc.Arbitrary<unknown> => {
  if (DATABASES[database].values === 'binary') return fc.uint8Array({ maxLength: 20 })
  if (database === 'blobs') return blobRow
  if (database === 'tagsByDigest' || database === 'parents') return fc.constant(true)
  return fc.record({
    digest: digests,
    pushedAt: fc.nat({ max: 3 }),
    previous: fc.array(fc.record({ digest: digests, replacedAt: fc.nat() }), { maxLength: 2 }),
  })
}

const change = databases.chain((database): fc.Arbitrary<unknown> => {
  const key = keyOf(database)
  const where = { in: fc.constant(database), key }
  return fc.oneof(
    fc.record({ change: fc.constantFrom('put', 'putIfAbsent'), ...where, row: rowOf(database) }),
    fc.record({ change: fc.constant('delete'), ...where }),
    fc.record({
      change: fc.constant('raise'),
      in: fc.constant('blobs'),
      key: digests,
      at: fc.nat({ max: 9 }),
    }),
  )
})

const check = databases
  .filter((database) => DATABASES[database].values === 'msgpack')
  .chain((database): fc.Arbitrary<unknown> => {
    const where = { in: fc.constant(database), key: keyOf(database) }
    const found = fc.record({ check: fc.constantFrom('absent', 'present'), ...where })
    const unchanged = fc.record({ check: fc.constant('unchanged'), ...where, row: rowOf(database) })
    if (WIDTHS[database] === 0) return fc.oneof(found, unchanged)
    const prefix = fc.array(component, { minLength: 1, maxLength: WIDTHS[database]! })
    const none = fc.record({ check: fc.constant('none'), in: fc.constant(database), prefix })
    return fc.oneof(found, unchanged, none)
  })

const transaction = fc.record({
  checks: fc.array(check as fc.Arbitrary<Check>, { maxLength: 1 }),
  changes: fc.array(change as fc.Arbitrary<Change>, { maxLength: 4 }),
})

const read = databases.chain((database) =>
  fc.record({
    database: fc.constant(database),
    prefix: fc.array(component, { maxLength: Math.max(0, WIDTHS[database]! - 1) }),
    last: fc.option(fc.oneof(component, fc.string({ maxLength: 3 })), { nil: undefined }),
    limit: fc.nat({ max: 5 }),
  }),
)

/** Bytes as plain numbers, so that a Buffer equals the array that it was put as. */
const plain = (value: unknown) => (value instanceof Uint8Array ? [...value] : value)

function everything(store: MetadataStore, database: DatabaseName): unknown[] {
  return store.entries(database, [], undefined, 10_000).map(({ key, row }) => [key, plain(row)])
}

test('the store on disk does what its twin in memory does', async () => {
  const { storage, close } = await openTemporaryStorage()
  try {
    const batches = fc.array(fc.array(transaction, { maxLength: 6 }), { maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(batches, fc.array(read, { maxLength: 10 }), async (groups, reads) => {
        const model = new MemoryMetadataStore()
        await clear(storage.metadata)
        for (const group of groups) {
          const [real, expected] = await Promise.all([
            Promise.all(group.map((it) => storage.metadata.commit(it))),
            Promise.all(group.map((it) => model.commit(it))),
          ])
          expect(real.map(({ applied }) => applied)).toEqual(expected.map((it) => it.applied))
        }
        for (const database of Object.keys(WIDTHS) as DatabaseName[]) {
          expect(everything(storage.metadata, database)).toEqual(everything(model, database))
        }
        for (const { database, prefix, last, limit } of reads) {
          const keys = storage.metadata.keys(database, prefix, last, limit)
          expect(keys).toEqual(model.keys(database, prefix, last, limit))
          const [key] = keys
          if (key === undefined) continue
          expect(plain(storage.metadata.get(database, key))).toEqual(
            plain(model.get(database, key)),
          )
        }
      }),
      { numRuns: 150, interruptAfterTimeLimit: 8_000 },
    )
  } finally {
    await close()
  }
})

/** Every run starts from nothing: deletes are cheaper than a new environment. */
async function clear(store: MetadataStore): Promise<void> {
  const changes = (Object.keys(WIDTHS) as DatabaseName[]).flatMap((database) =>
    store
      .keys(database, [], undefined, 10_000)
      .map((key) => ({ change: 'delete', in: database, key }) as Change),
  )
  const outcome: { applied: boolean } = await store.commit({ checks: [], changes } as Transaction)
  expect(outcome.applied).toBe(true)
}
