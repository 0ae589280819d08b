/**
 * @module Whether a blob file is still what was committed. Blob files never change: a file that was
 * written to after its row was made was changed by somebody else (or copied without its times, as a
 * restore may do), and is believed only after its bytes were compared with its digest.
 *
 * Bytes that rot without a write are the scrub's to find; this finds what a stat can tell.
 */
import { futimesSync, type Stats, statSync } from 'node:fs'
import { algorithmOf, type Digest } from '../../../registry/digest.ts'
import { createHasher } from '../../../registry/hasher.ts'
import { disk } from '../../../runtime/disk.ts'
import { damage } from '../../port.ts'
import type { OpenedFile } from './messages.ts'

/** Bytes that are hashed before others on this thread have their turn. */
const stepBytes = 4 * 1024 * 1024

/** The file system's clock may lag by a tick of the kernel (10 ms at most), ms with room. */
const clockLagMs = 100

/** How far a genuine file's time is put before its row's, ms: no lag can bridge it. */
const backdatedMs = 1000

/** Whether the file was written to after its row was made (`writtenBefore`, ms since the epoch). */
export function isWrittenAfter({ mtimeMs }: Stats, writtenBefore: number): boolean {
  return mtimeMs > writtenBefore - clockLagMs
}

/** The time of a file whose bytes are known to be right at `now`. */
export function genuineTime(now: number): Date {
  return new Date(now - backdatedMs)
}

/** Throws `EDAMAGED` when the opened file was written to. One that was replaced is not our business. */
export function checkOpened({ path, inode, sizeBytes, modifiedMs }: OpenedFile): void {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined || stats.ino !== inode) return
  if (stats.size === sizeBytes && stats.mtimeMs === modifiedMs) return
  throw damage('file was written to while it was served')
}

/**
 * Hashes the file in steps; throws `EDAMAGED` when it is not its digest. One that is gets its time
 * back, so that the next opening need not look again.
 */
export async function verifyFile(
  path: string,
  digest: Digest,
  writtenBefore: number,
): Promise<void> {
  const file = await disk.open(path, 'r')
  try {
    if (!isWrittenAfter(await file.stat(), writtenBefore)) return
    const hasher = createHasher(algorithmOf(digest))
    const buffer = new Uint8Array(stepBytes)
    let offset = 0
    for (;;) {
      const count = await disk.read(file, buffer, offset)
      if (count === 0) break
      hasher.update(buffer.subarray(0, count))
      offset += count
    }
    const actual = hasher.digest()
    if (actual !== digest) throw damage(`file was written to and has the digest ${actual}`)
    try {
      const time = genuineTime(writtenBefore)
      futimesSync(file.fd, time, time)
    } catch {
      // Not ours to change: it is compared again the next time.
    }
  } finally {
    await file.close()
  }
}
