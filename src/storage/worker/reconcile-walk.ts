/**
 * @module Compares the driver's objects with rows, inside a worker. It only finds: pushes go on meanwhile, so what
 * it says may be untrue a moment later, and the main thread looks again under the locks before it
 * changes anything (`reconcile-decisions.ts`).
 *
 * Objects are listed range by range in the order of digests, and rows sort the same way: a range in which
 * something changed is compared with the same range of rows.
 */

import { type BlobInventory, hasObject, type ObjectRange } from '../../blobs/driver.ts'
import type { LmdbEnvironment } from '../../metadata/lmdb/environment.ts'
import { inPages } from '../../metadata/lmdb/pages.ts'
import type { BlobRow, UploadRow } from '../../metadata/schema.ts'
import { type Digest, parseDigest } from '../../registry/digest.ts'
import { toWorkerFailure } from '../../runtime/worker-failure.ts'
import type { ReconcileFinding } from './messages.ts'

/** Bytes hashed between two rests. */
const hashedAtOnceBytes = 8 * 1024 * 1024

export interface WalkOptions {
  readonly inventory: BlobInventory
  readonly rows: LmdbEnvironment
  readonly checksUploads: boolean
  readonly blobsSince: number | undefined
  readonly checksRows: boolean
  readonly isPaced: boolean
  readonly isStopped: () => boolean
}

/** Everything that looks wrong. Ends early when it is stopped. */
export async function* walkStore(options: WalkOptions): AsyncGenerator<ReconcileFinding> {
  const { inventory, blobsSince } = options
  if (options.checksUploads) yield* walkUploads(options)
  if (blobsSince === undefined) return
  for await (const range of inventory.list({ changedSince: blobsSince })) {
    if (options.isStopped()) return
    yield* compareRange(options, blobsSince, range)
  }
}

async function* walkUploads({ inventory, rows }: WalkOptions): AsyncGenerator<ReconcileFinding> {
  const sizes = new Map<string, number>()
  for await (const { id, sizeBytes } of inventory.listUploads()) sizes.set(id, sizeBytes)
  // Read after the list: a session's row is there before its bytes.
  rows.refresh()
  for (const uploadId of sizes.keys()) {
    const row = rows.get('uploads', uploadId) as UploadRow | undefined
    if (row === undefined || row.bytes !== undefined) yield { kind: 'stray-upload', uploadId }
  }
  for (const { key: uploadId, row } of inPages(rows, 'uploads')) {
    const isShort = row.bytes === undefined && row.offsetBytes > (sizes.get(uploadId) ?? 0)
    if (isShort) yield { kind: 'lost-upload', uploadId }
  }
}

async function* compareRange(
  options: WalkOptions,
  since: number,
  { start, end, digests, foreign }: ObjectRange,
): AsyncGenerator<ReconcileFinding> {
  const { inventory, rows } = options
  if (digests === undefined && !options.checksRows) return
  const unclaimed = digests === undefined ? undefined : new Set<string>(digests)
  // Read after the list: an object that is listed has its row, or its push is under way.
  rows.refresh()
  for (const { key: digest, row } of inPages(rows, 'blobs', { start, end })) {
    if (!hasObject(row)) continue
    const isListed = unclaimed?.delete(digest)
    if (isListed === true && row.createdAt < since) continue
    if (unclaimed === undefined && row.createdAt < since) continue
    const parsed = parseDigest(digest)
    if (!parsed.ok) continue
    const found = await inventory.stat(parsed.value)
    if (found?.sizeBytes !== row.sizeBytes) yield { kind: 'missing', digest: parsed.value }
  }
  for (const path of foreign) yield { kind: 'foreign', path }
  for (const digest of digests ?? []) {
    if (!unclaimed!.has(digest)) continue
    if (options.isStopped()) return
    const finding = await judgeObject(options, digest)
    if (finding !== undefined) yield finding
  }
}

/** What an object is that no row claimed when they were read. */
async function judgeObject(
  options: WalkOptions,
  digest: Digest,
): Promise<ReconcileFinding | undefined> {
  const { inventory, rows } = options
  rows.refresh()
  const row = rows.get('blobs', digest) as BlobRow | undefined
  if (row !== undefined) return hasObject(row) ? undefined : { kind: 'double', digest }
  try {
    // Durable before there is a row: a crash may have come before either was flushed.
    const checked = await inventory.check(digest, { settles: true, onRead: pacedBy(options) })
    if (checked.is === 'missing' || checked.is === 'stopped') return undefined
    const { object, is } = checked
    return { kind: 'orphan', digest, object, isGenuine: is === 'genuine' }
  } catch (error) {
    return { kind: 'unreadable', path: inventory.locate(digest), failure: toWorkerFailure(error) }
  }
}

/** Rests after each few bytes for as long as they took; false when the walk is stopped. */
function pacedBy({ isPaced, isStopped }: WalkOptions): (bytes: number) => Promise<boolean> {
  let restedAt = performance.now()
  let sinceRest = 0
  return async (bytes) => {
    sinceRest += bytes
    if (isPaced && sinceRest >= hashedAtOnceBytes) {
      sinceRest = 0
      await rest(performance.now() - restedAt)
      restedAt = performance.now()
    }
    return !isStopped()
  }
}

function rest(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
