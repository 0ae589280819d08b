/**
 * @module The transactions of a simulated mesh that keeps files: the product's own edits, in one repository.
 */
import { createHash } from 'node:crypto'
import { addManifest, linkBlob, removeManifest } from '../../../src/metadata/edits.ts'
import type { BlobRow, LinkRow, ManifestRow, TrashRow } from '../../../src/metadata/schema.ts'
import type { Candidate } from '../../../src/metadata/sweep.ts'
import type { HeldCopy, Transaction } from '../../../src/metadata/transaction.ts'
import { type Digest, parseDigest } from '../../../src/registry/digest.ts'
import { parseRepositoryName } from '../../../src/registry/name.ts'
import { unwrap } from '../../../src/registry/result.ts'
import type { SimDisk } from './sim-disk.ts'

const repository = unwrap(parseRepositoryName('team/app'))
const removal = { by: 'c', why: 'asked for' }

export function digestOfText(text: string): Digest {
  return unwrap(parseDigest(`sha256:${createHash('sha256').update(text).digest('hex')}`))
}

/** A blob whose copies are held becomes a blob of the repository. */
export function arriveBlob(
  digest: Digest,
  copies: readonly HeldCopy[],
  atLeast: number,
  now: number,
): Transaction {
  const row = { sizeBytes: 1, place: 'file', createdAt: now, linkedAt: now } as const
  return {
    checks: [{ check: 'held', in: 'sessions', copies, atLeast }],
    changes: [
      { change: 'arrive', in: 'blobs', key: digest, row, inlineBytes: undefined },
      { change: 'delete', in: 'trash', key: digest },
      ...linkBlob(repository, digest, now),
    ],
  }
}

/** A blob that is here is relied on, and linked. */
export function touchBlob(digest: Digest, now: number): Transaction {
  return {
    checks: [{ check: 'present', in: 'blobs', key: digest }],
    changes: [
      { change: 'raise', in: 'blobs', key: digest, at: now },
      ...linkBlob(repository, digest, now),
    ],
  }
}

export function pushManifest(
  digest: Digest,
  children: readonly Digest[],
  now: number,
): Transaction {
  const row = { mediaType: 'm', sizeBytes: 1, pushedAt: now }
  const layers = children.map((child) => ({ digest: child, kind: 'layer' as const }))
  const bytes = Buffer.from(digest)
  const it = { repository, digest, bytes, row, children: layers, referrer: undefined }
  return {
    checks: children.map((child) => ({
      check: 'present',
      in: 'links',
      key: [repository, child],
    })),
    changes: [
      ...children.map((key) => ({ change: 'raise', in: 'blobs', key, at: now }) as const),
      ...addManifest(it, now),
    ],
  }
}

/** As it is in this view. */
export function deleteManifest(disk: SimDisk, digest: Digest, at: number): Transaction {
  const row = disk.get('manifests', [repository, digest]) as ManifestRow
  const keys = disk.firstKeys('children', [digest]) as (readonly string[])[]
  const children = keys.map(([, child]) => child!)
  const it = { repository, digest, row, tags: [], children, referrer: undefined, absent: [] }
  return removeManifest(it, { ...removal, at })
}

export function manifestsIn(disk: SimDisk): Digest[] {
  const keys = disk.firstKeys('manifests', [repository]) as (readonly [string, Digest])[]
  return keys.map(([, digest]) => digest)
}

/** What a collection without grace finds in a view: blobs of no manifest, and the trash. */
export function sweepOf(disk: SimDisk, at: number): Transaction {
  const candidates: Candidate[] = []
  for (const digest of disk.firstKeys('blobs', []) as Digest[]) {
    const row = disk.get('blobs', digest) as BlobRow
    const link = disk.get('links', [repository, digest]) as LinkRow | undefined
    if (disk.firstKeys('parents', [digest], 1).length > 0) continue
    if (link !== undefined) {
      const linkedAt = Math.max(link.linkedAt, row.linkedAt)
      candidates.push({ kind: 'link', repository, digest, at: linkedAt })
    }
    candidates.push({ kind: 'blob', digest, at: row.linkedAt, bytes: 1 })
  }
  for (const digest of disk.firstKeys('trash', []) as Digest[]) {
    const { trashedAt } = disk.get('trash', digest) as TrashRow
    candidates.push({ kind: 'purged-blob', digest, at: trashedAt, hasObject: true, bytes: 1 })
  }
  const batch = { at, by: 'gc', pulledAfter: at, isFinal: true, candidates }
  return { checks: [], changes: [{ change: 'sweep', in: 'candidates', batch }] }
}
