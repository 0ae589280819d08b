/**
 * @module What opens blob files in any thread: bin and inventory, from plain data.
 */
import type { BlobBin, BlobInventory, DriverSetup } from '../driver.ts'
import { FileBin } from './bin.ts'
import { FileInventory } from './inventory.ts'
import { blobPaths } from './layout.ts'

/** The setup of the blobs below `storagePath`. */
export function fileSetup(storagePath: string): DriverSetup {
  // Threads run what is compiled; from `src/` (under the test runner) that is in `dist/`.
  const isCompiled = import.meta.url.includes('/dist/src/')
  const own = isCompiled ? './open.js' : '../../../dist/src/blobs/files/open.js'
  return { module: new URL(own, import.meta.url).href, at: storagePath }
}

/** The folders of the blobs below `storagePath`. */
export function fileFolders(storagePath: string): readonly string[] {
  return Object.values(blobPaths(storagePath))
}

export function openBin({ at }: DriverSetup): BlobBin {
  return new FileBin(blobPaths(at))
}

export function openInventory({ at }: DriverSetup): BlobInventory {
  return new FileInventory(blobPaths(at))
}
