/** @module The real storage in a temporary folder, for suites that need nothing above it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/runtime/clock.ts'
import { openStorage, type Storage, type StorageOptions } from '../../src/storage/open.ts'

export interface TemporaryStorage {
  readonly storage: Storage
  /** Closes it and removes the folder. */
  close(): Promise<void>
}

export async function openTemporaryStorage(
  options: Partial<StorageOptions> = {},
): Promise<TemporaryStorage> {
  const path = await mkdtemp(join(tmpdir(), 'fastregistry-store-'))
  const storage = await openStorage({
    path,
    cacheBytes: 64 * 1024 * 1024,
    durability: 'full',
    reader: 'auto',
    ingestThreads: 1,
    reserveBytes: 0,
    clock: systemClock,
    onQuarantined: () => {},
    ...options,
  })
  return {
    storage,
    close: async () => {
      await storage.close()
      // A thread that read the store may still be letting go of its lock file.
      await rm(path, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
