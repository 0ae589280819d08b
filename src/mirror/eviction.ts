/**
 * @module How much the mirrors' blobs take, and what goes when it is too much: the least recently
 * pulled first, from the high watermark down to the low one. Never what a repository outside the
 * mirror holds, never what is pinned, never what is being filled or read.
 */

import { dropBlob, unlinkBlob } from '../metadata/edits.ts'
import type { MetadataStore } from '../metadata/port.ts'
import type { MirrorBlobRow } from '../metadata/rows/upstream.ts'
import { inTurns } from '../metadata/scan.ts'
import type { BlobRow } from '../metadata/schema.ts'
import type { Change, Check } from '../metadata/transaction.ts'
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { MirrorContext } from './context.ts'
import type { Mirror } from './mirror.ts'
import { PullMark, PullMarks } from './pull-marks.ts'

/** Shares of `max_bytes` at which eviction begins and ends. */
const highShare = 1
const lowShare = 0.9

/** Rows read in one turn of the event loop. */
const rowsPerTurn = 500

/** Candidates of one pass; the next pass finds the next ones. */
const candidatesMax = 5_000

const flushEveryMs = 10_000

/** In a mesh others store and remove, too: what is there is counted anew so often, ms. */
const countEveryMs = 600_000

const holdersMax = 1_000

export interface EvictionOptions {
  readonly context: MirrorContext
  readonly maxBytesInAll: number
  readonly isBusy: (digest: Digest) => boolean
  /** Removes the bytes of a blob that had this row. The caller holds the digest's lock. */
  readonly removeBytes: (digest: Digest, row: BlobRow) => Promise<void>
  /** Removes manifests last used before then; how many. */
  readonly evictManifests: (mirror: Mirror, horizon: number) => Promise<number>
}

interface RemoveOptions {
  /** Pins do not hold it. */
  readonly isForced?: boolean
  /** Out of this repository alone; others of the mirror keep it. */
  readonly only?: RepositoryName
}

interface Usage {
  bytes: number
  blobs: number
}

interface Candidate {
  readonly mirror: Mirror
  readonly digest: Digest
  readonly row: MirrorBlobRow
}

export class MirrorEviction {
  readonly #options: EvictionOptions
  readonly #usage = new Map<Mirror, Usage>()
  readonly #marks = new Map<Mirror, PullMarks>()
  #counting: Promise<void> | undefined
  #evicting: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #isStopped = false
  #countedAt = 0

  constructor(options: EvictionOptions, mirrors: readonly Mirror[]) {
    this.#options = options
    for (const mirror of mirrors) {
      this.#usage.set(mirror, { bytes: 0, blobs: 0 })
      this.#marks.set(
        mirror,
        new PullMarks((bytes) => {
          mirror.stats.hits += 1
          mirror.stats.savedBytes += bytes
        }),
      )
    }
  }

  /** Counts what earlier runs have stored, then begins to write pull times and to watch. */
  async start(): Promise<void> {
    this.#counting = this.#countAll()
    await this.#counting
    if (this.#isStopped) return
    this.#timer = setInterval(() => {
      this.tick().catch((error: unknown) => {
        this.#options.context.logger.warn({ error }, 'mirror housekeeping failed')
      })
    }, flushEveryMs)
    this.#timer.unref()
    this.#evictLater()
  }

  /** Resolves when nothing is read or written any more. */
  async stop(): Promise<void> {
    this.#isStopped = true
    clearInterval(this.#timer)
    await this.#counting?.catch(() => undefined)
    await this.#evicting?.catch(() => undefined)
    await this.#flush().catch(() => undefined)
  }

  /** What a prepared answer tells of its pulls. */
  observe(mirror: Mirror, digest: Digest): PullMark {
    return new PullMark(this.#marks.get(mirror)!, digest)
  }

  usageOf(mirror: Mirror): Readonly<Usage> {
    return this.#usage.get(mirror)!
  }

  /** Caching stops well before pushes do: they keep twice their reserve. */
  mayStore(mirror: Mirror, sizeBytes: number | undefined): boolean {
    const { context, maxBytesInAll } = this.#options
    const { space } = context
    const wanted = sizeBytes ?? 0
    if (space.freeBytes - wanted <= 2 * space.reserveBytes) return false
    if (maxBytesInAll > 0 && wanted > maxBytesInAll) return false
    return mirror.config.maxBytes === undefined || wanted <= mirror.config.maxBytes
  }

  /** A blob was stored that the mirror did not have. */
  added(mirror: Mirror, sizeBytes: number): void {
    this.#count(mirror, sizeBytes, 1)
    this.#evictLater()
  }

  /** Writes pull times and looks after the watermarks. */
  async tick(): Promise<void> {
    await this.#flush()
    const { shared, clock } = this.#options.context
    if (shared !== undefined && clock.monotonic() - this.#countedAt >= countEveryMs) {
      await this.#countAll()
    }
    this.#evictLater()
    await this.#evicting
  }

  /** What is stored or removed here meanwhile counts on both sides. */
  async #countAll(): Promise<void> {
    this.#countedAt = this.#options.context.clock.monotonic()
    for (const mirror of this.#usage.keys()) {
      const before = { ...this.#usage.get(mirror)! }
      let bytes = 0
      let blobs = 0
      for await (const { row } of this.#rows(mirror)) {
        bytes += row.sizeBytes
        blobs += 1
      }
      this.#count(mirror, bytes - before.bytes, blobs - before.blobs)
    }
  }

  #count(mirror: Mirror, bytes: number, blobs: number): void {
    const usage = this.#usage.get(mirror)!
    usage.bytes += bytes
    usage.blobs += blobs
  }

  async #flush(): Promise<void> {
    const { metadata, clock, shared } = this.#options.context
    const now = clock.now()
    const againMs = shared?.pulledAgainMs ?? 0
    for (const [mirror, marks] of this.#marks) {
      const digests = marks.take()
      for (let from = 0; from < digests.length; from += rowsPerTurn) {
        const changes: Change[] = []
        const checks: Check[] = []
        for (const digest of digests.slice(from, from + rowsPerTurn)) {
          const key = [mirror.name, digest] as const
          const row = metadata.get('mirrorBlobs', key)
          if (row === undefined || (againMs > 0 && now - row.pulledAt < againMs)) continue
          changes.push({ change: 'put', in: 'mirrorBlobs', key, row: { ...row, pulledAt: now } })
        }
        if (changes.length > 0) await metadata.commit({ checks, changes })
      }
    }
  }

  async *#rows(mirror: Mirror): AsyncGenerator<{ digest: Digest; row: MirrorBlobRow }> {
    const { metadata } = this.#options.context
    for await (const { key, row } of inTurns(metadata, 'mirrorBlobs', [mirror.name])) {
      if (this.#isStopped) return
      yield { digest: key[1], row }
    }
  }

  #evictLater(): void {
    if (this.#evicting !== undefined || this.#isStopped || !this.#isOver(highShare)) return
    const { shared } = this.#options.context
    const evicting = shared === undefined ? this.#evict() : shared.evict(() => this.#evictCounted())
    this.#evicting = evicting
      .catch((error: unknown) => {
        this.#options.context.logger.warn({ error }, 'eviction failed')
      })
      .finally(() => {
        this.#evicting = undefined
      })
  }

  /** Another node may have made room since. */
  async #evictCounted(): Promise<void> {
    await this.#countAll()
    if (this.#isOver(highShare)) await this.#evict()
  }

  #isOver(share: number): boolean {
    const mirrors = [...this.#usage.keys()]
    return this.#isAllOver(share) || mirrors.some((mirror) => this.#isMirrorOver(mirror, share))
  }

  #isMirrorOver(mirror: Mirror, share: number): boolean {
    const { maxBytes } = mirror.config
    return maxBytes !== undefined && this.usageOf(mirror).bytes > maxBytes * share
  }

  #isAllOver(share: number): boolean {
    const { maxBytesInAll } = this.#options
    if (maxBytesInAll === 0) return false
    let total = 0
    for (const { bytes } of this.#usage.values()) total += bytes
    return total > maxBytesInAll * share
  }

  async #evict(): Promise<void> {
    await this.#flush()
    const isAll = this.#isAllOver(highShare)
    const mirrors = [...this.#usage.keys()].filter(
      (mirror) => isAll || this.#isMirrorOver(mirror, highShare),
    )
    /** When the youngest of what had to go was last pulled, by mirror. */
    const horizons = new Map<Mirror, number>()
    for (const { mirror, digest, row } of await this.#oldest(mirrors)) {
      if (this.#isStopped) return
      const isNeeded = this.#isMirrorOver(mirror, lowShare) || (isAll && this.#isAllOver(lowShare))
      if (isNeeded && (await this.remove(mirror, digest))) horizons.set(mirror, row.pulledAt)
    }
    for (const [mirror, horizon] of horizons) {
      mirror.stats.evictedManifests += await this.#options.evictManifests(mirror, horizon)
    }
  }

  /** The least recently pulled blobs of these mirrors, oldest first. */
  async #oldest(mirrors: readonly Mirror[]): Promise<readonly Candidate[]> {
    let found: Candidate[] = []
    const trim = () => {
      found.sort((a, b) => a.row.pulledAt - b.row.pulledAt)
      found = found.slice(0, candidatesMax)
    }
    for (const mirror of mirrors) {
      for await (const { digest, row } of this.#rows(mirror)) {
        found.push({ mirror, digest, row })
        if (found.length >= 2 * candidatesMax) trim()
      }
    }
    trim()
    return found
  }

  /**
   * Takes a blob out of a mirror: its links there, and the bytes when nobody else holds them. False
   * when it must stay.
   */
  async remove(
    mirror: Mirror,
    digest: Digest,
    { isForced = false, only }: RemoveOptions = {},
  ): Promise<boolean> {
    const { context, isBusy, removeBytes } = this.#options
    const { metadata, digestLock } = context
    return digestLock.run(digest, async () => {
      const row = metadata.get('mirrorBlobs', [mirror.name, digest])
      if (row === undefined || isBusy(digest)) return false
      const blob = metadata.get('blobs', digest)
      const holders = metadata.keys('holders', [digest], undefined, holdersMax)
      if (holders.length === holdersMax) return false
      const all = holders.map(([, holder]) => holder).filter((it) => isBelow(mirror, it))
      const own = only === undefined ? all : all.filter((holder) => holder === only)
      const isOut = own.length === all.length
      if (!isForced && own.some((holder) => mirror.isPinned(holder))) return false
      if (own.some((holder) => this.#isUsedByPush(holder, digest))) return false
      const changes = own.flatMap((holder) => unlinkBlob(holder, digest))
      if (isOut) {
        changes.push({ change: 'delete', in: 'mirrorBlobs', key: [mirror.name, digest] })
      }
      const isLast = own.length === holders.length
      if (isLast) changes.push(...dropBlob(digest))
      // A push or a mount that relies on the blob has touched its row meanwhile: then it stays.
      const checks: Check[] =
        blob === undefined ? [] : [{ check: 'unchanged', in: 'blobs', key: digest, row: blob }]
      const { applied } = await this.#store.commit({ checks, changes })
      if (!applied) return false
      if (!isOut) return true
      this.#count(mirror, -row.sizeBytes, -1)
      mirror.stats.evicted += 1
      mirror.stats.evictedBytes += row.sizeBytes
      if (isLast && blob !== undefined) await removeBytes(digest, blob)
      return true
    })
  }

  get #store(): MetadataStore {
    const { metadata, shared } = this.#options.context
    return shared?.store ?? metadata
  }

  /** A manifest that a client pushed below the mirror counts on the blob. */
  #isUsedByPush(repository: RepositoryName, digest: Digest): boolean {
    const { metadata } = this.#options.context
    if (this.#allowsNoPush(repository)) return false
    const parents = metadata.keys('parents', [digest, repository], undefined, holdersMax)
    return parents.some(([, , manifest]) => {
      const tags = metadata.keys('tagsByDigest', [repository, manifest], undefined, holdersMax)
      return tags.some(
        ([, , tag]) => metadata.get('mirrorTags', [repository, tag])?.digest !== manifest,
      )
    })
  }

  #allowsNoPush(repository: RepositoryName): boolean {
    const mirror = [...this.#usage.keys()].find((it) => isBelow(it, repository))
    return mirror?.config.push === 'deny'
  }
}

function isBelow(mirror: Mirror, repository: string): boolean {
  return repository.startsWith(`${mirror.name}/`)
}
