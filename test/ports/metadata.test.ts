/** @module The metadata port's suite on the twin in memory and on the store on disk. */
import { describe } from 'vitest'
import { MemoryMetadataStore } from '../support/memory/memory-metadata.ts'
import { openTemporaryStorage } from '../support/open-store.ts'
import { metadataSuite } from './metadata-suite.ts'

describe('metadata in memory', () => {
  metadataSuite(async () => ({ store: new MemoryMetadataStore(), close: async () => {} }))
})

describe('metadata on LMDB', () => {
  metadataSuite(async () => {
    const { storage, close } = await openTemporaryStorage()
    return { store: storage.metadata, close }
  })
})
