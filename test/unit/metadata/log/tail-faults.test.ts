/**
 * @module What a power loss, a full disk, a damaged disk, a second writer and a kill leave of a tail: never a
 * wrong entry, never a hole.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync, writevSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  decodeRecord,
  encodeRecord,
  entryBytesMax,
} from '../../../../src/metadata/log/tail/format.ts'
import { nextTurn } from '../../../../src/runtime/next-turn.ts'
import { entries, entry, readAll, readerOf, tailIn, temporaryFolder } from './tail-entries.ts'

const SMALL = { segmentBytes: 1_000, bytesMax: 50_000 }
const filesOf = (folder: string) => readdirSync(folder).sort()
const newestOf = (folder: string) => join(folder, filesOf(folder).at(-1)!)

describe('the end that a power loss tears', () => {
  test('is cut off, at whatever byte of the last record, and the tail goes on', () => {
    const folder = temporaryFolder()
    tailIn(folder, SMALL).append(entries(1, 25))
    const path = newestOf(folder)
    const whole = readFileSync(path)
    const lastBytes = encodeRecord(entry(25)).sizeBytes
    for (let count = 1; count <= lastBytes; count += 1) {
      writeFileSync(path, whole.subarray(0, whole.length - count))
      const tail = tailIn(folder, SMALL)
      expect([tail.firstIndex, tail.lastIndex]).toEqual([1, 24])
      expect(readFileSync(path)).toEqual(whole.subarray(0, whole.length - lastBytes))
      tail.append([entry(25)])
      expect(readFileSync(path)).toEqual(whole)
      expect(readAll(tail, 0)).toBe(25)
      tail.close()
    }
  })

  test('may be zeros, or what was there before', () => {
    const folder = temporaryFolder()
    tailIn(folder).append(entries(1, 25))
    const path = newestOf(folder)
    const whole = readFileSync(path)
    const { head, bytes } = encodeRecord(entry(27))
    const rests = [
      Buffer.alloc(5_000),
      whole.subarray(200, 900),
      Buffer.alloc(300, 0xff),
      // Right but for its place.
      Buffer.concat([head, bytes]),
    ]
    for (const rest of rests) {
      writeFileSync(path, Buffer.concat([whole, rest]))
      expect(readAll(readerOf(folder), 0)).toBe(25)
      expect(tailIn(folder).lastIndex).toBe(25)
      expect(readFileSync(path)).toEqual(whole)
    }
  })

  test('may be the header of the newest segment: the one before it goes on', () => {
    const folder = temporaryFolder()
    tailIn(folder, SMALL).append(entries(1, 25))
    const path = newestOf(folder)
    const first = Number.parseInt(filesOf(folder).at(-1)!, 10)
    for (const count of [0, 10, 40]) {
      truncateSync(path, count)
      const tail = tailIn(folder, SMALL)
      expect([tail.firstIndex, tail.lastIndex]).toEqual([1, first - 1])
      tail.append(entries(first, 25))
      expect(readAll(tail, 0)).toBe(25)
      tail.close()
    }
  })

  test('may be an older segment: what is before it is lost as well', () => {
    const folder = temporaryFolder()
    tailIn(folder, SMALL).append(entries(1, 60))
    const names = filesOf(folder)
    expect(names.length).toBeGreaterThan(5)
    truncateSync(join(folder, names[2]!), 500)
    const tail = tailIn(folder, SMALL)
    expect(tail.firstIndex).toBe(Number.parseInt(names[3]!, 10))
    expect(filesOf(folder)).toEqual(names.slice(3))
    expect(readAll(tail, tail.firstIndex! - 1)).toBe(60)
    rmSync(join(folder, names[4]!))
    expect(tailIn(folder, SMALL).firstIndex).toBe(Number.parseInt(names[5]!, 10))
  })
})

describe('a flipped bit', () => {
  test('anywhere in the last record is found: the record is not there', () => {
    const folder = temporaryFolder()
    tailIn(folder).append(entries(1, 5))
    const path = newestOf(folder)
    const whole = readFileSync(path)
    const from = whole.length - encodeRecord(entry(5)).sizeBytes
    for (let at = from; at < whole.length; at += 1) {
      const flipped = Buffer.from(whole)
      flipped[at]! ^= 1 << (at % 8)
      writeFileSync(path, flipped)
      expect(readAll(readerOf(folder), 0)).toBe(4)
      const tail = tailIn(folder)
      expect(tail.lastIndex).toBe(4)
      tail.close()
    }
  })

  test('anywhere in an older segment cuts its readers, who then know where the sound part begins', () => {
    const folder = temporaryFolder()
    tailIn(folder, SMALL).append(entries(1, 40))
    const [, second, third] = filesOf(folder)
    const path = join(folder, second!)
    const whole = readFileSync(path)
    for (let at = 0; at < whole.length; at += 1) {
      const flipped = Buffer.from(whole)
      flipped[at]! ^= 1 << (at % 8)
      writeFileSync(path, flipped)
      const reader = readerOf(folder)
      const last = readAll(reader, 0)
      expect(last).toBe('cut')
      expect(reader.firstIndex).toBe(Number.parseInt(third!, 10))
      expect(readAll(reader, reader.firstIndex! - 1)).toBe(40)
      expect(reader.read(0, 100)).toBe('cut')
      reader.close()
    }
  })

  test('is forgotten with the segments that it was in', () => {
    const folder = temporaryFolder()
    const tail = tailIn(folder, SMALL)
    tail.append(entries(50, 90))
    truncateSync(join(folder, filesOf(folder)[1]!), 400)
    const reader = readerOf(folder)
    expect(readAll(reader, 49)).toBe('cut')
    tail.append(entries(1, 90))
    expect(readAll(reader, 0)).toBe(90)
  })
})

test('a length beyond every entry is no record, not one that is still to come', () => {
  const start = Buffer.alloc(16)
  start.writeUInt32BE(entryBytesMax + 2_000, 0)
  expect(decodeRecord(start, 1)).toEqual({ is: 'bad' })
  start.writeUInt32BE(entryBytesMax, 0)
  expect(decodeRecord(start, 1)).toMatchObject({ is: 'short' })
})

describe('a full disk', () => {
  test('ends the tail before what it did not take, is reported once, and the tail begins again', () => {
    const folder = temporaryFolder()
    const faults: unknown[] = []
    let left = Number.POSITIVE_INFINITY
    const write: typeof writevSync = (descriptor, parts, position) => {
      const bytes = Buffer.concat(parts as Uint8Array[]).subarray(0, left)
      left -= bytes.length
      if (bytes.length === 0) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
      return writevSync(descriptor, [bytes], position)
    }
    const onFault = (error: unknown) => faults.push(error)
    const tail = tailIn(folder, { ...SMALL, onFault, write })
    tail.append(entries(1, 25))
    const reader = readerOf(folder)
    left = encodeRecord(entry(26)).sizeBytes + 30
    // A batch is there or not; none of its entries was promised.
    tail.append(entries(26, 28))
    expect(faults).toMatchObject([{ code: 'ENOSPC' }])
    const end = tail.lastIndex!
    expect([25, 26]).toContain(end)
    expect(readAll(reader, 0)).toBe(end)
    for (const index of [29, 30, 31]) tail.append([entry(index)])
    expect(faults, 'once').toHaveLength(1)
    expect(readAll(reader, 0)).toBe('cut')
    expect(tail.lastIndex).toBeUndefined()
    left = Number.POSITIVE_INFINITY
    tail.append(entries(32, 50))
    expect([tail.firstIndex, tail.lastIndex]).toEqual([32, 50])
    expect(readAll(reader, 25)).toBe('cut')
    expect(readAll(reader, 31)).toBe(50)
    left = 0
    tail.append(entries(51, 52))
    expect(faults, 'and again, when some were kept in between').toHaveLength(2)
    const again = tailIn(folder, SMALL)
    expect([again.firstIndex, again.lastIndex]).toEqual([32, 50])
  })

  test('may refuse any write, also the header of a segment: the same entry may come again', () => {
    const folder = temporaryFolder()
    let isFull = false
    const write: typeof writevSync = (descriptor, parts, position) => {
      if (isFull) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
      return writevSync(descriptor, parts, position)
    }
    let faults = 0
    const onFault = () => {
      faults += 1
    }
    const tail = tailIn(folder, { ...SMALL, onFault, write })
    for (let index = 1; index <= 60; index += 1) {
      isFull = index > 20 && index % 11 === 0
      tail.append([entry(index)])
      isFull = false
      tail.append([entry(index)])
      expect(readAll(tail, tail.firstIndex! - 1)).toBe(index)
      expect(tailIn(folder, SMALL).lastIndex).toBe(index)
    }
    expect(faults).toBe(4)
    for (let first = 2; first <= 12; first += 1) {
      const rolled = tailIn(join(folder, String(first)), { ...SMALL, onFault, write })
      rolled.append(entries(1, first - 1))
      isFull = true
      rolled.append([entry(first)])
      isFull = false
      rolled.append([entry(first)])
      expect(readAll(rolled, rolled.firstIndex! - 1)).toBe(first)
    }
  })

  test('that is really full does the same', (context) => {
    const folder = temporaryFolder()
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder])
    if (mounted.status !== 0) {
      console.log('SKIPPED: a full disk: tmpfs cannot be mounted here')
      return context.skip('tmpfs cannot be mounted here')
    }
    onTestFinished(() => void spawnSync('umount', [folder]))
    const faults: unknown[] = []
    const onFault = (error: unknown) => faults.push(error)
    const tail = tailIn(folder, { segmentBytes: 50_000, bytesMax: 1_000_000, onFault })
    for (let index = 1; index <= 800; index += 1) tail.append([entry(index, 1_000)])
    expect(faults.length).toBeGreaterThan(2)
    expect(faults).toEqual(faults.map(() => expect.objectContaining({ code: 'ENOSPC' })))
    expect(tail.lastIndex).toBe(800)
    expect(tail.firstIndex).toBeGreaterThan(400)
    expect(readAll(tail, tail.firstIndex! - 1)).toBe(800)
    tail.close()
  })
})

describe('two writers', () => {
  test('one that finds the work of the other begins again: readers see no mixture', () => {
    const folder = temporaryFolder()
    const first = tailIn(folder, SMALL)
    first.append(entries(1, 25))
    const second = tailIn(folder, SMALL)
    expect(second.lastIndex).toBe(25)
    first.append(entries(26, 27))
    second.append(entries(26, 40))
    expect([second.firstIndex, second.lastIndex]).toEqual([26, 40])
    expect(readAll(readerOf(folder), 25)).toBe(40)
    first.append(entries(28, 30))
    expect([first.firstIndex, first.lastIndex]).toEqual([28, 30])
    expect(readAll(readerOf(folder), 27)).toBe(30)
  })

  test('a folder that was emptied is begun again', () => {
    const folder = temporaryFolder()
    const tail = tailIn(folder, SMALL)
    tail.append(entries(1, 25))
    const reader = readerOf(folder)
    expect(readAll(reader, 0)).toBe(25)
    for (const name of filesOf(folder)) rmSync(join(folder, name))
    expect(reader.read(25, 100)).toBe('cut')
    tail.append(entries(26, 27))
    expect(readAll(tail, 25)).toBe(27)
    expect(tailIn(folder, SMALL).firstIndex).toBe(26)
  })
})

test('a writer that is killed leaves whole entries up to some index, beside a reader all the while', async () => {
  const folder = temporaryFolder()
  const program = fileURLToPath(new URL('tail-writer.mjs', import.meta.url))
  const options = { segmentBytes: 200_000, bytesMax: 1_000_000 }
  let last = 0
  for (let round = 0; round < 8; round += 1) {
    const child = spawn(process.execPath, [program, folder, String(last + 1)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exit = once(child, 'exit')
    // The writer says that it writes; it goes on until it dies.
    await once(child.stdout, 'data')
    const reader = readerOf(folder)
    let seen = last
    const until = last + 1_000 + round * 371
    while (seen < until && child.exitCode === null) {
      const reached = readAll(reader, seen, 64 * 1024)
      seen = reached === 'cut' ? (reader.firstIndex ?? seen + 1) - 1 : reached
      await nextTurn()
    }
    child.kill('SIGKILL')
    expect(await exit).toEqual([null, 'SIGKILL'])
    const tail = tailIn(folder, options)
    expect(tail.lastIndex).toBeGreaterThanOrEqual(seen)
    expect(readAll(tail, tail.firstIndex! - 1, 64 * 1024)).toBe(tail.lastIndex)
    last = tail.lastIndex!
    tail.append([entry(last + 1)])
    last += 1
    expect(tail.firstIndex, 'nothing was lost by the kill').toBeLessThan(last)
    tail.close()
  }
})
