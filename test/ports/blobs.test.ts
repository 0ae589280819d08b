/** @module The blob ports' suite in memory, on mapped files and on files that are read. */

import { readdir } from 'node:fs/promises'
import { describe } from 'vitest'
import { blobPaths } from '../../src/blobs/files/layout.ts'
import { MemoryBlobs } from '../support/memory/memory-blobs.ts'
import { openTemporaryStorage } from '../support/open-store.ts'
import { blobsSuite } from './blobs-suite.ts'

describe('blobs in memory', () => {
  blobsSuite(async () => {
    const blobs = new MemoryBlobs()
    const uploads = async () => [...blobs.uploads.keys()]
    return { writer: blobs, reader: blobs, uploads, close: async () => {} }
  })
})

describe.each(['auto', 'file'] as const)('blobs in files, reader %s', (reader) => {
  blobsSuite(async () => {
    const { storage, close } = await openTemporaryStorage({ reader })
    const uploads = () => readdir(blobPaths(storage.path).uploads)
    return { writer: storage.writer, reader: storage.blobs, uploads, close }
  })
})
