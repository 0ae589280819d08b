/**
 * @module From the items of a plan to transactions, inside a worker. Each item is compared with what
 * is there now; what changed since the plan was made is skipped and says why. The transaction checks
 * the same once more: between this look and the commit anything may happen.
 *
 * Why this is safe beside pushes: a manifest PUT checks that the blobs it names are linked in its
 * repository and raises their `linkedAt`; a mount checks the source's link and raises it too; a HEAD
 * raises it before its 200. The transaction here holds "unchanged" on the same row and "none" on the
 * edges, and all of them run one after the other in the one writer. So either the client came first,
 * and the row is not what was planned; or the collection did, and the client hears that it must push.
 */

import type { History } from '../distribution/history.ts'
import { holdsNow } from '../distribution/protection.ts'
import { cutoffMs } from '../distribution/reliance.ts'
import { manifestRemoval, tagRemoval } from '../distribution/removal.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import { parseRepositoryName, type RepositoryName } from '../registry/name.ts'
import { unwrap } from '../registry/result.ts'
import { parseTag } from '../registry/tag.ts'
import type { Change, Check, Transaction } from '../storage/transaction.ts'
import type { BlobItem, BytesItem, LinkItem, ManifestItem, PlanItem, TagItem } from './plan-item.ts'
import type { Rows } from './rows.ts'

/** What is to be committed for one item, or why it is skipped. */
export type SweepStep =
  | { readonly kind: 'commit'; readonly transaction: Transaction }
  | { readonly kind: 'skip'; readonly why: string }

export interface SweepOptions {
  readonly rows: Rows
  readonly now: number
  readonly graceMs: number
  /** For the history: `collection`, or who asked. */
  readonly by: string
  readonly history: History
}

export function toStep(item: PlanItem, options: SweepOptions): SweepStep {
  switch (item.kind) {
    case 'tag':
      return tagStep(item, options)
    case 'manifest':
      return manifestStep(item, options)
    case 'link':
      return linkStep(item, options)
    case 'blob':
      return blobStep(item, options)
    case 'manifest-bytes':
      return bytesStep(item, options)
  }
}

const skip = (why: string): SweepStep => ({ kind: 'skip', why })

function tagStep(item: TagItem, options: SweepOptions): SweepStep {
  const { rows, now, by, history } = options
  const repository = unwrap(parseRepositoryName(item.repository))
  const tag = unwrap(parseTag(item.tag))
  const row = rows.get('tags', [repository, tag])
  if (row === undefined) return skip('the tag is gone already')
  if (row.digest !== item.digest) return skip('the tag was moved')
  if (row.pushedAt !== item.at) return skip('the tag was pushed again')
  const pulledAt = Math.max(
    rows.get('pulls', [repository, tag]) ?? 0,
    rows.get('pulls', [repository, row.digest]) ?? 0,
  )
  if (pulledAt > (item.pulledAt ?? 0)) return skip('the tag was pulled')
  const pins = pinChecks(options, repository, row.digest)
  if (pins === undefined) return skip('the digest is pinned')
  const { checks, changes } = tagRemoval(repository, tag, row, { at: now, by, why: item.reason })
  const { digest } = row
  const why = item.reason
  changes.push(history.write({ at: now, action: 'delete-tag', repository, by, tag, digest, why }))
  return commit([...checks, ...pins], changes)
}

function manifestStep(item: ManifestItem, options: SweepOptions): SweepStep {
  const { rows, now, graceMs, by, history } = options
  const repository = unwrap(parseRepositoryName(item.repository))
  const digest = unwrap(parseDigest(item.digest))
  const row = rows.get('manifests', [repository, digest])
  if (row === undefined) return skip('the manifest is gone already')
  const reliedAt = Math.max(row.pushedAt, row.reliedAt ?? 0)
  if (reliedAt !== item.at) return skip('the manifest was pushed, untagged or asked for')
  const pulledAt = rows.get('pulls', [repository, digest]) ?? 0
  const isPulled = pulledAt > (item.pulledAt ?? 0) && pulledAt > now - cutoffMs(graceMs)
  if (isPulled) return skip('the manifest was pulled')
  const pins = pinChecks(options, repository, digest)
  if (pins === undefined) return skip('the digest is pinned')
  const children: string[] = []
  for (const [, child] of rows.keysBelow('children', [digest])) children.push(child)
  const referrer =
    row.subject === undefined ? undefined : rows.get('referrers', [repository, row.subject, digest])
  const { checks, changes } = manifestRemoval(
    { repository, digest, row, tags: [], children, referrer },
    { at: now, by, why: item.reason },
  )
  // Its tags and the indexes that listed it went before it, by their own items.
  checks.push(
    { check: 'none', in: 'tagsByDigest', prefix: [repository, digest] },
    { check: 'none', in: 'parents', prefix: [digest, repository] },
    ...pins,
  )
  const why = item.reason
  changes.push(history.write({ at: now, action: 'delete-manifest', repository, by, digest, why }))
  return commit(checks, changes)
}

function linkStep(item: LinkItem, { rows }: SweepOptions): SweepStep {
  const repository = unwrap(parseRepositoryName(item.repository))
  const digest = unwrap(parseDigest(item.digest))
  const link = rows.get('links', [repository, digest])
  const row = rows.get('blobs', digest)
  if (link === undefined || row === undefined) return skip('the blob is gone already')
  if (Math.max(link.linkedAt, row.linkedAt) !== item.at) return skip('the blob is used again')
  return commit(
    [
      { check: 'unchanged', in: 'links', key: [repository, digest], row: link },
      { check: 'unchanged', in: 'blobs', key: digest, row },
      { check: 'none', in: 'parents', prefix: [digest, repository] },
    ],
    [
      { change: 'delete', in: 'links', key: [repository, digest] },
      { change: 'delete', in: 'holders', key: [digest, repository] },
    ],
  )
}

function blobStep(item: BlobItem, { rows, now }: SweepOptions): SweepStep {
  const digest = unwrap(parseDigest(item.digest))
  const row = rows.get('blobs', digest)
  if (row === undefined) return skip('the blob is gone already')
  if (row.linkedAt !== item.at || row.place !== item.place) return skip('the blob is used again')
  const { sizeBytes, place, createdAt } = row
  return commit(
    [
      { check: 'unchanged', in: 'blobs', key: digest, row },
      { check: 'none', in: 'holders', prefix: [digest] },
      { check: 'none', in: 'parents', prefix: [digest] },
    ],
    [
      { change: 'delete', in: 'blobs', key: digest },
      {
        change: 'put',
        in: 'trash',
        key: digest,
        row: { sizeBytes, place, createdAt, trashedAt: now },
      },
    ],
  )
}

function bytesStep(item: BytesItem, { rows }: SweepOptions): SweepStep {
  const digest = unwrap(parseDigest(item.digest))
  return { kind: 'commit', transaction: manifestBytesRemoval(rows, digest) }
}

/** Removes a manifest's bytes and edges once no repository has it or may want it back. */
export function manifestBytesRemoval(rows: Rows, digest: Digest): Transaction {
  const changes: Change[] = [{ change: 'delete', in: 'manifestBytes', key: digest }]
  for (const key of rows.keysBelow('children', [digest])) {
    changes.push({ change: 'delete', in: 'children', key })
  }
  return { checks: [{ check: 'none', in: 'manifestHolders', prefix: [digest] }], changes }
}

/** Checks that no pin comes meanwhile; undefined when one holds already. */
function pinChecks(
  { rows, now }: SweepOptions,
  repository: RepositoryName,
  digest: Digest,
): Check[] | undefined {
  const pins = [...rows.below('pins', [digest])]
  if (pins.some(({ row }) => holdsNow(row, repository, now))) return undefined
  // Pins that do not hold (any more, or here) are compared, so that a renewed one is noticed.
  if (pins.length === 0) return [{ check: 'none', in: 'pins', prefix: [digest] }]
  return pins.map(({ key, row }): Check => ({ check: 'unchanged', in: 'pins', key, row }))
}

function commit(checks: readonly Check[], changes: readonly Change[]): SweepStep {
  return { kind: 'commit', transaction: { checks, changes } }
}
