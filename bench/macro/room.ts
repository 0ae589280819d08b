/**
 * @module Whether a row fits on the disk: one that does not is skipped, and does not fail half way.
 */
import { statfsSync } from 'node:fs'
import { Skipped } from './skipped.ts'

/** Room beyond the content itself: file systems, metadata, what a peer keeps twice. */
const spare = 1.25

/** Throws Skipped where the disk of this folder cannot take so many bytes. */
export function requireRoom(folder: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(folder)
  const needed = bytes * spare
  if (bavail * bsize >= needed) return
  const gb = (value: number) => `${(value / 1e9).toFixed(1)} GB`
  throw new Skipped(`needs ${gb(needed)} of disk, ${gb(bavail * bsize)} are free`)
}
