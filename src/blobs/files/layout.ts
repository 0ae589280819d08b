/**
 * @module The layout below `storage.path`, drawn once:
 *
 *   blobs/<algorithm>/<first two hex>/<hex>   one file a blob above the inline limit, immutable
 *   uploads/<upload id>                       bytes received so far
 *   meta/                                     the LMDB environment
 *   trash/<algorithm>/<first two hex>/<hex>   blobs that collection swept, until the window ends
 *   plans/<plan id>                           what a collection would remove or did, line by line
 *   auth/                                     signing keys, access tokens, revoked logins: for their owner
 *   lock                                      held by the one process that has the store open
 *
 * The blob tree is the one that the Go FastRegistry wrote, so its data can be adopted in place.
 */
import { join } from 'node:path'
import { algorithmOf, type Digest, encodedOf } from '../../registry/digest.ts'

export interface StoragePaths {
  readonly root: string
  readonly blobs: string
  readonly uploads: string
  readonly metadata: string
  readonly trash: string
  readonly plans: string
}

export function storagePaths(root: string): StoragePaths {
  return {
    root,
    blobs: join(root, 'blobs'),
    uploads: join(root, 'uploads'),
    metadata: join(root, 'meta'),
    trash: join(root, 'trash'),
    plans: join(root, 'plans'),
  }
}

export function blobPath(paths: StoragePaths, digest: Digest): string {
  const encoded = encodedOf(digest)
  return join(paths.blobs, algorithmOf(digest), encoded.slice(0, 2), encoded)
}

/** Where a swept blob waits for the end of the undelete window. */
export function trashPath(paths: StoragePaths, digest: Digest): string {
  const encoded = encodedOf(digest)
  return join(paths.trash, algorithmOf(digest), encoded.slice(0, 2), encoded)
}

/** Only there with access control. */
export function authFolder({ root }: StoragePaths): string {
  return join(root, 'auth')
}

export function planPath(paths: StoragePaths, planId: string): string {
  return join(paths.plans, planId)
}

export function uploadPath(paths: StoragePaths, uploadId: string): string {
  return join(paths.uploads, uploadId)
}
