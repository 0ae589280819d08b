/** @module Reads an OCI layout that a client wrote, and checks that its bytes match their names. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Layout } from '../../support/random-image.ts'

export interface PulledLayout {
  /** What index.json points at. */
  readonly digest: string
  /** Every blob in the folder, sorted. */
  readonly blobs: readonly string[]
}

export async function readLayout(folder: string): Promise<PulledLayout> {
  const index = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as {
    readonly manifests: readonly { readonly digest: string }[]
  }
  const blobs = join(folder, 'blobs/sha256')
  const names = (await readdir(blobs)).sort()
  for (const name of names) assert.equal(await sha256(join(blobs, name)), name)
  return {
    digest: index.manifests[0]?.digest ?? '',
    blobs: names.map((name) => `sha256:${name}`),
  }
}

/** The digests of a layout that we built, in the order of `PulledLayout.blobs`. */
export function digestsOf(layout: Layout): readonly string[] {
  return layout.blobs.map((blob) => blob.digest).sort()
}

/** Lower-case hex of a file's SHA-256. */
export async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk)
  return hash.digest('hex')
}
