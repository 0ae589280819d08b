/**
 * @module Reads a tail: in its own thread or another, or in another process, while the writer goes on. It
 * never writes. A record that is half written at the end is not there yet.
 */
import { closeSync, fstatSync } from 'node:fs'
import type { LogEntry } from '../port.ts'
import { decodeRecord, type TailOwner } from './format.ts'
import { headerOf, openSegment, readAt, readHeader, segmentsIn } from './segments.ts'

/** Most bytes of one answer of `read`, unless a single entry is longer. */
const readBytesMax = 16 * 1024 * 1024

/** Bytes of one look on the way to a place. */
const skipBytes = 1024 * 1024

/** A place between two records of an open segment. */
interface Place {
  readonly descriptor: number
  readonly segment: number
  nextIndex: number
  position: number
}

export interface TailReaderOptions extends TailOwner {
  readonly folder: string
}

/** Opens nothing yet: a tail that is not there yet is one without entries. */
export function openTailReader(options: TailReaderOptions): TailReader {
  return new TailReader(options)
}

/**
 * Goes on where the last `read` ended at no cost; any other place costs reading its segment up to there. So
 * each stream has a reader of its own. Until it is closed it may keep one segment's bytes on the disk that
 * the writer has removed.
 */
export class TailReader {
  readonly #options: TailReaderOptions
  #place: Place | undefined
  /** Segments before it are of no use: one of them is damaged, or ends before this one begins. */
  #soundFrom = 0

  constructor(options: TailReaderOptions) {
    this.#options = options
  }

  /** Index of the first entry that is there; undefined: there is none, or the tail is of another log. */
  get firstIndex(): number | undefined {
    return this.#segments().find((first) => {
      const found = readHeader(this.#options.folder, first)
      return found !== undefined && isOf(found.header, this.#options)
    })
  }

  /**
   * Entries behind `after`, in order and without holes: as many as have `bytesMax` bytes on the disk, at
   * most 16 MiB of them, but one at least. None: the tail ends there, for now. 'cut': the tail does not have
   * the next entry, and will not have it. Reads synchronously. Throws what the disk throws.
   */
  read(after: number, bytesMax: number): LogEntry[] | 'cut' {
    const reached = this.#goTo(after + 1)
    const entries =
      reached === 'there'
        ? this.#collect(Math.min(Math.max(bytesMax, 1), readBytesMax), Number.POSITIVE_INFINITY)
        : reached
    if (entries === 'end') return []
    if (entries === 'cut') this.close()
    return entries
  }

  close(): void {
    if (this.#place !== undefined) closeSync(this.#place.descriptor)
    this.#place = undefined
  }

  #segments(): number[] {
    const all = segmentsIn(this.#options.folder)
    // When that one is gone, so is all that was before it.
    return all.slice(Math.max(0, all.indexOf(this.#soundFrom)))
  }

  /** Stands before the entry of this index afterwards. 'end': the tail ends before it. */
  #goTo(index: number): 'there' | 'cut' | 'end' {
    if (this.#place?.nextIndex === index) return 'there'
    const segment = this.#segments().findLast((first) => first <= index)
    if (segment === undefined) return 'cut'
    const opened = this.#open(segment)
    if (opened !== 'there') return opened
    while (this.#place!.nextIndex < index) {
      const passed = this.#collect(skipBytes, index)
      if (passed === 'cut' || passed === 'end') return passed
    }
    return 'there'
  }

  /** Stands before the first entry of the segment afterwards. */
  #open(segment: number): 'there' | 'cut' | 'end' {
    this.close()
    const descriptor = openSegment(this.#options.folder, segment)
    if (descriptor === undefined) return 'cut'
    const found = headerOf(descriptor, segment)
    if (found !== undefined && isOf(found.header, this.#options)) {
      this.#place = { descriptor, segment, nextIndex: segment, position: found.sizeBytes }
      return 'there'
    }
    closeSync(descriptor)
    if (found !== undefined) return 'cut'
    // The newest one's header may be about to be written.
    const later = this.#segments().find((first) => first > segment)
    if (later === undefined) return 'end'
    this.#soundFrom = later
    return 'cut'
  }

  /** Entries from the place on, which moves, into the next segment too. None are 'end'. */
  #collect(bytesMax: number, before: number): LogEntry[] | 'cut' | 'end' {
    const place = this.#place!
    const entries = collectHere(place, bytesMax, before)
    if (entries.length > 0) return entries
    const later = this.#segments().find((first) => first > place.segment)
    // Without a name it is no part of the tail any more.
    if (later === undefined) return fstatSync(place.descriptor).nlink > 0 ? 'end' : 'cut'
    // The writer may have ended the record and the segment since they were looked at.
    const again = collectHere(place, bytesMax, before)
    if (again.length > 0) return again
    if (later !== place.nextIndex) {
      this.#soundFrom = later
      return 'cut'
    }
    const opened = this.#open(later)
    return opened === 'there' ? this.#collect(bytesMax, before) : opened
  }
}

/** Whole records from the place on, up to the one of index `before`; the place moves behind them. */
function collectHere(place: Place, bytesMax: number, before: number): LogEntry[] {
  const entries: LogEntry[] = []
  let wanted = bytesMax
  while (true) {
    const bytes = readAt(place.descriptor, place.position, wanted)
    let used = 0
    let found = decodeRecord(bytes, place.nextIndex)
    while (found.is === 'whole' && place.nextIndex < before) {
      entries.push(found.entry)
      used += found.sizeBytes
      place.nextIndex += 1
      found = decodeRecord(bytes.subarray(used), place.nextIndex)
    }
    place.position += used
    if (entries.length > 0 || found.is !== 'short' || bytes.length < wanted) return entries
    // One that is longer than what was read: once more, for it alone.
    wanted = found.sizeBytes
  }
}

function isOf(owner: TailOwner, { identity, cluster }: TailOwner): boolean {
  return owner.identity === identity && owner.cluster === cluster
}
