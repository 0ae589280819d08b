/**
 * @module Whether what a manifest names is in the repository: blobs linked there, manifests stored
 * there, sizes as said. The checks are returned too, so that the commit holds them.
 */

import type { MetadataReader } from '../metadata/port.ts'
import type { Check } from '../metadata/transaction.ts'
import type { ManifestChild } from '../registry/descriptor.ts'
import { RegistryError } from '../registry/errors.ts'
import type { Manifest } from '../registry/manifest.ts'
import { isImageIndex, isImageManifest } from '../registry/media-type.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Policy } from './policy.ts'

/**
 * Throws MANIFEST_BLOB_UNKNOWN with one entry a missing digest, MANIFEST_INVALID for a size that
 * is not the stored one; else the checks that keep it true until the commit.
 */
export function checkChildren(
  metadata: MetadataReader,
  repository: RepositoryName,
  manifest: Manifest,
  policy: Policy,
): Check[] {
  const checks: Check[] = []
  const missing = new Set<string>()
  for (const child of manifest.children) {
    const found = findChild(metadata, repository, child)
    if (found !== undefined) {
      checks.push(found.check)
      if (policy.checksSizes) checkSize(child, found.sizeBytes)
    } else if (child.isRequired && !mayBeMissing(child, policy)) missing.add(child.digest.digest)
  }
  if (missing.size > 0) throw blobsUnknown([...missing])
  return checks
}

function mayBeMissing(child: ManifestChild, policy: Policy): boolean {
  return child.kind === 'manifest' ? policy.allowsSparseIndex : policy.allowsMissingBlobs
}

/**
 * A child of an index with a manifest's type must be a manifest; any other type may be a manifest
 * or a blob (BuildKit's cache indexes list layers). Config and layers must be blobs.
 */
function findChild(
  metadata: MetadataReader,
  repository: RepositoryName,
  child: ManifestChild,
): { check: Check; sizeBytes: number } | undefined {
  if (child.digest.kind !== 'computed') return undefined
  const key = [repository, child.digest.digest] as const
  if (child.kind === 'manifest') {
    const row = metadata.get('manifests', key)
    if (row !== undefined) {
      return { check: { check: 'present', in: 'manifests', key }, sizeBytes: row.sizeBytes }
    }
    if (isImageManifest(child.mediaType) || isImageIndex(child.mediaType)) return undefined
  }
  const isLinked = metadata.get('links', key) !== undefined
  const blob = isLinked ? metadata.get('blobs', child.digest.digest) : undefined
  if (blob === undefined) return undefined
  return { check: { check: 'present', in: 'links', key }, sizeBytes: blob.sizeBytes }
}

function checkSize(child: ManifestChild, sizeBytes: number): void {
  if (child.sizeBytes === undefined || child.sizeBytes === sizeBytes) return
  throw new RegistryError('MANIFEST_INVALID', {
    message: 'a descriptor says another size than the stored content has',
    detail: { digest: child.digest.digest, size: child.sizeBytes, stored: sizeBytes },
  })
}

/** Entries of one error body; a manifest can miss thousands, a client needs the first few. */
const missingReportedMax = 100

function blobsUnknown(digests: readonly string[]): RegistryError {
  const entry = (digest: string) => ({
    message: `${digest} is not in this repository; push it first`,
    detail: { digest },
  })
  const [first, ...rest] = digests.slice(0, missingReportedMax).map(entry)
  return new RegistryError('MANIFEST_BLOB_UNKNOWN', { ...first!, more: rest })
}
