/**
 * @module The tail: what this node has applied of the log, kept in files for peers whose log was cut. A
 * convenience: nothing is flushed, and a disk that takes no more ends the tail, not the node. What a power
 * loss leaves is found by lengths and checksums.
 */
import assert from 'node:assert/strict'
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  statSync,
  writevSync,
} from 'node:fs'
import type { LogEntry } from '../port.ts'
import { type EncodedRecord, encodeHeader, encodeRecord, type TailOwner } from './format.ts'
import { TailReader } from './reader.ts'
import {
  findEnd,
  type HeaderFound,
  headerOf,
  readHeader,
  removeSegment,
  segmentPath,
  segmentsIn,
} from './segments.ts'

/** Bytes that one call of the disk writes of a batch, at most, unless one entry is longer. */
const writeBytesMax = 8 * 1024 * 1024

/** Bytes of a comparison with what is there already. */
const compareBytes = 1024 * 1024

export interface TailOptions extends TailOwner {
  /** Is made where it is missing. One writer at a time: the lock of the store sees to it. */
  readonly folder: string
  /** A file is ended before it is longer, unless a single entry is. Default 64 MiB. */
  readonly segmentBytes?: number
  /** Of all files, at least one segment: the oldest go. Default 4 GiB. */
  readonly bytesMax?: number
  /** Called once when entries cannot be kept, and again only after some could. */
  readonly onFault: (error: unknown) => void
  /** Stands in for the disk in tests. Returns how many bytes it wrote. */
  readonly write?: typeof writevSync
}

interface Segment {
  readonly firstIndex: number
  sizeBytes: number
}

/**
 * Opens the tail of a log. A tail of another log or cluster, or of another format, is removed; so is what a
 * power loss has torn at its end, and what does not lead up to the end without a hole. Reads the newest
 * segment. Throws what the disk throws, and a RangeError for names of more than 1,024 bytes.
 */
export function openTail(options: TailOptions): Tail {
  return new Tail(options)
}

export class Tail {
  readonly #options: TailOptions
  readonly #segmentBytes: number
  readonly #bytesMax: number
  readonly #write: typeof writevSync
  readonly #reader: TailReader
  /** Oldest first. Each begins where the one before it ends; the last is being written. */
  #segments: Segment[] = []
  #descriptor: number | undefined
  #nextIndex: number | undefined
  /** What was to be kept could not: there is a hole behind the last entry. */
  #isFaulty = false

  constructor(options: TailOptions) {
    this.#options = options
    this.#segmentBytes = options.segmentBytes ?? 64 * 1024 ** 2
    this.#bytesMax = options.bytesMax ?? 4 * 1024 ** 3
    assert(this.#bytesMax >= this.#segmentBytes, 'the tail is at least one segment')
    this.#write = options.write ?? writevSync
    this.#reader = new TailReader(options)
    mkdirSync(options.folder, { recursive: true, mode: 0o750 })
    this.#openSegments()
  }

  /** Index of the first entry; undefined: there is none. */
  get firstIndex(): number | undefined {
    return this.#nextIndex === undefined ? undefined : this.#segments[0]?.firstIndex
  }

  /** Index of the last entry; undefined: there is none. */
  get lastIndex(): number | undefined {
    return this.#nextIndex === undefined ? undefined : this.#nextIndex - 1
  }

  /** Bytes of all files. */
  get sizeBytes(): number {
    return this.#segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  }

  /**
   * Keeps entries that are dense among themselves. What is there already and equal is left out: a view that
   * fell back a commit applies it a second time. When they do not continue the last one the tail begins
   * again with them, and what it had is removed before, so that a reader never sees a hole. The bytes have
   * reached the operating system when it returns; nothing is flushed. Never throws: a fault is reported.
   */
  append(entries: readonly LogEntry[]): void {
    try {
      this.#append(entries)
    } catch (error) {
      this.#leave(error)
    }
  }

  /** As `TailReader.read`. */
  read(after: number, bytesMax: number): LogEntry[] | 'cut' {
    return this.#reader.read(after, bytesMax)
  }

  close(): void {
    this.#reader.close()
    this.#closeSegment()
  }

  #append(entries: readonly LogEntry[]): void {
    const fresh = this.#withoutKnown(entries)
    if (fresh.length === 0) return
    const first = fresh[0]!.index
    assert(fresh.every(({ index }, place) => index === first + place))
    if (this.#isFaulty || first !== this.#nextIndex || !this.#isAsLeft()) this.#startAnew(first)
    let records: EncodedRecord[] = []
    let bytes = 0
    for (const entry of fresh) {
      const record = encodeRecord(entry)
      const { firstIndex, sizeBytes } = this.#segments.at(-1)!
      const isEnded =
        sizeBytes + bytes + record.sizeBytes > this.#segmentBytes && entry.index !== firstIndex
      if (isEnded || bytes + record.sizeBytes > writeBytesMax) {
        this.#writeRecords(records, bytes)
        records = []
        bytes = 0
      }
      if (isEnded) this.#begin(entry.index)
      records.push(record)
      bytes += record.sizeBytes
    }
    this.#writeRecords(records, bytes)
    this.#isFaulty = false
  }

  /** The entries behind those that are there; all of them when one that is there is another one. */
  #withoutKnown(entries: readonly LogEntry[]): readonly LogEntry[] {
    const [first] = entries
    const { firstIndex, lastIndex } = this
    if (first === undefined || firstIndex === undefined || lastIndex === undefined) return entries
    if (this.#isFaulty || first.index > lastIndex || first.index < firstIndex) return entries
    let known = 0
    while (known < entries.length && entries[known]!.index <= lastIndex) {
      const there = this.#reader.read(entries[known]!.index - 1, compareBytes)
      if (there === 'cut' || there.length === 0) return entries
      for (const one of there) {
        const entry = entries[known]
        if (entry === undefined) break
        if (!isSame(one, entry)) return entries
        known += 1
      }
    }
    return entries.slice(known)
  }

  /** Whether the segment that is written is as this writer left it: no other writer, not removed. */
  #isAsLeft(): boolean {
    if (this.#descriptor === undefined) return false
    const { size, nlink } = fstatSync(this.#descriptor)
    return nlink > 0 && size === this.#segments.at(-1)?.sizeBytes
  }

  /** Removes everything, oldest first: what a reader sees meanwhile has no hole. */
  #startAnew(firstIndex: number): void {
    this.#closeSegment()
    this.#nextIndex = undefined
    this.#segments = []
    for (const segment of segmentsIn(this.#options.folder)) {
      removeSegment(this.#options.folder, segment)
    }
    this.#begin(firstIndex)
  }

  /** Ends the segment that is written and begins the next one, after making room for it. */
  #begin(firstIndex: number): void {
    const header = encodeHeader({
      identity: this.#options.identity,
      cluster: this.#options.cluster,
      firstIndex,
      previousBytes: this.#segments.at(-1)?.sizeBytes ?? 0,
    })
    while (this.#segments.length > 0 && this.sizeBytes + this.#segmentBytes > this.#bytesMax) {
      removeSegment(this.#options.folder, this.#segments[0]!.firstIndex)
      this.#segments.shift()
    }
    this.#closeSegment()
    const descriptor = openSync(segmentPath(this.#options.folder, firstIndex), 'wx+', 0o640)
    this.#descriptor = descriptor
    this.#segments.push({ firstIndex, sizeBytes: 0 })
    this.#writeAll([header], header.length)
    this.#nextIndex = firstIndex
  }

  #writeRecords(records: readonly EncodedRecord[], bytes: number): void {
    if (records.length === 0) return
    this.#writeAll(
      records.flatMap((record) => [record.head, record.bytes]),
      bytes,
    )
    this.#nextIndex = this.#nextIndex! + records.length
  }

  /** Writes behind the end of the segment, which is longer only when all of it is written. */
  #writeAll(parts: readonly Uint8Array[], bytes: number): void {
    const segment = this.#segments.at(-1)!
    const position = segment.sizeBytes
    let written = this.#write(this.#descriptor!, parts, position)
    while (written < bytes) {
      const count = this.#write(this.#descriptor!, behind(parts, written), position + written)
      if (count === 0) throw new Error('the disk takes no more of the tail')
      written += count
    }
    segment.sizeBytes += bytes
  }

  /** The tail ends before what is half written, and begins again with what comes next. */
  #leave(error: unknown): void {
    const wasFaulty = this.#isFaulty
    this.#isFaulty = true
    if (!wasFaulty) this.#options.onFault(error)
  }

  #closeSegment(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = undefined
  }

  /** Goes on with what is there, from the newest segment backwards as far as each leads up to the next. */
  #openSegments(): void {
    const { folder } = this.#options
    /** Of the segment before, by the header of the one behind it; undefined: nothing before is of use. */
    let wantedBytes: number | undefined
    for (const firstIndex of segmentsIn(folder).reverse()) {
      const own = this.#readOwn(firstIndex)
      const isNewest = this.#segments.length === 0
      const sizeBytes = own === undefined ? -1 : statSync(segmentPath(folder, firstIndex)).size
      const isOfUse = isNewest
        ? own !== undefined && this.#reopen(firstIndex)
        : sizeBytes === wantedBytes
      wantedBytes = isOfUse ? own?.header.previousBytes : undefined
      if (!isOfUse) removeSegment(folder, firstIndex)
      else if (!isNewest) this.#segments.unshift({ firstIndex, sizeBytes })
    }
  }

  #readOwn(firstIndex: number): HeaderFound | undefined {
    const found = readHeader(this.#options.folder, firstIndex)
    const { identity, cluster } = this.#options
    const isOwn = found?.header.identity === identity && found.header.cluster === cluster
    return isOwn ? found : undefined
  }

  /** Opens the newest segment for writing behind its last whole record; false: it has none. */
  #reopen(firstIndex: number): boolean {
    const descriptor = openSync(segmentPath(this.#options.folder, firstIndex), 'r+')
    const header = headerOf(descriptor, firstIndex)!
    const end = findEnd(descriptor, { nextIndex: firstIndex, position: header.sizeBytes })
    if (end.nextIndex === firstIndex) {
      closeSync(descriptor)
      return false
    }
    ftruncateSync(descriptor, end.position)
    this.#descriptor = descriptor
    this.#segments = [{ firstIndex, sizeBytes: end.position }]
    this.#nextIndex = end.nextIndex
    return true
  }
}

/** The parts without their first bytes. */
function behind(parts: readonly Uint8Array[], count: number): Uint8Array[] {
  let left = count
  return parts.flatMap((part) => {
    const skipped = Math.min(left, part.byteLength)
    left -= skipped
    return skipped === part.byteLength ? [] : [part.subarray(skipped)]
  })
}

function isSame(one: LogEntry, other: LogEntry): boolean {
  const { token, index } = other
  return one.index === index && one.token === token && Buffer.compare(one.bytes, other.bytes) === 0
}
