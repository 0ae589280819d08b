/**
 * @module The last step of every blob push: the rows that make bytes a blob of a repository, in one
 * transaction with the end of its upload session (invariant 1, invariant 3).
 */

import { arrivedRow } from '../blobs/store.ts'
import { linkBlob } from '../metadata/edits.ts'
import type { MetadataStore } from '../metadata/port.ts'
import type { Timestamp } from '../metadata/schema.ts'
import type { Change } from '../metadata/transaction.ts'
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'

export interface ArrivedBlob {
  readonly digest: Digest
  readonly sizeBytes: number
  /** The bytes, where they are to live in the metadata; undefined when the driver has them. */
  readonly inlineBytes: Uint8Array | undefined
}

/**
 * Makes arrived bytes a blob of `repository`; ends `uploadId` in the same transaction. On disk when
 * it resolves. `more` is applied with it. The same blob again is the same rows again: commits are
 * idempotent. The caller holds the digest's lock.
 */
export async function commitBlob(
  metadata: MetadataStore,
  repository: RepositoryName,
  blob: ArrivedBlob,
  uploadId: string | undefined,
  now: Timestamp,
  more: readonly Change[] = [],
): Promise<void> {
  const { digest, sizeBytes, inlineBytes } = blob
  const row = arrivedRow(sizeBytes, inlineBytes, now)
  const changes: Change[] = [
    { change: 'arrive', in: 'blobs', key: digest, row, inlineBytes },
    ...linkBlob(repository, digest, now),
    ...more,
  ]
  if (uploadId !== undefined) changes.push({ change: 'delete', in: 'uploads', key: uploadId })
  await metadata.commit({ checks: [], changes })
}
