/**
 * @module Tells one file of a name from the next one: what a worker saw is still what is there.
 */
import type { Stats } from 'node:fs'

/** What tells one file of a name from the next one. */
export interface FileIdentity {
  readonly inode: number
  readonly sizeBytes: number
  readonly changedAtMs: number
}

export function fileIdentity(stats: Stats): FileIdentity {
  return { inode: stats.ino, sizeBytes: stats.size, changedAtMs: stats.mtimeMs }
}

export function isSameFile(one: FileIdentity, other: FileIdentity): boolean {
  return (
    one.inode === other.inode &&
    one.sizeBytes === other.sizeBytes &&
    one.changedAtMs === other.changedAtMs
  )
}
