/**
 * @module The blob driver's suite: in memory, on mapped files, on files that are read, on a slow store of
 * objects behind HTTP.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { describe } from 'vitest'
import { blobPath, blobPaths } from '../../src/blobs/files/layout.ts'
import { MemoryBlobs } from '../support/memory/memory-blobs.ts'
import { openTemporaryStorage } from '../support/open-store.ts'
import { openSlowRemote } from '../support/remote/slow-remote.ts'
import { blobsSuite } from './blobs-suite.ts'

describe('blobs in memory', () => {
  blobsSuite(async ({ isFull = false } = {}) => {
    const blobs = new MemoryBlobs()
    blobs.isFull = isFull
    return {
      driver: blobs.driver,
      damage: async (digest, bytes) => void blobs.blobs.set(digest, bytes),
      listed: async () => undefined,
      close: async () => undefined,
    }
  })
})

describe.each(['auto', 'file'] as const)('blobs in files, reader %s', (reader) => {
  blobsSuite(async ({ isFull = false } = {}) => {
    const reserveBytes = isFull ? Number.MAX_SAFE_INTEGER : 0
    const { storage, close } = await openTemporaryStorage({ reader, reserveBytes })
    return {
      driver: storage.driver,
      damage: async (digest, bytes) => {
        const path = blobPath(blobPaths(storage.path), digest)
        await mkdir(dirname(path), { recursive: true })
        await writeFile(path, bytes)
      },
      listed: async () => undefined,
      close,
    }
  })
})

describe('blobs behind HTTP, slow', () => {
  blobsSuite(async ({ isFull = false } = {}) => {
    const { server, driver, catchUp } = await openSlowRemote(1, isFull)
    return {
      driver,
      damage: async (digest, bytes) => server.put(`blobs/${digest}`, Buffer.from(bytes)),
      listed: async () => catchUp(),
      close: () => driver.close(),
    }
  })
})
