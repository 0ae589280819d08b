/**
 * @module Rows and bytes of a store as plain data: what a thread needs to open them by itself. The one
 * place besides `open.ts` that says which driver has the bytes.
 */
import type { DriverSetup } from '../blobs/driver.ts'
import { fileSetup } from '../blobs/files/open.ts'
import { metadataFolder } from '../metadata/lmdb/folder.ts'

/** Travels to workers. */
export interface StoreSetup {
  /** Folder of the LMDB environment. */
  readonly metadata: string
  readonly driver: DriverSetup
}

/** The setup of the store at `storage.path`, with its blobs in files there. */
export function storeSetup(storagePath: string): StoreSetup {
  return { metadata: metadataFolder(storagePath), driver: fileSetup(storagePath) }
}
