/**
 * @module The last step of every blob push: the rows that make bytes a blob of a repository, in one
 * transaction with the end of its upload session (invariant 1, invariant 3).
 */

import { linkBlob, putBlob } from '../metadata/edits.ts'
import type { MetadataStore } from '../metadata/port.ts'
import type { Timestamp } from '../metadata/schema.ts'
import type { Change, CommitOutcome } from '../metadata/transaction.ts'
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'

export interface ArrivedBlob {
  readonly digest: Digest
  readonly sizeBytes: number
  /** The bytes, where they are to live in the metadata; undefined when the file is in place. */
  readonly inlineBytes: Uint8Array | undefined
}

/**
 * Makes arrived bytes a blob of `repository`; ends `uploadId` in the same transaction. On disk when
 * it resolves. `more` is applied with it. The same blob again is the same rows again: commits are idempotent. The caller holds
 * the digest's lock.
 */
export async function commitBlob(
  metadata: MetadataStore,
  repository: RepositoryName,
  blob: ArrivedBlob,
  uploadId: string | undefined,
  now: Timestamp,
  more: readonly Change[] = [],
): Promise<void> {
  const changes: Change[] = [...linkBlob(repository, blob.digest, now), ...more]
  if (uploadId !== undefined) changes.push({ change: 'delete', in: 'uploads', key: uploadId })
  // A blob that has a file keeps it: pulls may be on their way to it, and it would be left over.
  // The row can only vanish between the look and the commit, never come: then look again.
  let outcome: CommitOutcome
  do {
    const before = metadata.get('blobs', blob.digest)
    const keepsFile = blob.inlineBytes !== undefined && before?.place === 'file'
    const bytes: Change[] = keepsFile
      ? [{ change: 'raise', in: 'blobs', key: blob.digest, at: now }]
      : blobChanges(blob, now)
    outcome = await metadata.commit({ checks: [], changes: [...bytes, ...changes] })
  } while (!outcome.applied)
}

function blobChanges({ digest, sizeBytes, inlineBytes }: ArrivedBlob, now: Timestamp): Change[] {
  const place = inlineBytes === undefined ? 'file' : 'inline'
  return putBlob(digest, { sizeBytes, place, createdAt: now, linkedAt: now }, inlineBytes)
}
