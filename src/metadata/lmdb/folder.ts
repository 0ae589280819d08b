/**
 * @module Where the LMDB environment is.
 * @apart the folder is asked for by threads and tools that open no store
 */
import { join } from 'node:path'

/** `meta/` below `storage.path`: the LMDB environment, alone. */
export function metadataFolder(storagePath: string): string {
  return join(storagePath, 'meta')
}
