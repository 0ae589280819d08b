/**
 * @module The tail of a log in files: what is kept, what goes, and what a reader beside the writer sees.
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { LogEntry } from '../../../../src/metadata/log/port.ts'
import { encodeRecord, entryBytesMax } from '../../../../src/metadata/log/tail/format.ts'
import {
  entries,
  entry,
  OWNER,
  readAll,
  readerOf,
  tailIn,
  temporaryFolder,
} from './tail-entries.ts'

/** Some nine entries a segment, five segments. */
const SMALL = { segmentBytes: 1_000, bytesMax: 5_000 }

const filesOf = (folder: string) => readdirSync(folder).sort()
const sizeOf = (folder: string) =>
  filesOf(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)

describe('what is kept', () => {
  test('comes back in order, in pieces of bounded bytes', () => {
    const tail = tailIn(temporaryFolder())
    expect([tail.firstIndex, tail.lastIndex, tail.read(0, 100)]).toEqual([
      undefined,
      undefined,
      'cut',
    ])
    tail.append(entries(1, 3))
    tail.append(entries(4, 100))
    expect([tail.firstIndex, tail.lastIndex]).toEqual([1, 100])
    expect(readAll(tail, 0)).toBe(100)
    expect(readAll(tail, 57)).toBe(100)
    const [one] = entries(1, 1)
    const piece = encodeRecord(one!).sizeBytes + encodeRecord(entry(2)).sizeBytes
    expect(tail.read(0, piece)).toHaveLength(2)
    expect(tail.read(0, piece - 1)).toHaveLength(1)
    expect(tail.read(0, 1), 'one at least').toHaveLength(1)
    expect(tail.read(100, 1_000), 'nothing there yet').toEqual([])
    expect(tail.read(2_000, 1_000), 'a place that is not there yet').toEqual([])
  })

  test('is there when it is opened again, and goes on', () => {
    const folder = temporaryFolder()
    tailIn(folder, SMALL).append(entries(7, 30))
    const again = tailIn(folder, SMALL)
    expect([again.firstIndex, again.lastIndex]).toEqual([7, 30])
    again.append(entries(31, 40))
    expect(again.sizeBytes).toBe(sizeOf(folder))
    expect(readAll(tailIn(folder, SMALL), 6)).toBe(40)
  })

  test('is bounded: the oldest segments go, and a reader before them is cut', () => {
    const folder = temporaryFolder()
    const tail = tailIn(folder, SMALL)
    for (let index = 1; index <= 500; index += 1) {
      tail.append([entry(index)])
      expect(sizeOf(folder)).toBeLessThanOrEqual(SMALL.bytesMax)
    }
    expect(tail.sizeBytes).toBe(sizeOf(folder))
    expect(filesOf(folder).length).toBeGreaterThanOrEqual(4)
    const first = tail.firstIndex!
    expect(first).toBeGreaterThan(400)
    expect(tail.read(first - 2, 100)).toBe('cut')
    expect(readAll(tail, first - 1)).toBe(500)
    const again = tailIn(folder, SMALL)
    expect([again.firstIndex, again.lastIndex]).toEqual([first, 500])
  })

  test('may be a batch of many, and an entry larger than a segment or a piece', () => {
    const folder = temporaryFolder()
    const tail = tailIn(folder)
    tail.append(entries(1, 3_000))
    expect(readAll(tail, 0, 10_000)).toBe(3_000)
    const large = tailIn(join(folder, 'large'), SMALL)
    large.append([entry(1, 30_000)])
    expect(readAll(large, 0)).toBe(1)
    const small = tailIn(join(folder, 'small'), SMALL)
    small.append([entry(1), entry(2, 30_000), entry(3), entry(4, 30_000)])
    expect(small.lastIndex).toBe(4)
    expect(readAll(small, small.firstIndex! - 1, 100)).toBe(4)
    expect(readAll(tailIn(join(folder, 'small'), SMALL), small.firstIndex! - 1)).toBe(4)
  })

  test('an entry that is there already and equal is left out', () => {
    const folder = temporaryFolder()
    const tail = tailIn(folder, SMALL)
    tail.append(entries(1, 30))
    const before = sizeOf(folder)
    tail.append(entries(20, 25))
    tail.append(entries(30, 30))
    expect(sizeOf(folder)).toBe(before)
    tail.append(entries(12, 33))
    expect([tail.firstIndex, tail.lastIndex]).toEqual([1, 33])
    expect(readAll(tail, 0)).toBe(33)
  })

  test.each([
    ['another entry where one is', [{ ...entry(20), bytes: Buffer.from('other') }]],
    ['another token where one is', [{ ...entry(30), token: 'other' }]],
    ['entries behind a hole', entries(32, 33)],
    ['entries before the first one', entries(3, 31)],
  ])('%s: the tail begins again with it', (_what, some) => {
    const folder = temporaryFolder()
    const tail = tailIn(folder, SMALL)
    tail.append(entries(5, 30))
    const reader = readerOf(folder)
    expect(reader.read(12, 1)).toHaveLength(1)
    tail.append(some)
    expect([tail.firstIndex, tail.lastIndex]).toEqual([some[0]!.index, some.at(-1)!.index])
    const [found] = tail.read(some[0]!.index - 1, 1) as LogEntry[]
    expect(found).toEqual(some[0])
    const rest = readAll(reader, 13)
    expect(rest === 'cut' || rest === 31, 'no hole').toBe(true)
  })
})

describe('whose it is', () => {
  test.each([
    ['another log', { identity: 'log-2' }],
    ['another cluster', { cluster: 'other' }],
  ])('the tail of %s is not read, and removed by the writer', (_what, other) => {
    const folder = temporaryFolder()
    tailIn(folder, SMALL).append(entries(1, 30))
    const reader = readerOf(folder, other)
    expect([reader.firstIndex, reader.read(3, 100)]).toEqual([undefined, 'cut'])
    const tail = tailIn(folder, { ...SMALL, ...other })
    expect([tail.lastIndex, filesOf(folder)]).toEqual([undefined, []])
    tail.append(entries(1, 5))
    expect(readAll(reader, 0)).toBe(5)
    expect(readerOf(folder).read(0, 100)).toBe('cut')
  })

  test('a tail of another format is removed, and strange files are left alone', () => {
    const folder = temporaryFolder()
    tailIn(folder).append(entries(1, 5))
    const [name] = filesOf(folder)
    const bytes = readFileSync(join(folder, name!))
    bytes[7] = 2
    writeFileSync(join(folder, name!), bytes)
    writeFileSync(join(folder, 'notes.txt'), 'mine')
    expect(readerOf(folder).read(0, 100)).toEqual([])
    expect(tailIn(folder).lastIndex).toBeUndefined()
    expect(filesOf(folder)).toEqual(['notes.txt'])
  })

  test('names, tokens and entries have bounds', () => {
    const folder = temporaryFolder()
    expect(() => tailIn(folder, { identity: 'x'.repeat(1_025) }).append([entry(1)])).toThrow(
      RangeError,
    )
    expect(() => tailIn(folder).append([{ ...entry(1), token: 'x'.repeat(1_025) }])).toThrow(
      RangeError,
    )
    const long = { ...entry(1), bytes: new Uint8Array(entryBytesMax + 1) }
    expect(() => tailIn(folder).append([long])).toThrow(RangeError)
    tailIn(folder, { identity: 'ä'.repeat(512), cluster: 'z'.repeat(1_024) }).append(entries(1, 2))
    const reader = readerOf(folder, { identity: 'ä'.repeat(512), cluster: 'z'.repeat(1_024) })
    expect(readAll(reader, 0)).toBe(2)
  })
})

describe('a reader beside the writer', () => {
  test('follows it from segment to segment', () => {
    const folder = temporaryFolder()
    const tail = tailIn(folder, { ...SMALL, bytesMax: 50_000 })
    const reader = readerOf(folder)
    expect(reader.read(0, 100)).toBe('cut')
    let last = 0
    for (let index = 1; index <= 200; index += 3) {
      tail.append(entries(index, index + 2))
      expect(reader.firstIndex).toBe(1)
      last = readAll(reader, last) as number
      expect(last).toBe(index + 2)
    }
  })

  test('that stands in a segment which went is cut, and no longer keeps it', () => {
    const folder = temporaryFolder()
    const tail = tailIn(folder, SMALL)
    tail.append(entries(1, 9))
    const reader = readerOf(folder)
    expect(reader.read(0, 1)).toHaveLength(1)
    tail.append(entries(10, 400))
    // The segment that it has open, and then none.
    expect(readAll(reader, 1)).toBe('cut')
    const open = readdirSync('/proc/self/fd').length
    reader.close()
    expect(readdirSync('/proc/self/fd').length).toBe(open)
  })

  test('stops before a record that is half written, at whatever byte, and goes on when it is whole', () => {
    const folder = temporaryFolder()
    tailIn(folder).append(entries(1, 4))
    const path = join(folder, filesOf(folder)[0]!)
    const whole = readFileSync(path)
    const { head, bytes } = encodeRecord(entry(5))
    const record = Buffer.concat([head, bytes])
    for (let count = 0; count < record.length; count += 1) {
      writeFileSync(path, Buffer.concat([whole, record.subarray(0, count)]))
      const reader = readerOf(folder)
      expect(readAll(reader, 0)).toBe(4)
      writeFileSync(path, Buffer.concat([whole, record]))
      expect(readAll(reader, 4)).toBe(5)
    }
  })

  test('waits for the header of a segment that is just begun', () => {
    const folder = temporaryFolder()
    const tail = tailIn(folder, SMALL)
    tail.append(entries(1, 30))
    const newest = filesOf(folder).at(-1)!
    const bytes = readFileSync(join(folder, newest))
    const first = Number.parseInt(newest, 10)
    for (const count of [0, 1, 15, 30]) {
      writeFileSync(join(folder, newest), bytes.subarray(0, count))
      const reader = readerOf(folder)
      const later = readerOf(folder)
      expect(readAll(reader, 0)).toBe(first - 1)
      expect(later.read(first - 1, 100)).toEqual([])
      writeFileSync(join(folder, newest), bytes)
      expect(readAll(reader, first - 1)).toBe(30)
      expect(readAll(later, first - 1)).toBe(30)
    }
  })
})

test('the owner stands in every segment', () => {
  const folder = temporaryFolder()
  tailIn(folder, SMALL).append(entries(1, 30))
  for (const name of filesOf(folder)) {
    const text = readFileSync(join(folder, name), 'latin1')
    expect(text).toContain(OWNER.identity)
    expect(text).toContain(OWNER.cluster)
  }
})
