/**
 * @module What lies in the trash, counted in the background in short turns: a scrape must not walk a
 * million rows. At most a minute old while somebody asks.
 */

import type { MetadataReader } from '../metadata/port.ts'
import { inTurns } from '../metadata/scan.ts'
import type { Clock } from '../runtime/clock.ts'

const countEveryMs = 60_000

export class TrashWatch {
  readonly #metadata: MetadataReader
  readonly #clock: Clock
  #countedAt = Number.NEGATIVE_INFINITY
  #sums = { bytes: 0, blobs: 0, oldestAt: Number.POSITIVE_INFINITY }

  constructor(metadata: MetadataReader, clock: Clock) {
    this.#metadata = metadata
    this.#clock = clock
  }

  get bytes(): number {
    this.#count()
    return this.#sums.bytes
  }

  get blobs(): number {
    this.#count()
    return this.#sums.blobs
  }

  get oldestSeconds(): number {
    this.#count()
    const { oldestAt } = this.#sums
    return oldestAt === Number.POSITIVE_INFINITY
      ? 0
      : Math.max(0, (this.#clock.now() - oldestAt) / 1_000)
  }

  #count(): void {
    if (this.#clock.monotonic() - this.#countedAt < countEveryMs) return
    this.#countedAt = this.#clock.monotonic()
    this.#walk().catch(() => undefined)
  }

  async #walk(): Promise<void> {
    const sums = { bytes: 0, blobs: 0, oldestAt: Number.POSITIVE_INFINITY }
    for await (const { row } of inTurns(this.#metadata, 'trash', [])) {
      sums.bytes += row.sizeBytes
      sums.blobs += 1
      sums.oldestAt = Math.min(sums.oldestAt, row.trashedAt)
    }
    this.#sums = sums
  }
}
