/**
 * @module Where blobs are below `storage.path`:
 *
 *   blobs/<algorithm>/<first two hex>/<hex>   one file a blob above the inline limit, immutable
 *   uploads/<upload id>                       bytes received so far
 *   trash/<algorithm>/<first two hex>/<hex>   blobs that collection swept, until the window ends
 *   trash/quarantine/<algorithm>-<hex>        blobs that are not what their row said
 *
 * The blob tree is the one that the Go FastRegistry wrote, so its data can be adopted in place. What
 * else is in the folder belongs to other parts; docs/architecture.md draws all of it.
 */
import { join } from 'node:path'
import { algorithmOf, type Digest, encodedOf } from '../../registry/digest.ts'

export interface BlobPaths {
  readonly blobs: string
  readonly uploads: string
  readonly trash: string
}

export function blobPaths(storagePath: string): BlobPaths {
  return {
    blobs: join(storagePath, 'blobs'),
    uploads: join(storagePath, 'uploads'),
    trash: join(storagePath, 'trash'),
  }
}

export function blobPath(paths: BlobPaths, digest: Digest): string {
  const encoded = encodedOf(digest)
  return join(paths.blobs, algorithmOf(digest), encoded.slice(0, 2), encoded)
}

/** Where a swept blob waits for the end of the undelete window. */
export function trashPath(paths: BlobPaths, digest: Digest): string {
  const encoded = encodedOf(digest)
  return join(paths.trash, algorithmOf(digest), encoded.slice(0, 2), encoded)
}

/** Where a blob waits for an operator that is not what its row said. */
export function quarantinePath(paths: BlobPaths, digest: Digest): string {
  return join(paths.trash, 'quarantine', digest.replace(':', '-'))
}

export function uploadPath(paths: BlobPaths, uploadId: string): string {
  return join(paths.uploads, uploadId)
}
