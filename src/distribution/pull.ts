/**
 * @module Pulling: which manifest a reference means, which blob a repository holds (invariant 6). Synchronous
 * reads of the memory map; what is not there throws the specification's code.
 */

import type { MetadataReader } from '../metadata/port.ts'
import type { BlobRow, ManifestRow } from '../metadata/schema.ts'
import type { Digest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Reference } from '../registry/reference.ts'

export interface FoundManifest {
  readonly digest: Digest
  readonly row: ManifestRow
}

/** The manifest that a reference means now. Throws MANIFEST_UNKNOWN. */
export function findManifest(
  metadata: MetadataReader,
  repository: RepositoryName,
  reference: Reference,
): FoundManifest {
  const digest =
    reference.kind === 'digest'
      ? reference.digest
      : metadata.get('tags', [repository, reference.tag])?.digest
  const row = digest === undefined ? undefined : metadata.get('manifests', [repository, digest])
  if (digest === undefined || row === undefined) {
    const detail = reference.kind === 'tag' ? { tag: reference.tag } : { digest: reference.digest }
    throw new RegistryError('MANIFEST_UNKNOWN', { detail: { name: repository, ...detail } })
  }
  return { digest, row }
}

/** A blob's row, if this repository holds it. Throws BLOB_UNKNOWN otherwise. */
export function findBlob(
  metadata: MetadataReader,
  repository: RepositoryName,
  digest: Digest,
): BlobRow {
  const isLinked = metadata.get('links', [repository, digest]) !== undefined
  const row = isLinked ? metadata.get('blobs', digest) : undefined
  if (row === undefined) throw new RegistryError('BLOB_UNKNOWN', { detail: { digest } })
  return row
}
