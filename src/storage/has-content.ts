/**
 * @module Whether a store that is not open yet holds anything: a node that joins a mesh brings nothing with it.
 * @apart of storage it is the one thing that a mesh asks before it is open
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { LmdbEnvironment } from '../metadata/lmdb/environment.ts'
import { metadataFolder } from '../metadata/lmdb/folder.ts'
import { viewFile } from '../metadata/lmdb/snapshot/format.ts'
import type { DatabaseName } from '../metadata/schema.ts'

/** A store without rows here has no image, no blob and no trash. */
const content: readonly DatabaseName[] = ['repositories', 'manifests', 'blobs', 'trash']

/** The caller holds the lock of the store. Opens it for a moment. */
export async function hasContent(storagePath: string): Promise<boolean> {
  const folder = metadataFolder(storagePath)
  if (!existsSync(join(folder, viewFile))) return false
  const environment = new LmdbEnvironment(folder, true)
  try {
    return content.some((name) => environment.count(name) > 0)
  } finally {
    await environment.close()
  }
}
