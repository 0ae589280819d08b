/**
 * @module Settles the steps of a sweep or a purge: commits what the worker proposed, moves the files
 * that lost their row, keeps the pace and counts. The files follow their rows under the lock that
 * pushes of the same blob take, and only while no row counts on them: whoever holds that lock and
 * sees no row sees a file that nobody will claim.
 */
import { dirname } from 'node:path'
import type { Digest } from '../registry/digest.ts'
import type { Clock } from '../runtime/clock.ts'
import { disk } from '../runtime/disk.ts'
import type { KeyedLock } from '../runtime/keyed-lock.ts'
import { blobPath, type StoragePaths, trashPath } from '../storage/paths.ts'
import type { MetadataStore } from '../storage/ports.ts'
import type { TrashRow } from '../storage/schema-cleanup.ts'
import type { Counts, Step } from './worker-messages.ts'

export interface SettleOptions {
  readonly metadata: MetadataStore
  readonly paths: StoragePaths
  readonly digestLock: KeyedLock
  /** Drops what is cached of a blob's file. */
  readonly forget: (digest: Digest) => void
  readonly clock: Clock
  /** Bytes freed per second at most; 0 is no limit. */
  readonly bytesPerSecond: number
  readonly maxPauseMs: number
  /** Asked again for every item: a repository may have become a mirror since. */
  readonly isMirrored: (repository: string) => boolean
  /** Told each item that was skipped. */
  readonly onSkipped: (item: Extract<Step, { kind: 'skip' }>['item'], why: string) => void
}

const stepsMin = 8
const stepsMax = 512

export class Settler {
  readonly #options: SettleOptions
  readonly counts: Counts = {}
  /** Bytes that rows gave up, and those whose room on the disk is free by now. */
  bytes = 0
  freedBytes = 0
  #stepsAtOnce = 16

  constructor(options: SettleOptions) {
    this.#options = options
  }

  /** Resolves when all of them are on disk, to how many the next batch should have. */
  async settle(steps: readonly Step[]): Promise<number> {
    const { clock, maxPauseMs } = this.#options
    const startedAt = clock.monotonic()
    const freedBefore = this.bytes + this.freedBytes
    // In order and in one turn: what an item rests on goes in the same batch, before it.
    const working = steps.map((step) => this.#settleOne(step))
    const tookMs = clock.monotonic() - startedAt
    await Promise.all(working)
    this.#adapt(tookMs, maxPauseMs)
    await this.#keepPace(startedAt, this.bytes + this.freedBytes - freedBefore)
    return this.#stepsAtOnce
  }

  /** The batch travels twice: to here and on to the writer; both copies cost about the same. */
  #adapt(tookMs: number, maxPauseMs: number): void {
    const budgetMs = maxPauseMs / 8
    if (tookMs > budgetMs) this.#stepsAtOnce = Math.max(stepsMin, this.#stepsAtOnce >> 1)
    else if (tookMs < budgetMs / 2) {
      this.#stepsAtOnce = Math.min(stepsMax, this.#stepsAtOnce + stepsMin)
    }
  }

  async #keepPace(startedAt: number, bytes: number): Promise<void> {
    const { bytesPerSecond, clock } = this.#options
    if (bytesPerSecond === 0 || bytes === 0) return
    const waitMs = (bytes / bytesPerSecond) * 1_000 - (clock.monotonic() - startedAt)
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, Math.min(waitMs, 60_000)))
  }

  async #settleOne(step: Step): Promise<void> {
    switch (step.kind) {
      case 'skip':
        this.#skip(step.item, step.why)
        return
      case 'purge-file':
        await this.#purgeFile(step.digest, step.row)
        return
      case 'commit':
        await this.#commit(step)
    }
  }

  async #commit(step: Extract<Step, { kind: 'commit' }>): Promise<void> {
    const { metadata, isMirrored } = this.#options
    const { item, what, bytes, transactions, trashes } = step
    if (item !== undefined && 'repository' in item && isMirrored(item.repository)) {
      this.#skip(item, 'the repository belongs to a mirror')
      return
    }
    const [first] = await Promise.all(transactions.map((it) => metadata.commit(it)))
    if (!first!.applied) {
      if (item !== undefined) this.#skip(item, 'it was used again')
      return
    }
    this.#count(what)
    this.bytes += bytes
    if (trashes !== undefined) await this.#moveToTrash(trashes)
  }

  /** A file that cannot be moved stays where it is, without a row; the purge looks there too. */
  async #moveToTrash(digest: Digest): Promise<void> {
    const { paths, metadata, digestLock, forget } = this.#options
    await digestLock.run(digest, async () => {
      if (metadata.get('blobs', digest) !== undefined) return
      if (metadata.get('trash', digest) === undefined) return
      forget(digest)
      const target = trashPath(paths, digest)
      try {
        await disk.makeFolder(dirname(target))
        await disk.rename(blobPath(paths, digest), target)
      } catch {
        this.#count('notMoved')
      }
    })
  }

  async #purgeFile(digest: Digest, row: TrashRow): Promise<void> {
    const { paths, metadata, digestLock, forget } = this.#options
    await digestLock.run(digest, async () => {
      // Restored, or swept anew since the worker looked.
      if (metadata.get('trash', digest)?.trashedAt !== row.trashedAt) return
      await disk.unlink(trashPath(paths, digest))
      // Pushed again meanwhile: then the file in place is that push's.
      const isBack = metadata.get('blobs', digest) !== undefined
      if (!isBack) {
        forget(digest)
        await disk.unlink(blobPath(paths, digest))
      }
      const { applied } = await metadata.commit({
        checks: [{ check: 'unchanged', in: 'trash', key: digest, row }],
        changes: [{ change: 'delete', in: 'trash', key: digest }],
      })
      if (!applied) return
      this.#count('purged-blob')
      this.freedBytes += row.sizeBytes
    })
  }

  #skip(item: Extract<Step, { kind: 'skip' }>['item'], why: string): void {
    this.#count('skipped')
    this.#options.onSkipped(item, why)
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }
}
