/**
 * @module The index of candidates, kept by the writer: every blob that might not be in use somewhere
 * has an entry, whatever the order of things.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Change } from '../../../src/metadata/transaction.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { asName } from '../../support/registry-client.ts'
import { digestOfText } from '../../support/store.ts'

const blobs = ['one', 'two'].map(digestOfText)
const manifests = ['m1', 'm2'].map(digestOfText)
const repositories = ['a/a', 'b/b'].map(asName)

const row = { sizeBytes: 1, place: 'inline', createdAt: 1, linkedAt: 1 } as const

/** The changes that pushes, mounts, deletes, adoption after a crash and undelete are made of. */
const arbitraryChanges: fc.Arbitrary<Change[]> = fc
  .record({
    what: fc.constantFrom('adopt', 'link', 'unlink', 'use', 'unuse', 'delete'),
    digest: fc.constantFrom(...blobs),
    repository: fc.constantFrom(...repositories),
    manifest: fc.constantFrom(...manifests),
  })
  .map(({ what, digest, repository, manifest }): Change[] => {
    const edge = [digest, repository, manifest] as const
    switch (what) {
      case 'adopt':
        return [{ change: 'put', in: 'blobs', key: digest, row }]
      case 'link':
        return [
          { change: 'put', in: 'blobs', key: digest, row },
          { change: 'put', in: 'links', key: [repository, digest], row: { linkedAt: 1 } },
          { change: 'put', in: 'holders', key: [digest, repository], row: true },
        ]
      case 'unlink':
        return [
          { change: 'delete', in: 'links', key: [repository, digest] },
          { change: 'delete', in: 'holders', key: [digest, repository] },
        ]
      case 'use':
        return [{ change: 'put', in: 'parents', key: edge, row: true }]
      case 'unuse':
        return [{ change: 'delete', in: 'parents', key: edge }]
      default:
        return [{ change: 'delete', in: 'blobs', key: digest }]
    }
  })

test('a blob without an entry is held, and used wherever it is held', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(arbitraryChanges, { maxLength: 30 }), async (transactions) => {
      const store = new MemoryMetadataStore()
      for (const changes of transactions) await store.commit({ checks: [], changes })
      for (const digest of blobs) {
        if (store.get('blobs', digest) === undefined) continue
        if (store.get('candidates', digest) !== undefined) continue
        const holders = store.keys('holders', [digest], undefined, 10)
        expect(holders.length).toBeGreaterThan(0)
        for (const [, repository] of holders) {
          expect(store.keys('parents', [digest, repository], undefined, 1).length).toBe(1)
        }
      }
    }),
  )
})

test('a blob that a manifest takes right after its push is no candidate until it loses it', async () => {
  const store = new MemoryMetadataStore()
  const [digest, [repository]] = [blobs[0]!, repositories]
  const changes: Change[] = [
    { change: 'put', in: 'blobs', key: digest, row },
    { change: 'put', in: 'links', key: [repository!, digest], row: { linkedAt: 1 } },
    { change: 'put', in: 'holders', key: [digest, repository!], row: true },
  ]
  await store.commit({ checks: [], changes })
  expect(store.get('candidates', digest)).toBeDefined()
  const key = [digest, repository!, manifests[0]!] as const
  await store.commit({ checks: [], changes: [{ change: 'put', in: 'parents', key, row: true }] })
  expect(store.get('candidates', digest)).toBeUndefined()
  await store.commit({ checks: [], changes: [{ change: 'delete', in: 'parents', key }] })
  expect(store.get('candidates', digest)).toBeDefined()
})

test('an entry that is newer than the look stays', async () => {
  const store = new MemoryMetadataStore()
  const digest = blobs[0]!
  const adopt: Change = { change: 'put', in: 'blobs', key: digest, row }
  await store.commit({ checks: [], changes: [adopt] })
  const stamp = store.get('candidates', digest)!
  const link = [repositories[0]!, digest] as const
  const changes: Change[] = [{ change: 'put', in: 'links', key: link, row: { linkedAt: 1 } }]
  await store.commit({ checks: [], changes })
  const candidates = [{ kind: 'in-use', digest, stamp }] as const
  const batch = { at: 1, by: 'x', pulledAfter: 0, isFinal: false, candidates }
  await store.commit({ checks: [], changes: [{ change: 'sweep', in: 'candidates', batch }] })
  expect(store.get('candidates', digest)).toBeDefined()
})
