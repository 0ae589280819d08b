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
 * A small file that was not read lately is not mapped but read into a slot (`read-slots.ts`); when it
 * is asked for again soon, a mapping pays.
 *
 * Residency: the main thread must not wait for the disk, so a window that was not populated within
 * `residentMs` is first populated by the pager, one window ahead of the socket.
 */
import { LRUCache } from 'lru-cache'
import type { Digest } from '../registry/digest.ts'
import { windowBytesMax } from '../registry/limits.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Libc } from '../runtime/libc.ts'
import type { OpenedFile } from '../runtime/worker-messages.ts'
import type { Pager } from './pager.ts'
import { blobPath, type StoragePaths } from './paths.ts'
import type { BlobReader, BlobSource, OpenFile } from './ports.ts'
import { type ReadSlots, SlotCopy, slotBytes } from './read-slots.ts'
import { RecentSet } from './recent-set.ts'
import type { BlobRow } from './schema.ts'

/** Unit of residency, bytes: what one trip to the pager brings in. */
const populateBytes = 4 * windowBytesMax

/** How long a window that was populated counts as resident, ms. */
const residentMs = 10_000

/** How long a file that was looked at counts as unchanged, ms. */
const checkedMs = 1000
/** How long what is written to a growing file counts as resident from its opening on, ms. */
const justWrittenMs = 60_000

/** Small files that are remembered as read lately: two generations of this many. */
const recentFilesMax = 16_384

/** Mappings at a time, whatever their size: well below the kernel's default of 65,530. */
const mappingsMax = 16_384

export interface BlobMapOptions {
  readonly paths: StoragePaths
  readonly pager: Pager
  readonly slots: ReadSlots
  readonly libc: Libc
  readonly clock: Clock
  /** Bytes of mappings that are kept for later readers; those in use do not count as evictable. */
  readonly cacheBytes: number
}

export class BlobMap implements BlobReader {
  readonly #options: BlobMapOptions
  /** Every mapping that later readers can share; the least recently used makes room. */
  readonly #table: LRUCache<Digest, Mapping>
  readonly #opening = new Map<Digest, Promise<Opened>>()
  readonly #readLately = new RecentSet(recentFilesMax)
  #mappedBytes = 0

  constructor(options: BlobMapOptions) {
    this.#options = options
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

  open(digest: Digest, row: BlobRow): BlobSource | Promise<BlobSource> {
    const mapping = this.#table.get(digest)
    if (mapping === undefined) return this.#openAnew(digest, row)
    const checking = mapping.check()
    if (checking === undefined) return this.#lend(mapping)
    // Not given back meanwhile: a mapping that nobody reads may be taken away at any time.
    const source = this.#lend(mapping)
    return checking.then(
      () => source,
      () => {
        source.close()
        if (this.#table.peek(digest) === mapping) this.forget(digest)
        return this.#openAnew(digest, row)
      },
    )
  }

  #openAnew(digest: Digest, row: BlobRow): Promise<BlobSource> {
    let opening = this.#opening.get(digest)
    if (opening === undefined) {
      opening = this.#load(digest, row)
      this.#opening.set(digest, opening)
    }
    return opening.then((opened) => opened.lend())
  }

  async #load(digest: Digest, row: BlobRow): Promise<Opened> {
    try {
      if (row.sizeBytes <= slotBytes && !this.#readLately.has(digest)) {
        const slot = this.#options.slots.take()
        if (slot !== undefined) return await this.#read(digest, row, slot)
      }
      const mapping = await this.#map(digest, row)
      return { lend: () => this.#lend(mapping) }
    } finally {
      this.#opening.delete(digest)
    }
  }

  async #read(digest: Digest, row: BlobRow, slot: number): Promise<Opened> {
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
    const { pager, libc, clock } = this.#options
    const address = await pager.mapGrowing(path, sizeBytes)
    this.#mappedBytes += sizeBytes
    const view = libc.view(address, sizeBytes)
    const mapping = new Mapping(undefined, address, view, pager, clock)
    mapping.isShared = false
    mapping.readers += 1
    mapping.assumeWritten()
    return { lend: () => this.#lend(mapping), close: () => this.#giveBack(mapping) }
  }

  /** Whether somebody is reading the blob now. */
  isRead(digest: Digest): boolean {
    return this.#opening.has(digest) || (this.#table.peek(digest)?.readers ?? 0) > 0
  }

  /** Forgets a blob whose file was replaced or removed; who has it open keeps the old bytes. */
  forget(digest: Digest): void {
    this.#table.delete(digest)
  }

  async #map(digest: Digest, row: BlobRow): Promise<Mapping> {
    const { paths, pager, libc, clock } = this.#options
    const { sizeBytes } = row
    const firstBytes = Math.min(populateBytes, sizeBytes)
    const path = blobPath(paths, digest)
    const { address, file } = await pager.map(path, digest, row, firstBytes)
    this.#mappedBytes += sizeBytes
    const mapping = new Mapping(file, address, libc.view(address, sizeBytes), pager, clock)
    // Held until everyone who waited for it has it: another opening may push it out at once.
    mapping.readers += 1
    setImmediate(() => this.#giveBack(mapping))
    mapping.isShared = sizeBytes <= this.#options.cacheBytes
    if (mapping.isShared) this.#table.set(digest, mapping)
    return mapping
  }

  #lend(mapping: Mapping): BlobSource {
    mapping.readers += 1
    return new Reader(mapping, () => this.#giveBack(mapping))
  }

  #giveBack(mapping: Mapping): void {
    mapping.readers -= 1
    if (mapping.readers === 0 && !mapping.isShared) this.#unmap(mapping)
  }

  #unmap(mapping: Mapping): void {
    this.#mappedBytes -= mapping.sizeBytes
    mapping.bytes = undefined
    this.#options.pager.unmap(mapping.address, mapping.sizeBytes)
  }
}

/** A blob that was just opened, for everyone who asked meanwhile. */
interface Opened {
  lend(): BlobSource
}

class Mapping {
  readonly address: bigint
  readonly sizeBytes: number
  readonly #pager: Pager
  readonly #clock: Clock
  /** When each part of `populateBytes` was last known to be resident, on the monotonic clock. */
  readonly #residentAt: Float64Array
  readonly #populating = new Map<number, Promise<void>>()
  /** Undefined while the file grows: then it is written to on purpose. */
  readonly #file: OpenedFile | undefined
  #checkedAt: number
  #checking: Promise<void> | undefined
  bytes: ArrayBuffer | undefined
  readers = 0
  /** Whether the table holds it; one that it dropped goes with its last reader. */
  isShared = true

  constructor(
    file: OpenedFile | undefined,
    address: bigint,
    bytes: ArrayBuffer,
    pager: Pager,
    clock: Clock,
  ) {
    const sizeBytes = bytes.byteLength
    this.#file = file
    this.address = address
    this.sizeBytes = sizeBytes
    this.bytes = bytes
    this.#pager = pager
    this.#clock = clock
    this.#residentAt = new Float64Array(Math.ceil(sizeBytes / populateBytes)).fill(
      Number.NEGATIVE_INFINITY,
    )
    this.#checkedAt = clock.monotonic()
    this.#residentAt[0] = this.#checkedAt
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

  /**
   * What a file gets in the next minute is in memory because it was just written: populating it
   * would first fill its holes with zeros, and cost a trip to the pager for every part.
   */
  assumeWritten(): void {
    this.#residentAt.fill(this.#clock.monotonic() + justWrittenMs)
  }

  /** Bytes from `offset` on that are resident, or the promise of the part that is on its way. */
  resident(offset: number): number | Promise<void> {
    const part = Math.floor(offset / populateBytes)
    const oldest = this.#clock.monotonic() - residentMs
    const isResident = this.#residentAt[part]! >= oldest
    // The next part is fetched while this one goes out.
    const ahead = part + 1
    if (ahead < this.#residentAt.length && this.#residentAt[ahead]! < oldest) {
      this.#populate(ahead).catch(() => undefined)
    }
    return isResident ? (part + 1) * populateBytes - offset : this.#populate(part)
  }

  #populate(part: number): Promise<void> {
    const running = this.#populating.get(part)
    if (running !== undefined) return running
    const offset = part * populateBytes
    const length = Math.min(populateBytes, this.sizeBytes - offset)
    const populated = this.#pager
      .populate(this.#file, this.address + BigInt(offset), length)
      .then(() => {
        this.#residentAt[part] = this.#clock.monotonic()
      })
      .finally(() => this.#populating.delete(part))
    this.#populating.set(part, populated)
    return populated
  }
}

class Reader implements BlobSource {
  readonly #mapping: Mapping
  readonly #onClose: () => void
  #isClosed = false

  constructor(mapping: Mapping, onClose: () => void) {
    this.#mapping = mapping
    this.#onClose = onClose
  }

  get sizeBytes(): number {
    return this.#mapping.sizeBytes
  }

  ready(offset: number, length: number): number | Promise<void> {
    const resident = this.#mapping.resident(offset)
    return typeof resident === 'number' ? Math.min(resident, length) : resident
  }

  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    return callback(new Uint8Array(this.#mapping.bytes!, offset, length))
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#onClose()
  }
}
