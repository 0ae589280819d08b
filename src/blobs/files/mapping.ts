/**
 * @module One file in the address space, and what is known of it to be in memory. Who maps it, lends it
 * and takes it away is `blobs/files/mapped-reader.ts`.
 */
import { windowBytesMax } from '../../registry/limits.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Extent } from './address-space.ts'
import type { Pager } from './pager.ts'
import type { OpenedFile } from './worker/messages.ts'

/** Unit of residency, bytes: what a fault of the kernel's own brings in. */
export const granuleBytes = 128 * 1024

/** What is fetched ahead of a reader at most, and first of a file that is read whole, bytes. */
export const aheadBytesMax = 4 * windowBytesMax

/** What the disk is asked for beyond that at most, bytes. */
const startedBytesMax = 8 * windowBytesMax

/** How long what was populated counts as resident, ms. */
const residentMs = 10_000

/** How long a file that was looked at counts as unchanged, ms. */
const checkedMs = 1000
/** How long what is written to a growing file counts as resident from its opening on, ms. */
const justWrittenMs = 60_000

/** A trip to the pager: granules from `first` to `last`. */
interface Fetch {
  readonly first: number
  readonly last: number
  readonly done: Promise<void>
}

export class Mapping {
  readonly extent: Extent
  readonly sizeBytes: number
  readonly #pager: Pager
  readonly #clock: Clock
  /** When each granule was last known to be resident, on the monotonic clock. */
  readonly #residentAt: Float64Array
  /** Few: one or two a reader. */
  readonly #fetches = new Set<Fetch>()
  /** Undefined while the file grows: then it is written to on purpose. */
  readonly #file: OpenedFile | undefined
  #checkedAt: number
  #checking: Promise<void> | undefined
  /** Nothing is at its addresses any more, or another file. */
  isGone = false
  readers = 0
  /** Whether the table holds it; one that it dropped goes with its last reader. */
  isShared = true

  constructor(
    file: OpenedFile | undefined,
    extent: Extent,
    sizeBytes: number,
    pager: Pager,
    clock: Clock,
  ) {
    this.#file = file
    this.extent = extent
    this.sizeBytes = sizeBytes
    this.#pager = pager
    this.#clock = clock
    this.#residentAt = new Float64Array(Math.ceil(sizeBytes / granuleBytes)).fill(
      Number.NEGATIVE_INFINITY,
    )
    this.#checkedAt = clock.monotonic()
  }

  /**
   * `length` bytes from `offset` on. The view reaches over other files: what is not of this one, or of one
   * that is gone, is refused with a RangeError.
   */
  bytes(offset: number, length: number): Uint8Array {
    const isInside = offset >= 0 && length >= 0 && offset + length <= this.sizeBytes
    if (!isInside || this.isGone) throw new RangeError('not in the mapped file')
    return new Uint8Array(this.extent.view, this.extent.offset + offset, length)
  }

  /** Undefined while the file was looked at lately; else the look, which rejects when it was changed. */
  check(): Promise<void> | undefined {
    const file = this.#file
    if (file === undefined || this.#clock.monotonic() - this.#checkedAt < checkedMs)
      return undefined
    this.#checking ??= this.#pager
      .check(file)
      .then(() => {
        this.#checkedAt = this.#clock.monotonic()
      })
      .finally(() => {
        this.#checking = undefined
      })
    return this.#checking
  }

  /** Settles when nothing is brought into it any more; undefined when nothing is. Never rejects. */
  get settled(): Promise<unknown> | undefined {
    if (this.#fetches.size === 0) return undefined
    return Promise.allSettled([...this.#fetches].map(({ done }) => done))
  }

  /** The first bytes were populated when the file was mapped. */
  assumeResident(firstBytes: number): void {
    this.#residentAt.fill(this.#checkedAt, 0, Math.ceil(firstBytes / granuleBytes))
  }

  /**
   * What a file gets in the next minute is in memory because it was just written: populating it
   * would first fill its holes with zeros, and cost a trip to the pager for every part.
   */
  assumeWritten(): void {
    this.#residentAt.fill(this.#clock.monotonic() + justWrittenMs)
  }

  /** How many of `length` bytes from `offset` on are resident; 0: the first is not. */
  residentBytes(offset: number, length: number): number {
    const oldest = this.#clock.monotonic() - residentMs
    const end = Math.min(offset + length, this.sizeBytes)
    let granule = Math.floor(offset / granuleBytes)
    let residentEnd = offset
    while (residentEnd < end && this.#residentAt[granule]! >= oldest) {
      granule += 1
      residentEnd = Math.min(granule * granuleBytes, end)
    }
    return residentEnd - offset
  }

  /**
   * Fetches `length` bytes from `offset` on, and says how many bytes are brought into memory for it. The disk
   * is asked for as much more as a reader has read in one go, up to the bound.
   */
  fetch(
    offset: number,
    length: number,
    runBytes = 0,
  ): { readonly bytes: number; readonly done: Promise<void> } {
    const first = Math.floor(offset / granuleBytes)
    for (const fetch of this.#fetches) {
      if (fetch.first <= first && first <= fetch.last) return { bytes: 0, done: fetch.done }
    }
    const last = Math.floor((Math.min(offset + length, this.sizeBytes) - 1) / granuleBytes)
    return this.#populate(first, last, runBytes)
  }

  /**
   * Fetches what comes after `end` for a reader that has read `runBytes` in one go: as much, up to the
   * bound, once less than half of that is resident. Bytes that are asked of the disk.
   */
  fetchAhead(end: number, runBytes: number): number {
    const aheadBytes = Math.min(runBytes, aheadBytesMax, this.sizeBytes - end)
    if (aheadBytes <= 0) return 0
    const resident = this.residentBytes(end, aheadBytes)
    if (resident === aheadBytes || resident * 2 > aheadBytesMax) return 0
    const { bytes, done } = this.fetch(end + resident, aheadBytes - resident, runBytes)
    if (bytes > 0) done.catch(() => undefined)
    return bytes
  }

  #populate(first: number, last: number, runBytes: number): { bytes: number; done: Promise<void> } {
    const offset = first * granuleBytes
    const bytes = Math.min((last + 1) * granuleBytes, this.sizeBytes) - offset
    const moreBytes = Math.min(runBytes, startedBytesMax)
    const startBytes = Math.min(bytes + moreBytes, this.sizeBytes - offset)
    const done = this.#pager
      .populate(this.#file, this.extent.address + BigInt(offset), { length: bytes, startBytes })
      .then(() => {
        this.#residentAt.fill(this.#clock.monotonic(), first, last + 1)
      })
      .finally(() => this.#fetches.delete(fetch))
    const fetch: Fetch = { first, last, done }
    this.#fetches.add(fetch)
    return { bytes, done }
  }
}
