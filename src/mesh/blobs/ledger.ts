/**
 * @module What is written down of the copies on this node (database `copies`), and which of them were read last:
 * those that were fetched for pulls go when they are too many.
 */
import type { MetadataStore } from '../../metadata/port.ts'
import type { CopyRow } from '../../metadata/rows/mesh.ts'
import { inTurns } from '../../metadata/scan.ts'
import type { BlobRow } from '../../metadata/schema.ts'
import type { Digest } from '../../registry/digest.ts'
import type { Clock } from '../../runtime/clock.ts'

/** How much older than the last pull a row may be, ms. */
const coarseMs = 10 * 60_000

export class CopyLedger {
  readonly #metadata: MetadataStore
  readonly #clock: Clock
  /** Copies of the cache with their bytes, the one first that was not read for longest. */
  readonly #cache = new Map<Digest, number>()
  readonly #pulled = new Set<Digest>()
  #cacheBytes = 0

  constructor(metadata: MetadataStore, clock: Clock) {
    this.#metadata = metadata
    this.#clock = clock
  }

  /** Bytes of the cache. */
  get cacheBytes(): number {
    return this.#cacheBytes
  }

  /** Knows nothing of the cache from now on: the view may be another one. */
  forgetAll(): void {
    this.#cache.clear()
    this.#cacheBytes = 0
  }

  /** Reads what is written down. */
  async load(): Promise<void> {
    const found: { readonly digest: Digest; readonly row: CopyRow }[] = []
    for await (const { key: digest, row } of inTurns(this.#metadata, 'copies', [])) {
      if (row.role === 'cache') found.push({ digest, row })
    }
    found.sort((one, other) => one.row.pulledAt - other.row.pulledAt)
    for (const { digest, row } of found) if (!this.#cache.has(digest)) this.#note(digest, row)
  }

  get(digest: Digest): CopyRow | undefined {
    return this.#metadata.get('copies', digest)
  }

  /** A file was put in place. The caller holds the digest's lock. */
  async put(digest: Digest, bytes: number, role: CopyRow['role']): Promise<void> {
    const now = this.#clock.now()
    await this.#write(digest, { bytes, role, addedAt: now, pulledAt: now })
  }

  /** A file is here of which nothing is written down: one of before this node was one of several. */
  async adopt(digest: Digest, { sizeBytes, createdAt }: BlobRow): Promise<void> {
    const row = {
      bytes: sizeBytes,
      role: 'owner',
      addedAt: createdAt,
      pulledAt: createdAt,
    } as const
    await this.#write(digest, row)
  }

  /** What it is here for is another thing now. */
  async turn(digest: Digest, role: CopyRow['role']): Promise<void> {
    const row = this.get(digest)
    if (row !== undefined && row.role !== role) await this.#write(digest, { ...row, role })
  }

  /** The file has gone. */
  async remove(digest: Digest): Promise<void> {
    this.#forget(digest)
    if (this.get(digest) === undefined) return
    await this.#metadata.commit({
      checks: [],
      changes: [{ change: 'delete', in: 'copies', key: digest }],
    })
  }

  /** Somebody counts on it, before that is written down: it is not to be evicted. */
  hold(digest: Digest): void {
    this.#forget(digest)
  }

  /** It was read. */
  touch(digest: Digest): void {
    const bytes = this.#cache.get(digest)
    if (bytes === undefined) return
    this.#cache.delete(digest)
    this.#cache.set(digest, bytes)
    this.#pulled.add(digest)
  }

  /** The copy of the cache that was not read for longest. */
  get oldest(): Digest | undefined {
    return this.#cache.keys().next().value
  }

  /** Writes down what was read since. To be called now and then. */
  async flush(): Promise<void> {
    const now = this.#clock.now()
    for (const digest of this.#pulled) {
      this.#pulled.delete(digest)
      const row = this.get(digest)
      if (row === undefined || now - row.pulledAt < coarseMs) continue
      await this.#write(digest, { ...row, pulledAt: now })
    }
  }

  async #write(digest: Digest, row: CopyRow): Promise<void> {
    await this.#metadata.commit({
      checks: [],
      changes: [{ change: 'put', in: 'copies', key: digest, row }],
    })
    this.#note(digest, row)
  }

  #note(digest: Digest, { bytes, role }: CopyRow): void {
    this.#forget(digest)
    if (role !== 'cache') return
    this.#cache.set(digest, bytes)
    this.#cacheBytes += bytes
  }

  #forget(digest: Digest): void {
    this.#cacheBytes -= this.#cache.get(digest) ?? 0
    this.#cache.delete(digest)
  }
}
