/**
 * @module The order of transactions decides every shared row, and nothing else does: a recorded history
 * is applied again elsewhere, in batches of other sizes, at another time, beside other local work, and
 * each shared table is the same byte for byte. A stamp from a clock, or a local row in a shared decision,
 * would make two nodes differ.
 */

import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { blobPaths } from '../../src/blobs/files/layout.ts'
import { DATABASES, type DatabaseName } from '../../src/metadata/schema.ts'
import { isShared, mixesScopes, type Transaction } from '../../src/metadata/transaction.ts'
import type { Storage } from '../../src/storage/open.ts'
import { collectorOn } from '../support/collector.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { MemoryMetadataStore } from '../support/memory/memory-metadata.ts'
import { openTemporaryStorage } from '../support/open-store.ts'
import { asName } from '../support/registry-client.ts'
import { cleanup, life, meanwhile, StepTaker } from './store-steps.ts'

const shared = (Object.keys(DATABASES) as DatabaseName[]).filter(
  (name) => DATABASES[name].scope === 'shared',
)

/** Every row of the shared tables, as text: how a store holds a number in memory is its own matter. */
function rowsOf(store: Pick<MemoryMetadataStore, 'entries'>): ReadonlyMap<string, string> {
  const all = new Map<string, string>()
  for (const name of shared) {
    for (const { key, row } of store.entries(name, [], undefined, 1_000_000)) {
      const value = row instanceof Uint8Array ? Buffer.from(row).toString('hex') : row
      all.set(`${name} ${JSON.stringify(key)}`, JSON.stringify(sorted(value)))
    }
  }
  return all
}

/** The same fields in one order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  return Object.fromEntries(
    fields.sort(([one], [other]) => (one < other ? -1 : 1)).map(([name, it]) => [name, sorted(it)]),
  )
}

/** Everything that a store is asked to commit, in the order in which it is applied. */
function record({ metadata }: Storage): Transaction[] {
  const history: Transaction[] = []
  const commit = metadata.commit.bind(metadata)
  metadata.commit = (it) => {
    history.push(structuredClone(it))
    return commit(it)
  }
  return history
}

/** Local work of another node, between the transactions. */
const elsewhere: Transaction = {
  checks: [],
  changes: [
    { change: 'put', in: 'system', key: 'clockSeenAt', row: 7 },
    { change: 'put', in: 'cursors', key: 'scrub', row: 'elsewhere' },
    {
      change: 'put',
      in: 'uploads',
      key: 'elsewhere',
      row: {
        repository: asName('else/where'),
        algorithm: 'sha256',
        offsetBytes: 0,
        startedAt: 1,
        touchedAt: 1,
        client: 'c',
      },
    },
  ],
}

const hasSweep = ({ changes }: Transaction) => changes.some(({ change }) => change === 'sweep')

const seen = { histories: 0, transactions: 0, sweeps: 0, refused: 0 }

test('a history of transactions makes the same shared rows wherever it is applied', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({ config: cleanup, steps: life, changes: meanwhile }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
      async ({ config, steps, changes }, sizes) => {
        const { storage, close } = await openTemporaryStorage({ durability: 'relaxed' })
        try {
          const history = record(storage)
          const clock = new FakeClock()
          const on = collectorOn(storage, clock, { gc: config.gc, cleanup: config })
          const taker = new StepTaker(
            storage.metadata,
            clock,
            config.gc.graceMs,
            blobPaths(storage.path),
          )
          await taker.take(steps)
          const { plan } = await on.run({ kind: 'plan' } as never)
          await taker.take(changes)
          await on.run({ kind: 'apply', plan: plan! } as never)

          expect(history.filter(mixesScopes)).toEqual([])
          const later = vi.spyOn(Date, 'now').mockReturnValue(4_000_000_000_000)
          const other = new MemoryMetadataStore()
          const order = history.filter(isShared)
          for (let at = 0, turn = 0; at < order.length; turn += 1) {
            const size = sizes[turn % sizes.length]!
            const outcomes = other.applyBatch([...order.slice(at, at + size), elsewhere])
            seen.refused += outcomes.filter(({ applied }) => !applied).length
            at += size
          }
          later.mockRestore()
          expect(Object.fromEntries(rowsOf(other))).toEqual(
            Object.fromEntries(rowsOf(storage.metadata as never)),
          )
          seen.histories += 1
          seen.transactions += order.length
          seen.sweeps += order.filter(hasSweep).length
        } finally {
          await close()
        }
      },
    ),
    { numRuns: 12, interruptAfterTimeLimit: 15_000 },
  )
  console.log(`MEASURED histories applied again: ${JSON.stringify(seen)}`)
  expect(seen.sweeps).toBeGreaterThan(0)
})
