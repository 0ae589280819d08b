/**
 * @module Entries of a log whose bytes follow from their index, and tails in folders that go with the test.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import type { LogEntry } from '../../../../src/metadata/log/port.ts'
import { openTailReader, type TailReader } from '../../../../src/metadata/log/tail/reader.ts'
import { openTail, type Tail, type TailOptions } from '../../../../src/metadata/log/tail/tail.ts'

export const OWNER = { identity: 'log-1', cluster: 'main' }

export function entry(index: number, sizeBytes = 40 + ((index * 37) % 90)): LogEntry {
  const bytes = Buffer.alloc(sizeBytes)
  for (let at = 0; at < sizeBytes; at += 1) bytes[at] = (index * 31 + at * 7) & 0xff
  return { index, bytes, token: `at-${index * 3}` }
}

/** Entries of the indexes from `first` to `last`, both included. */
export function entries(first: number, last: number, sizeBytes?: number): LogEntry[] {
  return Array.from({ length: last - first + 1 }, (_, place) => entry(first + place, sizeBytes))
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'fastregistry-tail-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A tail that is closed with the test; its faults fail it unless it takes them itself. */
export function tailIn(folder: string, options: Partial<TailOptions> = {}): Tail {
  const onFault = (error: unknown) => {
    throw error
  }
  const tail = openTail({ folder, ...OWNER, onFault, ...options })
  onTestFinished(() => tail.close())
  return tail
}

export function readerOf(folder: string, options: Partial<TailOptions> = {}): TailReader {
  const reader = openTailReader({ folder, ...OWNER, ...options })
  onTestFinished(() => reader.close())
  return reader
}

/** Reads to the end in pieces; each entry must be the right one. Returns the last index. */
export function readAll(tail: Tail | TailReader, after: number, bytesMax = 300): number | 'cut' {
  let last = after
  while (true) {
    const found = tail.read(last, bytesMax)
    if (found === 'cut') return 'cut'
    if (found.length === 0) return last
    for (const one of found) {
      last += 1
      const right = entry(last, one.bytes.length)
      const isRight = one.index === last && one.token === right.token
      // A matcher for each of many thousands would take most of the time.
      if (!isRight || Buffer.compare(one.bytes, right.bytes) !== 0) expect(one).toEqual(right)
    }
  }
}
