/** @module Picks files of this machine to make image layers of. */

import { constants } from 'node:fs'
import { access, lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Deals the regular files below `roots`, in name order, to parts of at least these sizes; no file
 * is in two parts, and giants are left out that would fill a part alone. Throws when there are not
 * enough files.
 */
export async function dealFiles(
  roots: readonly string[],
  partBytes: readonly number[],
): Promise<string[][]> {
  const files = regularFiles(roots)
  const parts: string[][] = []
  for (const wanted of partBytes) {
    const part: string[] = []
    for (let bytes = 0; bytes < wanted; ) {
      const { value: file } = await files.next()
      if (file === undefined) throw new Error(`too few files below ${roots.join(', ')}`)
      if (file.size > wanted / 2) continue
      part.push(file.path)
      bytes += file.size
    }
    parts.push(part)
  }
  return parts
}

async function* regularFiles(
  paths: readonly string[],
): AsyncGenerator<{ path: string; size: number }, undefined> {
  for (const path of paths) {
    const stat = await lstat(path).catch(() => undefined)
    if (stat?.isFile() && (await isReadable(path))) yield { path, size: stat.size }
    if (!stat?.isDirectory()) continue
    const names = (await readdir(path)).sort()
    yield* regularFiles(names.map((name) => join(path, name)))
  }
  return undefined
}

function isReadable(path: string): Promise<boolean> {
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  )
}
