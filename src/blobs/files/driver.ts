/**
 * @module Blobs in files, put together: mapped where that works, else read.
 */
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import type { Clock } from '../../runtime/clock.ts'
import type { Libc } from '../../runtime/libc.ts'
import type { WorkerPool } from '../../runtime/worker-pool.ts'
import type { BlobDriver } from '../driver.ts'
import { blobPath, blobPaths } from './layout.ts'
import { BlobMap } from './mapped-reader.ts'
import { fileSetup, openBin, openInventory } from './open.ts'
import type { Pager } from './pager.ts'
import { BlobFiles } from './plain-reader.ts'
import { DiskRoom } from './room.ts'
import type { ReadSlots } from './slots.ts'
import { FileBlobWriter } from './writer.ts'

export interface FileDriverOptions {
  /** `storage.path`; its folders are there. */
  readonly path: string
  /** For mappings that are kept, or for the buffers of readers. */
  readonly cacheBytes: number
  readonly isFlushed: boolean
  readonly reader: 'auto' | 'map' | 'file'
  readonly libc: Libc | { readonly unavailable: string }
  /** Free bytes below which pushes are refused. */
  readonly reserveBytes: number
  readonly clock: Clock
  readonly pager: Pager
  readonly slots: ReadSlots
  readonly ingest: WorkerPool
}

/** Resolves when it can take pushes. Throws when files are to be mapped and cannot be. */
export async function openFileDriver(options: FileDriverOptions): Promise<BlobDriver> {
  const paths = blobPaths(options.path)
  const reader = makeReader(options)
  const room = new DiskRoom(options.path, options.reserveBytes)
  await room.start()
  const setup = fileSetup(options.path)
  return {
    reader,
    writer: new FileBlobWriter({
      paths,
      workers: options.ingest,
      isFlushed: options.isFlushed,
      room,
      openPath: (path, sizeBytes) => reader.openPath(path, sizeBytes),
    }),
    bin: openBin(setup),
    inventory: openInventory(setup),
    setup,
    probe: () => access(paths.uploads, constants.W_OK),
    close: async () => room.stop(),
  }
}

function makeReader(options: FileDriverOptions): BlobMap | BlobFiles {
  const { path, cacheBytes, clock, pager, slots, reader } = options
  const paths = blobPaths(path)
  const libc = reader === 'file' ? { unavailable: 'storage.reader: file' } : options.libc
  if (!('unavailable' in libc)) return new BlobMap({ paths, pager, slots, libc, clock, cacheBytes })
  if (reader === 'map') {
    throw new Error(`storage.reader is map, but files cannot be mapped: ${libc.unavailable}`)
  }
  return new BlobFiles(
    paths,
    cacheBytes,
    (digest, row) => pager.verify(blobPath(paths, digest), digest, row),
    libc.unavailable,
  )
}
