/**
 * @module Free memory of a virtual machine that nobody has used lately may not be there at all: its
 * host gives each page at the first touch, and takes it back some seconds after it was freed. Who pushes
 * first would pay for that, and the next one would not.
 */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { availableBytes } from './page-cache.ts'

const chunk = new Uint8Array(1024 * 1024)

/** Most bytes that are written, whatever a row will push. */
const bytesMax = 4 * 1024 ** 3

/**
 * Fills so much of the page cache and frees it again, at most half of what is available. The file is
 * removed before the disk has seen much of it. Just before the clock starts: it does not last.
 */
export function wakeFreeMemory(file: string, bytes: number): void {
  const wanted = Math.min(bytes, bytesMax, availableBytes() / 2)
  const fd = openSync(file, 'w')
  for (let done = 0; done < wanted; done += chunk.length) writeSync(fd, chunk)
  closeSync(fd)
  rmSync(file)
}
