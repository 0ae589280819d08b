/**
 * @module Takes a snapshot from a peer into a folder beside the metadata, from where `installSnapshot` puts
 * it in its place at the next opening. The peer may send anything.
 */
import { createHash } from 'node:crypto'
import { rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { disk, type FileHandle } from '../../../runtime/disk.ts'
import { schemaVersion } from '../../schema.ts'
import {
  decodeHeaderStart,
  hashBytes,
  headerStartBytes,
  requireRoomFor,
  SnapshotError,
  type SnapshotHeader,
  type SnapshotRoom,
  snapshotFolders,
  viewFile,
} from './format.ts'

export interface SnapshotTarget {
  /** The folder of the environment, which may be open. */
  readonly metadata: string
  readonly cluster: string
  /** Most bytes of a view that this node takes. */
  readonly bytesMax: number
  readonly room: SnapshotRoom
}

/** In the first page of an environment, as lmdb-js 3.5 writes it. */
const lmdbMagic = 0xbeefc0de
const lmdbVersion = 2

/** Folders of which one is being received; a second one would write into the first. */
const underWay = new Set<string>()

/**
 * Reads the whole stream, piece by piece as they come, and holds one piece at a time. When it resolves, the
 * snapshot is whole, flushed, and will be installed at the next opening in place of any that was received
 * before. Throws a SnapshotError for every other stream, and what the stream or the disk throws; then
 * nothing of it stays. How long a piece may take is the matter of the caller, whose stream throws.
 */
export async function receiveSnapshot(
  stream: AsyncIterable<Uint8Array>,
  target: SnapshotTarget,
): Promise<SnapshotHeader> {
  const { part } = snapshotFolders(target.metadata)
  if (underWay.has(part)) throw new SnapshotError('busy', 'another snapshot is being received')
  underWay.add(part)
  const pieces = new Pieces(stream)
  try {
    const header = await readHeader(pieces, target)
    await rm(part, { recursive: true, force: true })
    await disk.makeFolder(part)
    await writeView(pieces, header.sizeBytes, join(part, viewFile))
    await disk.flushFolder(part)
    await publish(target.metadata)
    return header
  } catch (error) {
    await rm(part, { recursive: true, force: true })
    throw error
  } finally {
    underWay.delete(part)
    await pieces.close()
  }
}

async function readHeader(pieces: Pieces, target: SnapshotTarget): Promise<SnapshotHeader> {
  const { clusterBytes, ...start } = decodeHeaderStart(await pieces.take(headerStartBytes))
  const cluster = (await pieces.take(clusterBytes)).toString('utf8')
  if (cluster !== target.cluster) {
    throw new SnapshotError('cluster', 'the snapshot is of another cluster')
  }
  if (start.schemaVersion !== schemaVersion) {
    throw new SnapshotError(
      'schema',
      `the snapshot has schema version ${start.schemaVersion}, this program has ${schemaVersion}; ` +
        'take it from a node of the same version',
    )
  }
  if (start.sizeBytes > target.bytesMax) {
    throw new SnapshotError(
      'too-large',
      `the snapshot has ${start.sizeBytes} bytes, this node takes up to ${target.bytesMax}`,
    )
  }
  requireRoomFor(start.sizeBytes, target.room)
  return { ...start, cluster }
}

/** Writes the view, and sees that the stream ends with the hash of all that it was. On the disk afterwards. */
async function writeView(pieces: Pieces, sizeBytes: number, path: string): Promise<void> {
  const file = await disk.open(path, 'w+')
  try {
    let position = 0
    while (position < sizeBytes) {
      const piece = await pieces.next(sizeBytes - position)
      await writeAll(file, piece, position)
      position += piece.byteLength
    }
    const hash = pieces.hash()
    if (!(await pieces.take(hashBytes)).equals(hash)) {
      throw new SnapshotError('hash', 'the snapshot was damaged on its way')
    }
    if (!(await pieces.isAtEnd())) {
      throw new SnapshotError('too-long', 'the snapshot goes on behind its end')
    }
    await requireEnvironment(file)
    await disk.flush(file)
  } finally {
    await file.close()
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let written = 0
  while (written < bytes.byteLength) {
    const count = await disk.write(file, bytes.subarray(written), position + written)
    if (count === 0) throw new SnapshotError('no-room', 'the disk takes no more of the snapshot')
    written += count
  }
}

/** LMDB ends the process over a file whose first page is not its own. */
async function requireEnvironment(file: FileHandle): Promise<void> {
  const start = Buffer.alloc(32)
  await disk.read(file, start, 0)
  if (start.readUInt32LE(24) === lmdbMagic && start.readUInt32LE(28) === lmdbVersion) return
  throw new SnapshotError('view', 'what the snapshot holds is no view of this version of LMDB')
}

/** In one step from "not there" or "the one before" to "whole". */
async function publish(metadata: string): Promise<void> {
  const { part, fresh } = snapshotFolders(metadata)
  const isThere = await stat(fresh).then(
    () => true,
    () => false,
  )
  // A folder without a view would say that an installation is half done.
  if (isThere) await disk.rename(join(part, viewFile), join(fresh, viewFile))
  else await disk.rename(part, fresh)
  if (isThere) await disk.flushFolder(fresh)
  await disk.flushFolder(dirname(metadata))
  await rm(part, { recursive: true, force: true })
}

/** The bytes of a stream in the lengths that are asked for, hashed as they are taken. */
class Pieces {
  readonly #pieces: AsyncIterator<Uint8Array>
  readonly #hash = createHash('sha256')
  #rest: Uint8Array = new Uint8Array()
  #isEnded = false

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#pieces = stream[Symbol.asyncIterator]()
  }

  /** Up to `bytesMax` bytes, one at least. Throws a SnapshotError when there are none. */
  async next(bytesMax: number): Promise<Uint8Array> {
    if (await this.isAtEnd()) throw new SnapshotError('too-short', 'the snapshot ended too early')
    const piece = this.#rest.subarray(0, bytesMax)
    this.#rest = this.#rest.subarray(piece.byteLength)
    this.#hash.update(piece)
    return piece
  }

  /** As many bytes; for few. */
  async take(length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length)
    let filled = 0
    while (filled < length) {
      const piece = await this.next(length - filled)
      bytes.set(piece, filled)
      filled += piece.byteLength
    }
    return bytes
  }

  /** Waits for the next byte or the end. */
  async isAtEnd(): Promise<boolean> {
    while (this.#rest.byteLength === 0 && !this.#isEnded) {
      const { done, value } = await this.#pieces.next()
      if (done === true) this.#isEnded = true
      else this.#rest = value
    }
    return this.#rest.byteLength === 0
  }

  /** Of all that was taken so far. */
  hash(): Buffer {
    return this.#hash.copy().digest()
  }

  /** Ends the stream where it is not at its end. */
  async close(): Promise<void> {
    if (!this.#isEnded) await this.#pieces.return?.().catch(() => undefined)
  }
}
