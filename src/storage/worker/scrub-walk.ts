/**
 * @module Reading everything that is stored and comparing it with its digest, at a bounded rate.
 * Runs in the scrub worker; what it finds is told, never mended here: the main thread decides with
 * fresh rows under the blob's lock.
 */

import { type BlobInventory, hasObject } from '../../blobs/driver.ts'
import type { LmdbEnvironment } from '../../metadata/lmdb/environment.ts'
import { prefixRange } from '../../metadata/lmdb/environment.ts'
import type { BlobRow, Databases } from '../../metadata/schema.ts'
import { algorithmOf, type Digest } from '../../registry/digest.ts'
import { digestOf } from '../../registry/hasher.ts'
import { systemClock } from '../../runtime/clock.ts'
import { Rate } from '../../runtime/token-bucket.ts'
import type { Finding } from './messages.ts'

/** Rows read in one go; between two of them other threads' commits become visible. */
const rowsPerRead = 256

export interface ScrubObserver {
  onFinding(finding: Finding): void
  /** Everything up to `cursor` was read; `bytes` since the last call. */
  onProgress(cursor: string, bytes: number): void
  readonly isStopped: () => boolean
  /** A file that is not here is nothing to tell of. */
  readonly isShared?: boolean
}

/** Longest wait before it is asked again whether the walk shall go on, ms. */
const waitMsMax = 100

/** Spends bytes at a rate: waits when more was read than the time allows. */
export class Pace {
  readonly #rate: Rate
  readonly #isStopped: () => boolean

  /** 0 bytes per second means as fast as possible. */
  constructor(bytesPerSecond: number, isStopped: () => boolean) {
    this.#rate = new Rate(bytesPerSecond, systemClock, 'nothing')
    this.#isStopped = isStopped
  }

  async spend(bytes: number): Promise<void> {
    let waitMs = this.#rate.take(bytes)
    while (waitMs > 0 && !this.#isStopped()) {
      const restMs = Math.min(waitMs, waitMsMax)
      await new Promise((resolve) => setTimeout(resolve, restMs))
      waitMs = this.#rate.take(0)
    }
  }
}

/** Reads every blob, then every manifest. `after` is a cursor of an earlier, interrupted walk. */
export async function walkEverything(
  metadata: LmdbEnvironment,
  inventory: BlobInventory,
  pace: Pace,
  after: string | undefined,
  observer: ScrubObserver,
): Promise<void> {
  const [phase, last] = parseCursor(after)
  if (phase === 'blob') await walkBlobs(metadata, inventory, pace, last, observer)
  await walkManifests(metadata, pace, phase === 'manifest' ? last : undefined, observer)
}

function parseCursor(cursor: string | undefined): ['blob' | 'manifest', string | undefined] {
  if (cursor === undefined) return ['blob', undefined]
  const split = cursor.indexOf(' ')
  return [cursor.slice(0, split) === 'manifest' ? 'manifest' : 'blob', cursor.slice(split + 1)]
}

async function walkBlobs(
  metadata: LmdbEnvironment,
  inventory: BlobInventory,
  pace: Pace,
  after: string | undefined,
  observer: ScrubObserver,
): Promise<void> {
  let last = after
  while (!observer.isStopped()) {
    metadata.refresh()
    const range = { ...prefixRange([], last), limit: rowsPerRead }
    const rows = [...metadata.entries('blobs', range)]
    if (rows.length === 0) return
    for (const { key, value } of rows) {
      const digest = key as Databases['blobs']['key']
      const row = value as BlobRow
      if (observer.isStopped()) return
      const reason = await checkBlob(metadata, inventory, pace, digest, row)
      const isElsewhere = reason === missing && observer.isShared === true
      if (reason !== undefined && !isElsewhere)
        observer.onFinding({ kind: 'blob', digest, row, reason })
      last = digest
      observer.onProgress(`blob ${digest}`, row.sizeBytes)
    }
  }
}

const missing = 'its file is missing'

/** Why the bytes are not the blob's; undefined when they are. */
async function checkBlob(
  metadata: LmdbEnvironment,
  inventory: BlobInventory,
  pace: Pace,
  digest: Digest,
  row: BlobRow,
): Promise<string | undefined> {
  if (!hasObject(row)) {
    const bytes = metadata.getBytes('blobBytes', digest)
    if (bytes === undefined) return 'its bytes are missing'
    const actual = digestOf(algorithmOf(digest), bytes)
    await pace.spend(row.sizeBytes)
    return actual === digest ? undefined : `its bytes have the digest ${actual}`
  }
  try {
    const checked = await inventory.check(digest, {
      onRead: async (bytes) => {
        await pace.spend(bytes)
        return true
      },
    })
    if (checked.is === 'missing') return missing
    if (checked.is === 'stopped') return undefined
    const { actual, readBytes } = checked
    if (readBytes !== row.sizeBytes) return `its file has ${readBytes} of ${row.sizeBytes} bytes`
    return actual === digest ? undefined : `its file has the digest ${actual}`
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EIO') return 'its file cannot be read (EIO)'
    throw error
  }
}

async function walkManifests(
  metadata: LmdbEnvironment,
  pace: Pace,
  after: string | undefined,
  observer: ScrubObserver,
): Promise<void> {
  let last = after
  while (!observer.isStopped()) {
    metadata.refresh()
    const range = { ...prefixRange([], last), limit: rowsPerRead }
    const keys = [...metadata.keys('manifestBytes', range)] as Databases['manifestBytes']['key'][]
    if (keys.length === 0) return
    for (const digest of keys) {
      const bytes = metadata.getBytes('manifestBytes', digest)
      // Gone since the keys were read: nothing is promised any more.
      if (bytes === undefined) continue
      const sizeBytes = bytes.byteLength
      const actual = digestOf(algorithmOf(digest), bytes)
      if (actual !== digest) {
        const reason = `its bytes have the digest ${actual}`
        observer.onFinding({ kind: 'manifest', digest, row: undefined, reason })
      }
      await pace.spend(sizeBytes)
      last = digest
      observer.onProgress(`manifest ${digest}`, sizeBytes)
    }
  }
}
