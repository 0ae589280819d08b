/**
 * @module Compares files with rows, inside a worker. It only finds: pushes go on meanwhile, so what
 * it says may be untrue a moment later, and the main thread looks again under the locks before it
 * changes anything (`reconcile-decisions.ts`).
 *
 * Blob folders are named by the first two digits of the digest, and digests sort the same way: a
 * folder that changed (a rename into it set its time) is compared with one range of rows.
 */
import type { Dirent, Stats } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type FileIdentity, fileIdentity } from '../../blobs/files/file-identity.ts'
import { type BlobPaths, blobPath } from '../../blobs/files/layout.ts'
import type { LmdbEnvironment } from '../../metadata/lmdb/environment.ts'
import type { BlobRow, UploadRow } from '../../metadata/schema.ts'
import { ALGORITHMS, type Algorithm, algorithmOf, parseDigest } from '../../registry/digest.ts'
import { createHasher } from '../../registry/hasher.ts'
import { disk } from '../../runtime/disk.ts'
import { toWorkerFailure } from '../../runtime/worker-failure.ts'
import type { ReconcileFinding } from './messages.ts'

/** Rows read at once; between two reads the snapshot is renewed. */
const rowsAtOnce = 200

/** Bytes read at once. */
const readBytes = 1024 * 1024

/** Bytes hashed between two rests. */
const hashedAtOnceBytes = 8 * readBytes

export interface WalkOptions {
  readonly paths: BlobPaths
  readonly rows: LmdbEnvironment
  readonly checksUploads: boolean
  readonly blobsSince: number | undefined
  readonly checksRows: boolean
  readonly isPaced: boolean
  readonly isStopped: () => boolean
}

/** Everything that looks wrong. Ends early when it is stopped. */
export async function* walkStore(options: WalkOptions): AsyncGenerator<ReconcileFinding> {
  if (options.checksUploads) yield* walkUploads(options)
  if (options.blobsSince === undefined) return
  for (const algorithm of Object.keys(ALGORITHMS) as Algorithm[]) {
    for (let number = 0; number < 256; number += 1) {
      if (options.isStopped()) return
      const prefix = number.toString(16).padStart(2, '0')
      yield* walkFolder(options, options.blobsSince, algorithm, prefix)
    }
  }
}

async function* walkUploads({ paths, rows }: WalkOptions): AsyncGenerator<ReconcileFinding> {
  const sizes = new Map<string, number>()
  for (const name of await listFiles(paths.uploads)) {
    const found = await statFile(join(paths.uploads, name))
    if (found !== undefined) sizes.set(name, found.size)
  }
  // Read after the list: a session's row is there before its file.
  rows.refresh()
  for (const uploadId of sizes.keys()) {
    const row = rows.get('uploads', uploadId) as UploadRow | undefined
    if (row === undefined || row.bytes !== undefined) yield { kind: 'stray-upload', uploadId }
  }
  for (const [uploadId, row] of readRows<UploadRow>(rows, 'uploads', '')) {
    const isShort = row.bytes === undefined && row.offsetBytes > (sizes.get(uploadId) ?? 0)
    if (isShort) yield { kind: 'lost-upload', uploadId }
  }
}

async function* walkFolder(
  options: WalkOptions,
  since: number,
  algorithm: Algorithm,
  prefix: string,
): AsyncGenerator<ReconcileFinding> {
  const { paths, rows } = options
  const folder = join(paths.blobs, algorithm, prefix)
  const changed = await statFile(folder)
  const isChanged = changed !== undefined && Math.max(changed.mtimeMs, changed.ctimeMs) >= since
  if (!isChanged && !options.checksRows) return
  const names = isChanged ? new Set(await listFiles(folder)) : undefined
  rows.refresh()
  for (const [digest, row] of readRows<BlobRow>(rows, 'blobs', `${algorithm}:${prefix}`)) {
    if (row.place !== 'file') continue
    const name = digest.slice(algorithm.length + 1)
    const isListed = names?.delete(name)
    if (isListed === true && row.createdAt < since) continue
    if (names === undefined && row.createdAt < since) continue
    const found = await statFile(join(folder, name))
    const parsed = parseDigest(digest)
    if (parsed.ok && found?.size !== row.sizeBytes) yield { kind: 'missing', digest: parsed.value }
  }
  for (const name of names ?? []) {
    if (options.isStopped()) return
    const finding = await judgeFile(options, algorithm, prefix, name)
    if (finding !== undefined) yield finding
  }
}

/** What a file is that no row of place `file` claimed when they were read. */
async function judgeFile(
  options: WalkOptions,
  algorithm: Algorithm,
  prefix: string,
  name: string,
): Promise<ReconcileFinding | undefined> {
  const parsed = parseDigest(`${algorithm}:${name}`)
  const path = join(options.paths.blobs, algorithm, prefix, name)
  if (!parsed.ok || !name.startsWith(prefix)) return { kind: 'foreign', path }
  const digest = parsed.value
  options.rows.refresh()
  const row = options.rows.get('blobs', digest) as BlobRow | undefined
  if (row?.place === 'file') return undefined
  if (row?.place === 'inline') return { kind: 'double', digest }
  try {
    const hashed = await hashFile(options, blobPath(options.paths, digest), algorithmOf(digest))
    if (hashed === undefined) return undefined
    return { kind: 'orphan', digest, file: hashed.file, isGenuine: hashed.actual === digest }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    return { kind: 'unreadable', path, failure: toWorkerFailure(error) }
  }
}

/**
 * The file's digest, with the file and its name on disk: a crash may have come before either was
 * flushed, and the row that follows must not outlive them. Undefined when stopped on the way.
 */
async function hashFile(
  { isPaced, isStopped }: WalkOptions,
  path: string,
  algorithm: Algorithm,
): Promise<{ file: FileIdentity; actual: string } | undefined> {
  const handle = await disk.open(path, 'r')
  try {
    const file = fileIdentity(await handle.stat())
    const hasher = createHasher(algorithm)
    const buffer = new Uint8Array(readBytes)
    let restedAt = performance.now()
    let sinceRest = 0
    for (let offset = 0; offset < file.sizeBytes; ) {
      if (isStopped()) return undefined
      const count = await disk.read(handle, buffer, offset)
      if (count === 0) break
      hasher.update(buffer.subarray(0, count))
      offset += count
      sinceRest += count
      if (!isPaced || sinceRest < hashedAtOnceBytes) continue
      sinceRest = 0
      await rest(performance.now() - restedAt)
      restedAt = performance.now()
    }
    await disk.flush(handle)
    await disk.flushFolder(dirname(path))
    return { file, actual: hasher.digest() }
  } finally {
    await handle.close()
  }
}

/** Keys and rows of a database of string keys, in order; the snapshot is renewed on the way. */
function* readRows<Row>(
  rows: LmdbEnvironment,
  database: 'blobs' | 'uploads',
  prefix: string,
): Generator<[string, Row]> {
  const end = `${prefix}\u{10ffff}`
  let start = prefix
  while (true) {
    const batch = [...rows.entries(database, { start, end, limit: rowsAtOnce })]
    for (const { key, value } of batch) yield [key as string, value as Row]
    if (batch.length < rowsAtOnce) return
    start = `${String(batch.at(-1)!.key)}\u0001`
    rows.refresh()
  }
}

/** Names of the plain files in a folder; of a folder that is not there, none. */
async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException): Dirent[] => {
      if (error.code === 'ENOENT') return []
      throw error
    },
  )
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
}

function statFile(path: string): Promise<Stats | undefined> {
  return stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
    throw error
  })
}

function rest(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
