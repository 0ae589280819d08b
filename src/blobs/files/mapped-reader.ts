/**
 * @module Blob files as read-only mappings: one mapping a blob, shared and counted by its readers,
 * kept in a bounded table. The operating system's page cache is the cache; this table only saves
 * mapping the same file again.
 *
 * Discipline: bytes leave only inside the synchronous callback of `use`; a mapping is unmapped only
 * at zero readers, never inside a callback (a view kept longer would touch freed memory).
 *
 * Blob files never change. One that somebody writes to all the same is noticed within a second, by
 * its time: its readers are cut off, and it is compared with its digest before anyone gets it again.
 *
 * A small file that was not read lately is not mapped but read into a slot (`blobs/files/slots.ts`); when it
 * is asked for again soon, a mapping pays.
 *
 * Residency: the main thread must not wait for the disk, so what was not populated within
 * `residentMs` is first populated by the pager: what is asked for, rounded to 128 KiB, and ahead of a
 * reader as much as it has read in one go, so that a byte here and there costs little (`mapping.ts`).
 */

import { LRUCache } from 'lru-cache'
import type { Digest } from '../../registry/digest.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Libc } from '../../runtime/libc.ts'
import { RecentSet } from '../../runtime/recent-set.ts'
import type { DriverReader, Promised } from '../driver.ts'
import type { BlobSource, OpenFile } from '../port.ts'
import { AddressSpace, type Extent } from './address-space.ts'
import { type BlobPaths, blobPath } from './layout.ts'
import { aheadBytesMax, Mapping } from './mapping.ts'
import type { Pager } from './pager.ts'
import { readWholeFile } from './plain-reader.ts'
import { type ReadSlots, SlotCopy, slotBytes } from './slots.ts'

/** Small files that are remembered as read lately: two generations of this many. */
const recentFilesMax = 16_384

/** Mappings at a time, whatever their size: well below the kernel's default of 65,530. */
const mappingsMax = 16_384

export interface BlobMapOptions {
  readonly paths: BlobPaths
  readonly pager: Pager
  readonly slots: ReadSlots
  readonly libc: Libc
  readonly clock: Clock
  /** Bytes of mappings that are kept for later readers; those in use do not count as evictable. */
  readonly cacheBytes: number
}

export class BlobMap implements DriverReader {
  readonly kind = 'map'
  readonly slowBecause = undefined
  readonly #options: BlobMapOptions
  /** Every mapping that later readers can share; the least recently used makes room. */
  readonly #table: LRUCache<Digest, Mapping>
  readonly #opening = new Map<Digest, Promise<Opened>>()
  readonly #readLately = new RecentSet(recentFilesMax)
  readonly #space: AddressSpace
  #mappedBytes = 0

  constructor(options: BlobMapOptions) {
    this.#options = options
    this.#space = new AddressSpace(options.libc)
    this.#table = new LRUCache<Digest, Mapping>({
      maxSize: Math.max(1, options.cacheBytes),
      max: mappingsMax,
      sizeCalculation: (mapping) => mapping.sizeBytes,
      dispose: (mapping) => {
        mapping.isShared = false
        if (mapping.readers === 0) this.#unmap(mapping)
      },
    })
  }

  /** Bytes of address space mapped now: for the metric. */
  get mappedBytes(): number {
    return this.#mappedBytes
  }

  open(digest: Digest, row: Promised, isWhole = true): BlobSource | Promise<BlobSource> {
    const mapping = this.#table.get(digest)
    if (mapping === undefined) return this.#openAnew(digest, row, isWhole)
    const checking = mapping.check()
    if (checking === undefined) return this.#lend(mapping)
    // Not given back meanwhile: a mapping that nobody reads may be taken away at any time.
    const source = this.#lend(mapping)
    return checking.then(
      () => source,
      () => {
        source.close()
        if (this.#table.peek(digest) === mapping) this.forget(digest)
        return this.#openAnew(digest, row, isWhole)
      },
    )
  }

  #openAnew(digest: Digest, row: Promised, isWhole: boolean): Promise<BlobSource> {
    let opening = this.#opening.get(digest)
    if (opening === undefined) {
      opening = this.#load(digest, row, isWhole)
      this.#opening.set(digest, opening)
    }
    return opening.then((opened) => opened.lend())
  }

  async #load(digest: Digest, row: Promised, isWhole: boolean): Promise<Opened> {
    try {
      if (row.sizeBytes <= slotBytes && !this.#readLately.has(digest)) {
        const slot = this.#options.slots.take()
        if (slot !== undefined) return await this.#read(digest, row, slot)
      }
      // Of a part nobody knows yet which: it is fetched when it is read.
      const firstBytes = isWhole ? Math.min(aheadBytesMax, row.sizeBytes) : 0
      const mapping = await this.#map(digest, row, firstBytes)
      let unpaid = firstBytes
      return {
        lend: () => {
          const source = this.#lend(mapping, unpaid)
          unpaid = 0
          return source
        },
      }
    } finally {
      this.#opening.delete(digest)
    }
  }

  async #read(digest: Digest, row: Promised, slot: number): Promise<Opened> {
    const { paths, pager, slots } = this.#options
    try {
      await pager.read(blobPath(paths, digest), digest, row, slot)
    } catch (error) {
      slots.give(slot)
      throw error
    }
    this.#readLately.add(digest)
    const copy = new SlotCopy(slots, slot, row.sizeBytes)
    // Held until everyone who waited for it has it.
    const held = copy.lend()
    setImmediate(() => held.close())
    return copy
  }

  /** Maps a file that is no blob yet, for readers of its own. Its pages are not fetched first. */
  async openPath(path: string, sizeBytes: number): Promise<OpenFile> {
    const { pager, clock } = this.#options
    const { extent } = await this.#mapInto(sizeBytes, (it) => pager.mapGrowing(it, path, sizeBytes))
    const mapping = new Mapping(undefined, extent, sizeBytes, pager, clock)
    mapping.isShared = false
    mapping.readers += 1
    mapping.assumeWritten()
    return { lend: () => this.#lend(mapping), close: () => this.#giveBack(mapping) }
  }

  read(digest: Digest, { sizeBytes }: Promised): Promise<Uint8Array> {
    return readWholeFile(blobPath(this.#options.paths, digest), sizeBytes)
  }

  /** Whether somebody is reading the blob now. */
  isRead(digest: Digest): boolean {
    return this.#opening.has(digest) || (this.#table.peek(digest)?.readers ?? 0) > 0
  }

  /** Forgets a blob whose file was replaced or removed; who has it open keeps the old bytes. */
  forget(digest: Digest): void {
    this.#table.delete(digest)
  }

  async #map(digest: Digest, row: Promised, firstBytes: number): Promise<Mapping> {
    const { paths, pager, clock } = this.#options
    const { sizeBytes } = row
    const path = blobPath(paths, digest)
    const { extent, file } = await this.#mapInto(sizeBytes, (it) =>
      pager.map(it, path, digest, row, firstBytes),
    )
    const mapping = new Mapping(file, extent, sizeBytes, pager, clock)
    mapping.assumeResident(firstBytes)
    // Held until everyone who waited for it has it: another opening may push it out at once.
    mapping.readers += 1
    setImmediate(() => this.#giveBack(mapping))
    mapping.isShared = sizeBytes <= this.#options.cacheBytes
    if (mapping.isShared) this.#table.set(digest, mapping)
    return mapping
  }

  /** An extent with a file in it, which `map` brought there. */
  async #mapInto<File>(
    sizeBytes: number,
    map: (extent: Extent) => Promise<File>,
  ): Promise<{ readonly extent: Extent; readonly file: File }> {
    const extent = this.#space.take(sizeBytes)
    try {
      const file = await map(extent)
      this.#mappedBytes += sizeBytes
      return { extent, file }
    } catch (error) {
      this.#vacate(extent, sizeBytes)
      throw error
    }
  }

  /** The pager empties the extent before it puts another file there: it works in the order of its messages. */
  #vacate(extent: Extent, sizeBytes: number): void {
    this.#options.pager.unmap(extent, sizeBytes)
    this.#space.give(extent, sizeBytes)
  }

  #lend(mapping: Mapping, fetchedBytes = 0): BlobSource {
    mapping.readers += 1
    return new Reader(mapping, fetchedBytes, () => this.#giveBack(mapping))
  }

  #giveBack(mapping: Mapping): void {
    mapping.readers -= 1
    if (mapping.readers === 0 && !mapping.isShared) this.#unmap(mapping)
  }

  #unmap(mapping: Mapping): void {
    this.#mappedBytes -= mapping.sizeBytes
    mapping.isGone = true
    const vacate = () => this.#vacate(mapping.extent, mapping.sizeBytes)
    // A fetch that came after it would bring the next file's pages in, or fail.
    const { settled } = mapping
    if (settled === undefined) vacate()
    else void settled.then(vacate)
  }
}

/** A blob that was just opened, for everyone who asked meanwhile. */
interface Opened {
  lend(): BlobSource
}

class Reader implements BlobSource {
  /** The mapping stays while it has readers. */
  readonly lasts = true
  readonly #mapping: Mapping
  readonly #onClose: () => void
  #isClosed = false
  /** Where the bytes begin that were read in one go, and where they end. */
  #runStart = 0
  #runEnd = 0
  /** Bytes that were brought into memory for this reader. */
  fetchedBytes: number

  constructor(mapping: Mapping, fetchedBytes: number, onClose: () => void) {
    this.#mapping = mapping
    this.fetchedBytes = fetchedBytes
    this.#onClose = onClose
  }

  get sizeBytes(): number {
    return this.#mapping.sizeBytes
  }

  ready(offset: number, length: number): number | Promise<void> {
    const mapping = this.#mapping
    if (offset < this.#runStart || offset > this.#runEnd) this.#runStart = offset
    const resident = mapping.residentBytes(offset, length)
    if (resident > 0) {
      this.#runEnd = offset + resident
      const runBytes = offset - this.#runStart
      if (runBytes > 0) this.fetchedBytes += mapping.fetchAhead(this.#runEnd, runBytes)
      return resident
    }
    // Asked for again when it is there: that is no jump.
    this.#runEnd = Math.max(this.#runEnd, offset)
    const { bytes, done } = mapping.fetch(offset, length, offset - this.#runStart)
    this.fetchedBytes += bytes
    return done
  }

  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    return callback(this.#mapping.bytes(offset, length))
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#onClose()
  }
}
