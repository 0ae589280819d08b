/**
 * @module Puts a blob that comes from elsewhere into a store in files that no server writes to: a backup, or a stopped
 * store. Nothing of it is there before its digest is right and it is on the disk.
 */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { algorithmOf, type Digest, encodedOf } from '../../registry/digest.ts'
import { createHasher } from '../../registry/hasher.ts'
import { disk } from '../../runtime/disk.ts'
import { blobPath, blobPaths, uploadPath } from './layout.ts'
import { moveInto } from './worker/upload-file.ts'

/**
 * `read` gives the bytes in order, each good inside the call alone. Durable with its name when it resolves. Rejects with
 * what `read` rejects, with what the disk throws, and with an Error for other bytes than those of the digest.
 */
export async function writeFetched(
  storagePath: string,
  digest: Digest,
  sizeBytes: number,
  read: (onChunk: (bytes: Uint8Array) => void) => Promise<void>,
): Promise<void> {
  const paths = blobPaths(storagePath)
  const target = blobPath(paths, digest)
  const part = uploadPath(paths, `fetched-${encodedOf(digest)}`)
  await disk.makeFolder(dirname(part))
  const file = openSync(part, 'w', 0o640)
  try {
    const hasher = createHasher(algorithmOf(digest))
    let written = 0
    try {
      await read((bytes) => {
        written += bytes.byteLength
        if (written > sizeBytes) throw new Error(`${digest} is longer than ${sizeBytes} bytes`)
        hasher.update(bytes)
        for (let at = 0; at < bytes.byteLength; ) at += writeSync(file, bytes, at)
      })
      const isRight = written === sizeBytes && hasher.digest() === digest
      if (!isRight) throw new Error(`the bytes that came are not those of ${digest}`)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    await moveInto(part, target)
    await disk.flushFolder(dirname(target))
  } finally {
    await rm(part, { force: true })
  }
}
