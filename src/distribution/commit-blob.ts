/**
 * @module The last step of every blob push: the rows that make bytes a blob of a repository, in one
 * transaction with the end of its upload session (invariant 1, invariant 3).
 */

import type { ArrivedFile, Placed, SharedBlobs } from '../blobs/shared-port.ts'
import { arrivedRow } from '../blobs/store.ts'
import { linkBlob } from '../metadata/edits.ts'
import type { MetadataStore } from '../metadata/port.ts'
import type { Timestamp } from '../metadata/schema.ts'
import type { Change, Check, CommitOutcome } from '../metadata/transaction.ts'
import type { Digest } from '../registry/digest.ts'
import { isDigestMismatch } from '../registry/digest-mismatch.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { KeyedLock } from '../runtime/keyed-lock.ts'

export interface ArrivedBlob {
  readonly digest: Digest
  readonly sizeBytes: number
  /** The bytes, where they are to live in the metadata; undefined when the driver has them. */
  readonly inlineBytes: Uint8Array | undefined
}

/** An upload that has all of its bytes. */
export interface WholeUpload {
  /** Whether a worker holds a file for it. */
  readonly isAdopted: boolean
  /** See `UploadSession`. */
  verified(digest: Digest): Promise<ArrivedFile | undefined>
  seal(digest: Digest): Promise<ArrivedBlob>
}

export interface UploadStore {
  readonly digestLock: KeyedLock
  readonly shared?: SharedBlobs | undefined
  readonly onFileReplaced: (digest: Digest) => void
  readonly onFileInDoubt: (digest: Digest) => void
}

/** The bytes in place, then the rows, which `commit` writes. Throws DIGEST_INVALID on other bytes. */
export async function storeUpload(
  { shared, digestLock, onFileReplaced, onFileInDoubt }: UploadStore,
  upload: WholeUpload,
  digest: Digest,
  commit: (blob: ArrivedBlob, placed?: Placed) => Promise<CommitOutcome>,
): Promise<void> {
  if (shared !== undefined) {
    const file = await upload.verified(digest)
    const blob = file && { digest, sizeBytes: file.sizeBytes, inlineBytes: undefined }
    if (file !== undefined) return shared.store(file, (placed) => commit(blob!, placed))
  }
  // From the rename to the row nobody else moves this blob's file.
  await digestLock.run(digest, async () => {
    try {
      const blob = await upload.seal(digest)
      await commit(blob)
      if (blob.inlineBytes === undefined) onFileReplaced(digest)
    } catch (error) {
      if (upload.isAdopted && !isDigestMismatch(error)) onFileInDoubt(digest)
      throw error
    }
  })
}

/** What is written with the blob's own row. */
export interface BlobRows {
  readonly repository: RepositoryName
  /** Ends in the same transaction. */
  readonly uploadId?: string | undefined
  readonly now: Timestamp
  readonly more?: readonly Change[]
  /** Where several nodes keep files; without it every file is here, and the caller holds the digest's lock. */
  readonly placed?: Placed | undefined
}

/**
 * Makes arrived bytes a blob of `repository`. On disk when it resolves. `more` is applied with it. The same blob
 * again is the same rows again: commits are idempotent. Never refused without `placed`.
 */
export async function commitBlob(
  metadata: MetadataStore,
  { digest, sizeBytes, inlineBytes }: ArrivedBlob,
  { repository, uploadId, now, more = [], placed }: BlobRows,
): Promise<CommitOutcome> {
  const checks: Check[] = []
  let own: Change
  if (placed === 'there') own = { change: 'raise', in: 'blobs', key: digest, at: now }
  else {
    const row = arrivedRow(sizeBytes, inlineBytes, now, placed?.group)
    own = { change: 'arrive', in: 'blobs', key: digest, row, inlineBytes }
    if (placed !== undefined) checks.push(placed.held)
  }
  const changes: Change[] = [own, ...linkBlob(repository, digest, now), ...more]
  if (uploadId !== undefined) changes.push({ change: 'delete', in: 'uploads', key: uploadId })
  const outcome = await metadata.commit({ checks, changes })
  return outcome
}
