/**
 * @module The page cache of the system: emptied for what is read cold, filled for what is read warm.
 */
import { execFileSync } from 'node:child_process'
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
} from 'node:fs'
import { freemem } from 'node:os'
import { Skipped } from './skipped.ts'

const memoryInfo = '/proc/meminfo'
const dropCaches = '/proc/sys/vm/drop_caches'

/** Writes what is dirty and forgets every page that nobody maps. Throws Skipped without the right. */
export function dropPageCache(): void {
  try {
    accessSync(dropCaches, constants.W_OK)
  } catch {
    throw new Skipped(`the page cache can only be dropped by root (${dropCaches})`)
  }
  execFileSync('sync')
  writeFileSync(dropCaches, '3')
}

/** Reads files once, so that their pages are there. */
export function warmFiles(paths: readonly string[]): void {
  const buffer = Buffer.allocUnsafe(1024 * 1024)
  for (const path of paths) {
    const fd = openSync(path, 'r')
    while (readSync(fd, buffer) > 0);
    closeSync(fd)
  }
}

/** What the kernel could give to new pages without swapping, bytes. */
export function availableBytes(): number {
  if (!existsSync(memoryInfo)) return freemem()
  const match = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync(memoryInfo, 'latin1'))
  return Number(match?.[1] ?? 0) * 1024
}
