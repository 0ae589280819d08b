/**
 * @module The folder of a tail: one file a segment, named after the index of its first entry. Other files
 * there are left alone.
 */
import { closeSync, fstatSync, openSync, readdirSync, readSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { decodeHeader, decodeRecord, headerBytesMax, type SegmentHeader } from './format.ts'

/** Bytes that one look into a segment reads, unless a record is longer. */
const lookBytes = 256 * 1024

export function segmentPath(folder: string, firstIndex: number): string {
  return join(folder, `${String(firstIndex).padStart(16, '0')}.tail`)
}

/** First indexes of the segments that are there, oldest first. A missing folder has none. */
export function segmentsIn(folder: string): number[] {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  return names
    .filter((name) => /^\d{16}\.tail$/.test(name))
    .map((name) => Number.parseInt(name, 10))
    .sort((a, b) => a - b)
}

/** Removes a segment; one that is not there is no error. */
export function removeSegment(folder: string, firstIndex: number): void {
  try {
    unlinkSync(segmentPath(folder, firstIndex))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

export interface HeaderFound {
  readonly header: SegmentHeader
  readonly sizeBytes: number
}

/** Opens a segment for reading; undefined: it is not there. */
export function openSegment(folder: string, firstIndex: number): number | undefined {
  try {
    return openSync(segmentPath(folder, firstIndex), 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** The header of the segment of this first index; undefined: it is gone, or has no whole one. */
export function readHeader(folder: string, firstIndex: number): HeaderFound | undefined {
  const descriptor = openSegment(folder, firstIndex)
  if (descriptor === undefined) return undefined
  try {
    return headerOf(descriptor, firstIndex)
  } finally {
    closeSync(descriptor)
  }
}

/** The same of an open segment. */
export function headerOf(descriptor: number, firstIndex: number): HeaderFound | undefined {
  const found = decodeHeader(readAt(descriptor, 0, headerBytesMax))
  return found?.header.firstIndex === firstIndex ? found : undefined
}

/** Up to `lengthMax` bytes at `position`, fewer at the end of the file. */
export function readAt(descriptor: number, position: number, lengthMax: number): Buffer {
  const length = Math.max(0, Math.min(lengthMax, fstatSync(descriptor).size - position))
  const bytes = Buffer.allocUnsafeSlow(length)
  let filled = 0
  while (filled < length) {
    const count = readSync(descriptor, bytes, filled, length - filled, position + filled)
    if (count === 0) break
    filled += count
  }
  return bytes.subarray(0, filled)
}

/** Where whole records end: the index of the next one and its place, bytes from the start of the file. */
export interface RecordsEnd {
  readonly nextIndex: number
  readonly position: number
}

/** Reads on from a place between records to the last whole one. */
export function findEnd(descriptor: number, from: RecordsEnd): RecordsEnd {
  let { nextIndex, position } = from
  let wanted = lookBytes
  while (true) {
    const bytes = readAt(descriptor, position, wanted)
    let used = 0
    let found = decodeRecord(bytes, nextIndex)
    while (found.is === 'whole') {
      used += found.sizeBytes
      nextIndex += 1
      found = decodeRecord(bytes.subarray(used), nextIndex)
    }
    position += used
    const isAtEnd = bytes.length < wanted
    if (found.is === 'bad' || isAtEnd) return { nextIndex, position }
    wanted = Math.max(lookBytes, found.sizeBytes)
  }
}
