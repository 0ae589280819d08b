/**
 * @module A small blob as a whole, wherever it lives: image configs that are looked into. Not for
 * serving: that is `BlobReader`'s business.
 */

import type { MetadataReader } from '../metadata/port.ts'
import type { Digest } from '../registry/digest.ts'
import { disk } from '../runtime/disk.ts'
import { type BlobPaths, blobPath } from './files/layout.ts'

/** A copy of the bytes; undefined when the blob is larger, or not to be had. */
export async function readStoredBlob(
  { metadata, paths }: { readonly metadata: MetadataReader; readonly paths: BlobPaths },
  digest: Digest,
  bytesMax: number,
): Promise<Uint8Array | undefined> {
  const row = metadata.get('blobs', digest)
  if (row === undefined || row.sizeBytes > bytesMax) return undefined
  if (row.place === 'inline') {
    await metadata.pageIn('blobBytes', digest)
    return metadata.getBytes('blobBytes', digest)?.slice()
  }
  try {
    const file = await disk.open(blobPath(paths, digest), 'r')
    try {
      const bytes = new Uint8Array(row.sizeBytes)
      let done = 0
      while (done < bytes.byteLength) {
        const count = await disk.read(file, bytes.subarray(done), done)
        if (count === 0) return undefined
        done += count
      }
      return bytes
    } finally {
      await file.close()
    }
  } catch {
    return undefined
  }
}
